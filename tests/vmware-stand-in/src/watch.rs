//! Ends a machine whose owner is gone: a test that was killed leaves no QEMU behind.
//!
//! A process of its own, `STUB __watch OWNER MACHINE`: it ends with either of the two.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::state::Process;

const WORD: &str = "__watch";

pub(crate) fn spawn(owner: i32, machine: Process) {
    let Ok(own) = std::env::current_exe() else { return };
    let mut command = Command::new(own);
    command.args([WORD, &owner.to_string(), &machine.id.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    // Without a watch the machine lives until it is stopped.
    let _ = command.spawn();
}

/// Does its work and gives true, if these are the arguments of a watch.
pub fn watches(arguments: &[String]) -> bool {
    let [word, owner, machine] = arguments else { return false };
    if word != WORD {
        return false;
    }
    let process = |id: &String| id.parse().ok().and_then(Process::of);
    let Some(machine) = process(machine) else { return true };
    let owner = process(owner);
    while machine.lives() {
        if !owner.is_some_and(Process::lives) {
            machine.kill();
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    true
}
