//! A small HTTP server with faults, for tests: one thread per connection, one request per connection.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What goes wrong with requests whose path contains a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    Status(u16),
    /// Closes the connection after so many bytes of the body, so many times.
    Cut {
        after: usize,
        times: usize,
    },
    /// Flips a bit of the first byte.
    Altered,
    /// Leaves away the last byte, with a fitting Content-Length.
    Short,
    /// Sends the file over and over, without a length.
    Endless,
    /// Sends nothing after the headers.
    Silent,
}

pub struct Server {
    address: String,
    state: Arc<State>,
}

struct State {
    root: PathBuf,
    faults: Mutex<Vec<(String, Fault)>>,
    /// Request line, and the Range and If-Range headers.
    log: Mutex<Vec<String>>,
    stop: AtomicBool,
}

impl Server {
    pub fn start(root: PathBuf) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let state =
            Arc::new(State { root, faults: Mutex::default(), log: Mutex::default(), stop: AtomicBool::new(false) });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                if shared.stop.load(Ordering::Relaxed) {
                    return;
                }
                let state = Arc::clone(&shared);
                // A client that hangs up is part of the tests.
                std::thread::spawn(move || connection.is_ok_and(|stream| state.answer(stream).is_ok()));
            }
        });
        Server { address, state }
    }

    pub fn url(&self) -> url::Url {
        url::Url::parse(&format!("http://{}/", self.address)).expect("an address")
    }

    /// Replaces all faults.
    pub fn fault(&self, path_part: &str, fault: Fault) {
        *self.state.faults.lock().unwrap() = vec![(path_part.to_owned(), fault)];
    }

    pub fn no_fault(&self) {
        self.state.faults.lock().unwrap().clear();
    }

    /// Requests so far; empties the log.
    pub fn log(&self) -> Vec<String> {
        std::mem::take(&mut *self.state.log.lock().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(&self.address);
    }
}

impl State {
    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut request = String::new();
        reader.read_line(&mut request)?;
        let (mut from, mut note) = (0, request.split(' ').nth(1).unwrap_or("").to_owned());
        let path = note.clone();
        let mut if_range = None;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ").unwrap_or((line, ""));
            if name.eq_ignore_ascii_case("range") {
                from = value.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap_or(0);
                note += &format!(" range {value}");
            }
            if name.eq_ignore_ascii_case("if-range") {
                if_range = Some(value.to_owned());
                note += &format!(" if {value}");
            }
        }
        self.log.lock().unwrap().push(note);
        let fault = {
            let mut faults = self.faults.lock().unwrap();
            let found = faults.iter_mut().find(|(part, _)| path.contains(part.as_str()));
            match found {
                Some((_, Fault::Cut { times: 0, .. })) | None => None,
                Some((_, fault)) => {
                    let now = *fault;
                    if let Fault::Cut { times, .. } = fault {
                        *times -= 1;
                    }
                    Some(now)
                }
            }
        };
        if let Some(Fault::Status(status)) = fault {
            return write!(stream, "HTTP/1.1 {status} Fault\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
        let Ok(mut body) = std::fs::read(self.root.join(path.trim_start_matches('/'))) else {
            return write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        };
        let tag = format!("\"{}\"", provbuild::vocab::Digest::of(&body).short());
        match fault {
            Some(Fault::Altered) => body[0] ^= 1,
            Some(Fault::Short) => body.truncate(body.len() - 1),
            _ => {}
        }
        if if_range.is_some_and(|value| value != tag) {
            from = 0;
        }
        if fault == Some(Fault::Endless) {
            write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            loop {
                stream.write_all(&body)?;
            }
        }
        let total = body.len();
        let body = &body[from.min(total)..];
        match from {
            0 => write!(stream, "HTTP/1.1 200 OK\r\n")?,
            _ => write!(stream, "HTTP/1.1 206 Partial\r\nContent-Range: bytes {from}-{}/{total}\r\n", total - 1)?,
        }
        write!(stream, "ETag: {tag}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
        match fault {
            Some(Fault::Cut { after, .. }) => stream.write_all(&body[..after.min(body.len())]),
            Some(Fault::Silent) => {
                std::thread::sleep(Duration::from_secs(5));
                Ok(())
            }
            _ => stream.write_all(body),
        }
    }
}
