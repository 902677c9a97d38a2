//! What the target's programs say, on its way to a file of the host.
//!
//! The programs get a pipe that was made inside, never the file: they could truncate it, change its mode or fill the host's
//! disk through it. In: their output. Out: the file, up to a limit, and the last words for an error.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How much is kept, in bytes; the rest is read and forgotten.
const LIMIT: u64 = 16 << 20;
/// How much of the end an error carries, in bytes.
const TAIL: usize = 4096;

pub(super) struct Log {
    writer: PipeWriter,
    tail: Arc<Mutex<Vec<u8>>>,
}

impl Log {
    /// Starts the thread that copies.
    pub(super) fn start(file: File) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        let tail = Arc::new(Mutex::new(Vec::new()));
        let shared = tail.clone();
        thread::Builder::new().name("log".into()).spawn(move || copy(reader, file, &shared))?;
        Ok(Log { writer, tail })
    }

    /// An end for one program.
    pub(super) fn writer(&self) -> io::Result<PipeWriter> {
        self.writer.try_clone()
    }

    /// The last words of a program that has ended.
    pub(super) fn tail(&self) -> String {
        // The program is gone, but the copying thread may still have its last lines before it.
        thread::sleep(Duration::from_millis(100));
        let tail = self.tail.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        String::from_utf8_lossy(&tail).into_owned()
    }
}

fn copy(mut reader: PipeReader, mut file: File, tail: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 16 << 10];
    let mut written = 0;
    loop {
        let n = match reader.read(&mut buffer) {
            Ok(0) => return,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        written += n as u64;
        // A log that cannot be written must not stop the work that it is about; the error's tail is kept in memory.
        if written <= LIMIT {
            let _ = file.write_all(&buffer[..n]);
        }
        let mut tail = tail.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        tail.extend_from_slice(&buffer[..n]);
        let excess = tail.len().saturating_sub(TAIL);
        tail.drain(..excess);
    }
}
