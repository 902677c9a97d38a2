//! `provbuild node`: the nodes' BMCs from this machine. Arguments and surroundings in, lines and an exit code out.

mod arguments;
mod install;
mod show;
mod surroundings;
mod trust;

use std::io::{self, BufRead as _, IsTerminal as _};
use std::sync::Arc;

use bmc::{Nodes, Verb as Asked};

pub(super) use arguments::NodeArguments;
use arguments::{Options, Verb};
use show::{Form, Show};
use surroundings::Surroundings;

use super::exit::Exit;
use super::failure::Failure;
use super::output::tell;
use crate::node::{self, Interrupt};

pub(super) fn node(arguments: &NodeArguments, json: bool, color: bool) -> Result<(), Failure> {
    // Passwords of BMCs are in its memory: no core dump has them. Where it is refused, so are they as a rule.
    let _ = nix::sys::prctl::set_dumpable(false);
    let surroundings = Surroundings::read(&arguments.options)?;
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
    let refused = |unfit: Vec<node::Unfit>| show::unfit(&unfit, json, color);
    let selected = node::select(surroundings.inventory(), nodes).map_err(refused)?;
    let (nodes, left_out) = node::fitting(selected, nodes, verb).map_err(refused)?;
    if let Some(left_out) = left_out {
        tell(&format!("{left_out}\n"));
    }
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
    show.tell_errors();
    surroundings.tell_first_seen(&nodes, &|line| show.say(line));
    show.failure().map_or(Ok(()), Err)
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
        return Err(Failure::plain(Exit::Arguments, question, "nobody can be asked here: give --yes"));
    }
    tell(&format!("{question}\nType '{word}' to go on: "));
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| Failure::Surroundings("read the answer".to_owned(), error))?;
    if answer.trim() == word {
        return Ok(());
    }
    tell("nothing was changed\n");
    Err(Failure::Reported { exit: Exit::Interrupted, message: "nothing was changed".to_owned() })
}
