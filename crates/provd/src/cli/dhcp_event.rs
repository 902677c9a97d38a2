//! `provd dhcp-event`: dnsmasq's script, which tells the daemon of leases and of files sent by TFTP.
//!
//! dnsmasq waits for its script before it runs the next one, so this takes two seconds at most; and it can do nothing about a
//! failure, so the exit status is always success, with a line on standard error for the journal.

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use crate::dhcp::Event;

/// Longest time that this may take.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(super) struct DhcpEvent {
    /// As dnsmasq gives them: add|old|del MAC ADDRESS [HOSTNAME], or tftp SIZE ADDRESS PATH.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, num_args = 0..)]
    arguments: Vec<OsString>,
}

/// Where the daemon listens for this.
fn socket() -> PathBuf {
    std::env::var_os("PROVD_DHCP_SOCKET").map_or_else(|| PathBuf::from("/run/provd/dhcp.sock"), PathBuf::from)
}

pub(super) fn run(call: &DhcpEvent) {
    let Some(event) = Event::of_script(&call.arguments, |name| std::env::var_os(name)) else { return };
    let socket = socket();
    let (done, ended) = mpsc::channel();
    let path = socket.clone();
    // A thread that may be left behind: connecting to a socket whose queue is full cannot be given a limit otherwise.
    std::thread::spawn(move || {
        // Nobody waits any more where this fails.
        let _ = done.send(tell(&path, &event));
    });
    let problem = match ended.recv_timeout(PATIENCE) {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
    };
    eprintln!("provd dhcp-event: {}: {problem}; the daemon does not know of this", socket.display());
}

fn tell(socket: &Path, event: &Event) -> io::Result<()> {
    let body = serde_json::to_string(event)?;
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "POST /event HTTP/1.1\r\nHost: provd\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.take(4096).read_to_string(&mut answer)?;
    let line = answer.lines().next().unwrap_or_default();
    match line.starts_with("HTTP/1.1 204 ") {
        true => Ok(()),
        false => Err(io::Error::other(format!("it answered '{line}'"))),
    }
}
