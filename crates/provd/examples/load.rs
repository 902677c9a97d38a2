//! Asks a boot server at a constant rate, and says how long the answers took.
//!
//! Usage: `load ADDRESS:PORT RATE SECONDS FILE`. Each line of FILE is one request: `METHOD PATH CLIENT BODY`, the body may be empty;
//! they are asked in turns. A request's time runs from the moment at which it was due, not from the moment at which it was sent: a
//! server that stops for a second is charged for every request that was due in it (no coordinated omission). Answers of other
//! statuses than 2xx and 404 are counted as failures. `%N` in a body becomes the request's number.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Requests that may be under way at once.
const CONNECTIONS: usize = 64;

struct Request {
    head: String,
    body: String,
}

fn requests(text: &str) -> Vec<Request> {
    let line = |line: &str| {
        let mut words = line.splitn(4, ' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        let (method, path, client, body) = (word(), word(), word(), word());
        let head = format!("{method} {path} HTTP/1.1\r\nHost: bench\r\nX-Bench-Address: {client}\r\n");
        Request { head, body }
    };
    text.lines().map(line).collect()
}

fn ask(stream: &mut BufReader<TcpStream>, request: &Request, number: usize) -> io::Result<u16> {
    let body = request.body.replace("%N", &number.to_string());
    let kind = if body.starts_with('{') { "application/json" } else { "text/plain" };
    let text = format!("{}Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", request.head, body.len());
    stream.get_mut().write_all(text.as_bytes())?;
    let (mut line, mut status, mut length) = (String::new(), 0, 0);
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end().split_once(' ') {
            Some((version, rest)) if version.starts_with("HTTP/") => {
                status = rest.get(..3).and_then(|status| status.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
            }
            Some((name, value)) if name.eq_ignore_ascii_case("content-length:") => {
                length = value.parse().map_err(io::Error::other)?;
            }
            Some((name, value)) if name.eq_ignore_ascii_case("transfer-encoding:") && value == "chunked" => {
                length = usize::MAX;
            }
            None if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    if length == usize::MAX {
        loop {
            line.clear();
            stream.read_line(&mut line)?;
            let size = usize::from_str_radix(line.trim_end(), 16).map_err(io::Error::other)?;
            let mut chunk = vec![0; size + 2];
            stream.read_exact(&mut chunk)?;
            if size == 0 {
                return Ok(status);
            }
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(status)
}

fn connect(address: &str) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    Ok(BufReader::new(stream))
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, rate, seconds, file] = &arguments[..] else {
        eprintln!("usage: load ADDRESS:PORT RATE SECONDS FILE");
        return ExitCode::from(2);
    };
    let (rate, seconds): (u32, u32) = (rate.parse().expect("a rate"), seconds.parse().expect("seconds"));
    let requests = requests(&std::fs::read_to_string(file).expect("the file of requests"));
    let (next, total) = (AtomicUsize::new(0), (rate * seconds) as usize);
    let (times, failures) = (Mutex::new(Vec::with_capacity(total)), AtomicUsize::new(0));
    let start = Instant::now() + Duration::from_millis(200);
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut stream = None;
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= total {
                        return;
                    }
                    let due = start + Duration::from_secs(1) * number as u32 / rate;
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    let request = &requests[number % requests.len()];
                    let open = stream.take().map_or_else(|| connect(address), Ok);
                    let asked = open.and_then(|mut open| ask(&mut open, request, number).map(|status| (open, status)));
                    match asked {
                        Ok((open, status)) if (200..300).contains(&status) || status == 404 => stream = Some(open),
                        Ok((open, _)) => {
                            failures.fetch_add(1, Ordering::Relaxed);
                            stream = Some(open);
                        }
                        Err(_) => {
                            failures.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    times.lock().expect("no thread has panicked").push(due.elapsed());
                }
            });
        }
    });
    let took = start.elapsed();
    let mut times = times.into_inner().expect("no thread has panicked");
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0;
    println!(
        "{} requests in {:.1} s, {} failed: p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms, max {:.2} ms",
        times.len(),
        took.as_secs_f64(),
        failures.into_inner(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0)
    );
    ExitCode::SUCCESS
}
