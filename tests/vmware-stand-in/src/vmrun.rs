//! vmrun's command line: arguments to the engine's verbs, and their answers to its texts and exit codes.
//!
//! Errors go to stdout with exit code 255, as the real one does it.

use std::path::{Path, PathBuf};

use crate::calls::{self, Call};
use crate::engine::Engine;
use crate::faults::Moment;
use crate::{Refusal, now};

const USAGE: &str = "\
stub-vmrun: a STUB of VMware's vmrun, for tests only. It is not VMware's.
Usage: vmrun [-T ws|player] COMMAND [PARAMETERS]
POWER: start X.vmx [gui|nogui], stop X.vmx [hard|soft], reset X.vmx [hard|soft]
GENERAL: list, checkToolsState X.vmx, deleteVM X.vmx
GUEST: getGuestIPAddress X.vmx [-wait], connectNamedDevice X.vmx DEVICE, disconnectNamedDevice X.vmx DEVICE,
       readVariable X.vmx runtimeConfig|guestVar NAME, writeVariable X.vmx guestVar NAME VALUE
";
const FAILED: i32 = 255;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub text: String,
    pub code: i32,
    /// A test wants the caller dead at this point.
    pub kills_caller: bool,
}

impl Answer {
    fn failed(text: &str) -> Answer {
        Answer { text: text.to_owned(), code: FAILED, kills_caller: false }
    }
}

/// One call, recorded.
pub fn run(engine: &Engine, arguments: &[String]) -> Answer {
    let mut call =
        Call { time: now(), program: "vmrun".into(), arguments: arguments.to_vec(), exit: 0, said: String::new() };
    let answer = faulty(engine, call.command(), arguments);
    call.exit = answer.code;
    call.said.clone_from(&answer.text);
    match calls::record(&engine.settings().directory, &call) {
        Ok(()) => answer,
        Err(error) => Answer::failed(&format!("Error: stand-in: {}: {error}\n", calls::FILE_NAME)),
    }
}

fn faulty(engine: &Engine, command: &str, arguments: &[String]) -> Answer {
    let faults = engine.faults();
    if let Some(time) = faults.hang(command) {
        std::thread::sleep(time);
    }
    if faults.kills_caller(command, Moment::Before) {
        return Answer { kills_caller: true, ..Answer::failed("") };
    }
    if let Some(message) = faults.message(command, Moment::Before) {
        return Answer::failed(&format!("Error: {message}\n"));
    }
    let mut answer = match parse(arguments).map(|(command, parameters)| carry_out(engine, command, parameters)) {
        Ok(Ok(text)) => Answer { text, code: 0, kills_caller: false },
        Ok(Err(Refusal(text))) => Answer::failed(&format!("Error: {text}\n")),
        Err(text) => Answer::failed(&text),
    };
    if answer.code == 0
        && let Some(message) = faults.message(command, Moment::After)
    {
        answer = Answer::failed(&format!("Error: {message}\n"));
    }
    answer.kills_caller = faults.kills_caller(command, Moment::After);
    answer
}

/// The flags stand before the command, and only there.
fn parse(arguments: &[String]) -> Result<(&str, &[String]), String> {
    let mut rest = arguments;
    loop {
        match rest {
            [flag, value, more @ ..] if flag == "-T" => {
                if !matches!(value.as_str(), "ws" | "player") {
                    return Err("Error: Unable to connect to host.\n".into());
                }
                rest = more;
            }
            [flag, _, more @ ..] if matches!(flag.as_str(), "-vp" | "-gu" | "-gp") => rest = more,
            [command, parameters @ ..] if !command.starts_with('-') => return Ok((command, parameters)),
            [] => return Err(USAGE.into()),
            [flag, ..] => return Err(format!("Unrecognized option: {flag}\n{USAGE}")),
        }
    }
}

fn absolute(vmx: &str) -> PathBuf {
    std::path::absolute(vmx).unwrap_or_else(|_| Path::new(vmx).to_owned())
}

fn carry_out(engine: &Engine, command: &str, parameters: &[String]) -> Result<String, Refusal> {
    let words: Vec<&str> = parameters.iter().map(String::as_str).collect();
    let nothing = |()| String::new();
    let invalid = || Err(Refusal::new(format!("Invalid arguments\n{USAGE}")));
    match (command, &words[..]) {
        ("list", []) => {
            let running = engine.running()?;
            let begin = format!("Total running VMs: {}\n", running.len());
            Ok(running.iter().fold(begin, |text, state| text + &format!("{}\n", state.vmx.display())))
        }
        ("start", [vmx]) => engine.start(&absolute(vmx), true).map(nothing),
        ("start", [vmx, window @ ("gui" | "nogui")]) => engine.start(&absolute(vmx), *window == "gui").map(nothing),
        // The configuration's powerType decides; everybody's is soft.
        ("stop", [vmx]) => engine.stop(&absolute(vmx), false).map(nothing),
        ("stop", [vmx, how @ ("hard" | "soft")]) => engine.stop(&absolute(vmx), *how == "hard").map(nothing),
        ("reset", [vmx] | [vmx, "hard" | "soft"]) => engine.reset(&absolute(vmx)).map(nothing),
        ("getGuestIPAddress", [vmx]) => engine.address(&absolute(vmx), false).map(|address| format!("{address}\n")),
        ("getGuestIPAddress", [vmx, "-wait"]) => {
            engine.address(&absolute(vmx), true).map(|address| format!("{address}\n"))
        }
        ("checkToolsState", [vmx]) => engine.tools(&absolute(vmx)).map(|state| format!("{state}\n")),
        ("connectNamedDevice", [vmx, device]) => engine.connect(&absolute(vmx), device, true).map(nothing),
        ("disconnectNamedDevice", [vmx, device]) => engine.connect(&absolute(vmx), device, false).map(nothing),
        ("deleteVM", [vmx]) => engine.delete(&absolute(vmx)).map(nothing),
        ("readVariable", [vmx, kind @ ("runtimeConfig" | "guestVar"), name]) => {
            engine.variable(&absolute(vmx), *kind == "guestVar", name).map(|value| format!("{value}\n"))
        }
        ("writeVariable", [vmx, "guestVar", name, value]) => {
            engine.set_variable(&absolute(vmx), name, value).map(nothing)
        }
        (
            "list"
            | "start"
            | "stop"
            | "reset"
            | "getGuestIPAddress"
            | "checkToolsState"
            | "connectNamedDevice"
            | "disconnectNamedDevice"
            | "deleteVM"
            | "readVariable"
            | "writeVariable",
            _,
        ) => invalid(),
        _ => Err(Refusal::new(format!("Unrecognized command: {command}\n{USAGE}"))),
    }
}
