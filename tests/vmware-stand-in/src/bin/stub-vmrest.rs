//! A STUB of VMware's vmrest, for tests: it is not VMware's. `-i ADDRESS` (127.0.0.1), `-p PORT` (8697; 0 is a free one); it prints where it
//! serves, and serves until it is killed. Its settings are in the environment (README.md).

use std::net::TcpListener;
use std::process::ExitCode;

use vmware_stand_in::engine::Engine;
use vmware_stand_in::{Settings, vmrest, watch};

fn serve(arguments: &[String]) -> Result<(), String> {
    let (mut address, mut port) = ("127.0.0.1".to_owned(), "8697".to_owned());
    for pair in arguments.chunks(2) {
        match pair {
            [flag, value] if flag == "-i" => value.clone_into(&mut address),
            [flag, value] if flag == "-p" => value.clone_into(&mut port),
            _ => return Err(format!("{pair:?} is not understood: [-i ADDRESS] [-p PORT]")),
        }
    }
    let engine = Engine::new(Settings::from(|name| std::env::var_os(name))?).map_err(|error| error.to_string())?;
    let listener = TcpListener::bind(format!("{address}:{port}")).map_err(|error| error.to_string())?;
    println!("Serving HTTP on {}", listener.local_addr().map_err(|error| error.to_string())?);
    vmrest::serve(&listener, &engine).map_err(|error| error.to_string())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    if watch::watches(&arguments) {
        return ExitCode::SUCCESS;
    }
    match serve(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stub-vmrest: {error}");
            ExitCode::FAILURE
        }
    }
}
