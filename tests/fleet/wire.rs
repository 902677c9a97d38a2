//! HTTP and TFTP as a loader or an installer speaks them: small, patient, from the network namespace of the calling thread.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

pub(crate) fn http(server: SocketAddr, method: &str, path: &str, body: &[u8]) -> io::Result<Answer> {
    let stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    exchange(stream, method, path, body)
}

/// The same over a socket of provd's.
pub(crate) fn local(socket: &Path, method: &str, path: &str, body: &[u8]) -> io::Result<Answer> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    exchange(stream, method, path, body)
}

fn exchange(mut stream: impl Read + Write, method: &str, path: &str, body: &[u8]) -> io::Result<Answer> {
    // As installers say it, whatever the body is.
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: 10.10.0.1\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    let mut body = answer.split_off(end + 4);
    if head.contains("transfer-encoding: chunked") {
        body = unchunked(&body).ok_or(io::ErrorKind::UnexpectedEof)?;
    } else if let Some((_, rest)) = head.split_once("content-length: ") {
        let length: usize =
            rest.lines().next().and_then(|length| length.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
        if body.len() != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Answer { status, body })
}

fn unchunked(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let end = body.windows(2).position(|two| two == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&body[..end]).ok()?, 16).ok()?;
        if size == 0 {
            return Some(whole);
        }
        whole.extend_from_slice(body.get(end + 2..end + 2 + size)?);
        body = body.get(end + 4 + size..)?;
    }
}

/// Reads a file in blocks of 512 bytes (RFC 1350).
pub(crate) fn tftp(server: SocketAddr, name: &str) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut request = vec![0, 1];
    request.extend_from_slice(name.as_bytes());
    request.extend_from_slice(b"\0octet\0");
    let (mut file, mut wanted, mut peer) = (Vec::new(), 1_u16, server);
    for _ in 0..1000 {
        socket.send_to(&request, peer)?;
        let mut packet = [0; 600];
        let (length, from) = match socket.recv_from(&mut packet) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            other => other?,
        };
        let packet = &packet[..length];
        match packet {
            [0, 3, high, low, data @ ..] if u16::from_be_bytes([*high, *low]) == wanted => {
                file.extend_from_slice(data);
                (peer, request) = (from, vec![0, 4, *high, *low]);
                wanted = wanted.wrapping_add(1);
                if data.len() < 512 {
                    socket.send_to(&request, peer)?;
                    return Ok(file);
                }
            }
            [0, 5, 0, 1, ..] => return Err(io::ErrorKind::NotFound.into()),
            [0, 5, ..] => return Err(io::Error::other("refused")),
            // A block that came twice.
            _ => {}
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}
