//! A receiver of webhooks that behaves as it is told, over plain HTTP or TLS.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What is done with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Take,
    Fail,
    /// To another path of this server.
    Redirect,
    /// Ends the connection without an answer.
    Close,
    /// Never answers.
    Hang,
}

#[derive(Debug, Clone)]
pub(crate) struct Posted {
    pub(crate) path: String,
    pub(crate) signature: Option<String>,
    pub(crate) body: String,
    pub(crate) act: Act,
}

#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) port: u16,
    posted: Arc<Mutex<Vec<Posted>>>,
    acts: Arc<Mutex<Vec<Act>>>,
}

impl Receiver {
    /// Does these things with the first requests, and takes all after them.
    pub(crate) fn start(acts: &[Act], tls: Option<Arc<ServerConfig>>) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = Receiver {
            port: listener.local_addr().unwrap().port(),
            posted: Arc::default(),
            acts: Arc::new(Mutex::new(acts.iter().rev().copied().collect())),
        };
        let ours = receiver.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (ours, tls) = (ours.clone(), tls.clone());
                std::thread::spawn(move || ours.serve(stream?, tls));
            }
        });
        receiver
    }

    pub(crate) fn posted(&self) -> Vec<Posted> {
        self.posted.lock().unwrap().clone()
    }

    fn serve(&self, stream: TcpStream, tls: Option<Arc<ServerConfig>>) -> io::Result<()> {
        match tls {
            None => self.answer(stream),
            Some(config) => {
                let connection = ServerConnection::new(config).map_err(io::Error::other)?;
                self.answer(StreamOwned::new(connection, stream))
            }
        }
    }

    fn answer(&self, stream: impl Read + Write) -> io::Result<()> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let (mut length, mut signature) = (0, None);
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let Some((name, value)) = line.trim().split_once(": ") else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().map_err(io::Error::other)?,
                "x-provbuild-signature" => signature = Some(value.to_owned()),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let body = String::from_utf8(body).map_err(io::Error::other)?;
        let act = self.acts.lock().unwrap().pop().unwrap_or(Act::Take);
        self.posted.lock().unwrap().push(Posted { path, signature, body, act });
        let answer = match act {
            Act::Take => "204 No Content\r\n".to_owned(),
            Act::Fail => "503 Service Unavailable\r\nContent-Length: 0\r\n".to_owned(),
            Act::Redirect => "307 Temporary Redirect\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n".to_owned(),
            Act::Close => return Ok(()),
            Act::Hang => loop {
                std::thread::park();
            },
        };
        let mut stream = reader.into_inner();
        write!(stream, "HTTP/1.1 {answer}Connection: close\r\n\r\n")?;
        stream.flush()
    }
}
