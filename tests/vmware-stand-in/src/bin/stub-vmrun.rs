//! A STUB of VMware's vmrun, for tests: it is not VMware's. Its settings are in the environment (README.md).

use std::io::Write as _;
use std::process::ExitCode;

use nix::sys::signal::{Signal, kill};
use vmware_stand_in::engine::Engine;
use vmware_stand_in::{Settings, vmrun, watch};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    if watch::watches(&arguments) {
        return ExitCode::SUCCESS;
    }
    let engine = Settings::from(|name| std::env::var_os(name))
        .and_then(|settings| Engine::new(settings).map_err(|error| error.to_string()));
    let answer = match engine {
        Ok(engine) => vmrun::run(&engine, &arguments),
        Err(error) => {
            eprintln!("stub-vmrun: {error}");
            return ExitCode::from(70);
        }
    };
    if answer.kills_caller {
        // The caller may be gone already.
        let _ = kill(nix::unistd::getppid(), Signal::SIGKILL);
    }
    // Nobody may be reading.
    let _ = std::io::stdout().write_all(answer.text.as_bytes());
    ExitCode::from(u8::try_from(answer.code).unwrap_or(255))
}
