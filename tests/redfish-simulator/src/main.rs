//! The simulator by hand: `redfish-simulator --listen 127.0.0.1:8443 --model generic --fault weak-etags`.
//!
//! Input: options; output: address, user and fingerprint on stdout, one line each, when it listens. Invariant: runs until it is interrupted.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use redfish_simulator::{Fault, Model, Simulator};

/// For tests only: simulates BMCs with a Redfish service. No real machine is behind it.
#[derive(Parser)]
struct Options {
    /// Address and port; port 0 takes a free one. Several addresses start several BMCs.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: Vec<SocketAddr>,
    /// generic, supermicro-x11, dell, hpe or openbmc
    #[arg(long, default_value = "generic", value_parser = |name: &str| Model::by_name(name).ok_or("no such model"))]
    model: Model,
    /// Faults by name, as README.md lists them
    #[arg(long, num_args = 1..)]
    fault: Vec<Fault>,
    /// Before each answer, in milliseconds
    #[arg(long, default_value_t = 0)]
    latency: u64,
    /// How long power takes to show, in milliseconds
    #[arg(long, default_value_t = 0)]
    power_delay: u64,
    /// How long POST lasts, in milliseconds
    #[arg(long, default_value_t = 0)]
    post: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let mut model = options.model;
    model.latency = Duration::from_millis(options.latency);
    model.power_delay = Duration::from_millis(options.power_delay);
    model.post = Duration::from_millis(options.post);
    let mut running = Vec::new();
    for address in options.listen {
        let bmc = match Simulator::bind(address, model.clone()).await {
            Ok(bmc) => bmc,
            Err(error) => {
                eprintln!("error: cannot listen on {address}: {error}");
                return ExitCode::FAILURE;
            }
        };
        for fault in &options.fault {
            bmc.fault(fault.clone());
        }
        println!("{} user={} sha256={}", bmc.url(), bmc.credentials().0, hex::encode(bmc.certificate_sha256()));
        running.push(bmc);
    }
    match tokio::signal::ctrl_c().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
