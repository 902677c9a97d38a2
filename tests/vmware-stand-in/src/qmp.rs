//! QEMU's monitor over its socket: one command, one answer.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

/// In the machine's directory.
pub(crate) const SOCKET: &str = "qmp";

pub(crate) struct Monitor {
    writer: UnixStream,
    reader: BufReader<UnixStream>,
}

impl Monitor {
    pub(crate) fn connect(directory: &Path) -> io::Result<Monitor> {
        // The name of a socket has a hundred characters at most; a test's directory is longer.
        let opened = std::fs::File::open(directory)?;
        let writer = UnixStream::connect(format!("/proc/self/fd/{}/{SOCKET}", opened.as_raw_fd()))?;
        writer.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut monitor = Monitor { reader: BufReader::new(writer.try_clone()?), writer };
        monitor.line()?;
        monitor.execute("qmp_capabilities", json!({}))?;
        Ok(monitor)
    }

    fn line(&mut self) -> io::Result<Value> {
        let mut line = String::new();
        match self.reader.read_line(&mut line)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(serde_json::from_str(&line)?),
        }
    }

    pub(crate) fn execute(&mut self, command: &str, arguments: Value) -> io::Result<()> {
        let mut text = json!({ "execute": command, "arguments": arguments }).to_string();
        text.push('\n');
        self.writer.write_all(text.as_bytes())?;
        loop {
            // What is neither is an event.
            let answer = self.line()?;
            if answer.get("return").is_some() {
                return Ok(());
            }
            if let Some(error) = answer.get("error") {
                return Err(io::Error::other(format!("{command}: {error}")));
            }
        }
    }
}
