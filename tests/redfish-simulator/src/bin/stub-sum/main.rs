//! A STUB of Supermicro's SUM, for tests. It is not SUM, contains nothing of SUM, and talks to no BMC.
//!
//! Input: SUM's command line, the directory in `STUB_SUM_STATE` (else `stub-sum-state` beside the executable); output: SUM's exit codes and
//! files. Invariant: each call is recorded in `argv.log`; a password among the arguments is refused.

mod arguments;
mod outcome;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use redfish_simulator::sum::{
    Bios, Format, Refusal, Settings, StubSum, Wish, read_text, read_xml, write_text, write_xml,
};

use arguments::{Arguments, Command};
use outcome::Failure;

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let stub = StubSum::at(&directory());
    let done =
        stub.record(&given).map_err(|error| Failure::new(31, error.to_string())).and_then(|()| run(&given, &stub));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.code)
        }
    }
}

fn directory() -> PathBuf {
    let beside = || std::env::current_exe().ok().and_then(|exe| exe.parent().map(|at| at.join("stub-sum-state")));
    match std::env::var_os(StubSum::STATE) {
        Some(at) => at.into(),
        None => beside().unwrap_or_else(|| "stub-sum-state".into()),
    }
}

fn run(given: &[String], stub: &StubSum) -> Result<(), Failure> {
    let arguments = Arguments::parse(given)?;
    if arguments.help {
        print!("{}", arguments::HELP);
        return Ok(());
    }
    let settings = stub.settings().map_err(|error| Failure::new(31, format!("state.json: {error}")))?;
    if !arguments.no_banner {
        outcome::banner();
    }
    if settings.hang_seconds > 0 {
        std::thread::sleep(Duration::from_secs(settings.hang_seconds));
    }
    let command = arguments.command()?;
    let password = password(arguments.password_file()?)?;
    let host = arguments.host()?;
    if !settings.reachable {
        return Err(Failure::new(145, format!("cannot connect to {host}")));
    }
    if settings.user != arguments.user()? || settings.password != password {
        return Err(Failure::new(146, "invalid user name or password".into()));
    }
    if !settings.licensed {
        return Err(Failure::new(80, "the node product key SFT-OOB-LIC or SFT-DCMS-SINGLE is not activated".into()));
    }
    if settings.fail > 0 {
        return Err(Failure::new(settings.fail, "as state.json asked for".into()));
    }
    match command {
        Command::GetCurrentBiosCfg => get(&arguments, &settings),
        Command::ChangeBiosCfg => change(&arguments, stub, &settings, host),
    }
}

/// The first line of the file. Others must not be able to read it: SUM does not look, the stub does.
fn password(file: &Path) -> Result<String, Failure> {
    let cannot = |error: std::io::Error| Failure::new(8, format!("{}: {error}", file.display()));
    let mode = fs::metadata(file).map_err(cannot)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(Failure::new(12, format!("stub-sum: others may read the password file (mode {:o})", mode & 0o777)));
    }
    let text = fs::read_to_string(file).map_err(cannot)?;
    Ok(text.lines().next().unwrap_or_default().to_string())
}

fn get(arguments: &Arguments, settings: &Settings) -> Result<(), Failure> {
    let bytes = match settings.format {
        Format::Xml => write_xml(&settings.bios),
        Format::Text => write_text(&settings.bios),
    };
    let Some(file) = &arguments.file else {
        return std::io::Write::write_all(&mut std::io::stdout(), &bytes)
            .map_err(|error| Failure::new(31, error.to_string()));
    };
    if file.exists() && !arguments.overwrite {
        return Err(Failure::new(9, format!("{} already exists", file.display())));
    }
    fs::write(file, bytes).map_err(|error| Failure::new(8, format!("{}: {error}", file.display())))?;
    println!("File \"{}\" is created.", file.display());
    Ok(())
}

fn change(arguments: &Arguments, stub: &StubSum, settings: &Settings, host: &str) -> Result<(), Failure> {
    let file = arguments.file.as_ref().ok_or_else(|| Failure::new(5, "--file is missing".into()))?;
    let bytes = fs::read(file).map_err(|error| Failure::new(8, format!("{}: {error}", file.display())))?;
    let wishes = match settings.format {
        Format::Xml => read_xml(&bytes),
        Format::Text => read_text(&bytes, &settings.bios),
    };
    let wishes = wishes.map_err(|error| Failure::new(60, error))?;
    let changes = granted(&wishes, &settings.bios, arguments.skip_unknown)?;
    let nothing = changes.is_empty();
    stub.change(|settings| settings.pending.extend(changes)).map_err(|error| Failure::new(31, error.to_string()))?;
    if arguments.reboot {
        stub.reboot().map_err(|error| Failure::new(31, error.to_string()))?;
        outcome::status(&format!("The managed system {host} is rebooting."));
    }
    if nothing {
        outcome::note("No BIOS setting has been changed.");
    }
    outcome::status(&format!("The BIOS configuration is updated for {host}"));
    if !arguments.reboot {
        outcome::note("You have to reboot or power up the system for the changes to take effect.");
    }
    Ok(())
}

/// What differs from what is, by key; or the first wish that cannot be granted, and then nothing is.
fn granted(wishes: &[Wish], bios: &Bios, skip_unknown: bool) -> Result<Vec<(String, String)>, Failure> {
    let mut changes = Vec::new();
    for wish in wishes {
        match bios.check(wish) {
            Ok(setting) if setting.value == wish.value => {}
            Ok(setting) => changes.push((setting.key(), wish.value.clone())),
            Err(Refusal::Unknown(_)) if skip_unknown => {}
            Err(Refusal::Unknown(key)) => {
                return Err(Failure::new(60, format!("the setting {key} is not supported")));
            }
            Err(Refusal::Value(key)) => {
                return Err(Failure::new(60, format!("the value of {key} is invalid")));
            }
        }
    }
    Ok(changes)
}
