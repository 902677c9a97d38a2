//! `provbuild node`: the nodes' BMCs from this machine. Arguments and surroundings in, lines and an exit code out.

mod arguments;
mod install;
mod show;
mod surroundings;
mod trust;

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::sync::Arc;

use bmc::{Nodes, Verb as Asked};

pub(super) use arguments::NodeArguments;
use arguments::{Options, Verb};
use show::{Form, Show};
use surroundings::Surroundings;

use super::commands::Failure;
use super::exit::Exit;
use crate::node::{self, Interrupt};

pub(super) fn node(arguments: &NodeArguments, json: bool, color: bool) -> Result<(), Failure> {
    let surroundings = Surroundings::read(&arguments.options, color)?;
    match &arguments.verb {
        Verb::Bmc(command) => {
            let (verb, nodes) = command.clone().split();
            verbs(&surroundings, &arguments.options, &verb, &nodes, json, color)
        }
        Verb::Install(install) => install::install(&surroundings, &arguments.options, install, json, color),
        Verb::Trust(trust) => trust::trust(&surroundings, trust, json, color),
    }
}

fn verbs(
    surroundings: &Surroundings,
    options: &Options,
    verb: &Asked,
    nodes: &Nodes,
    json: bool,
    color: bool,
) -> Result<(), Failure> {
    let refused = |unfit: Vec<node::Unfit>| Failure::Reported(show::unfit(&unfit, json, color));
    let nodes = node::select(surroundings.inventory(), nodes).map_err(refused)?;
    let setup = surroundings.setup(options, verb)?;
    let jobs = setup.jobs(&nodes, verb).map_err(refused)?;
    let names: Vec<&str> = nodes.iter().map(|node| node.hostname.as_str()).collect();
    if verb.interrupts() && names.len() > 1 && !options.yes {
        let question = format!("{} interrupts {} machines: {}", verb.title(), names.len(), names.join(", "));
        confirm(&question, "yes")?;
    }
    let show = Arc::new(Show::new(Form::of(verb, names.len(), json), color, &names));
    let watch: Arc<dyn node::Watch> = Arc::clone(&show) as _;
    runtime()?.block_on(async {
        let interrupt = listen()?;
        let told = Arc::clone(&show);
        let heard = interrupt.clone();
        let telling = tokio::spawn(async move {
            heard.reaches(1).await;
            told.say("interrupted: what has begun is finished first; Ctrl-C again leaves it as it is");
        });
        node::run(jobs, watch, &interrupt).await;
        telling.abort();
        Ok::<(), Failure>(())
    })?;
    surroundings.tell_first_seen(&|line| show.say(line));
    show.exit().map_or(Ok(()), |exit| Err(Failure::Reported(exit)))
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::Surroundings("start the asynchronous runtime".to_owned(), error))
}

fn listen() -> Result<Interrupt, Failure> {
    Interrupt::listen().map_err(|error| Failure::Surroundings("catch signals".to_owned(), error))
}

/// Asks on a terminal for a word to be typed; elsewhere `--yes` must have been given.
fn confirm(question: &str, word: &str) -> Result<(), Failure> {
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        eprintln!("error: {question}\nhelp: nobody can be asked here: give --yes");
        return Err(Failure::Reported(Exit::Arguments));
    }
    eprint!("{question}\nType '{word}' to go on: ");
    let mut answer = String::new();
    let read = io::stderr().flush().and_then(|()| io::stdin().lock().read_line(&mut answer));
    read.map_err(|error| Failure::Surroundings("read the answer".to_owned(), error))?;
    if answer.trim() == word {
        return Ok(());
    }
    eprintln!("nothing was changed");
    Err(Failure::Reported(Exit::Interrupted))
}
