//! Connections: TLS, HTTP/1.1, and how a reply goes onto the wire.
//!
//! Input: a listener, the service; output: nothing. Invariant: when the task is aborted, all its connections end with it.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Sleep;

use crate::faults::Cut;
use crate::reply::{Reply, Request};
use crate::service::Service;
use crate::tls::Identity;

/// Longer request bodies are cut off: the connection ends.
const LONGEST: usize = 1 << 20;

/// What a simulator's task and its handle share.
pub(crate) struct Shared {
    service: Mutex<Service>,
    identity: Mutex<Identity>,
}

impl Shared {
    pub(crate) fn new(service: Service, identity: Identity) -> Shared {
        Shared { service: Mutex::new(service), identity: Mutex::new(identity) }
    }

    pub(crate) fn with<T>(&self, use_it: impl FnOnce(&mut Service) -> T) -> T {
        use_it(&mut self.service.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn identity(&self) -> Identity {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn replace_identity(&self, identity: Identity) {
        *self.identity.lock().unwrap_or_else(PoisonError::into_inner) = identity;
    }
}

pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(stream, Arc::clone(&shared)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let acceptor = tokio_rustls::TlsAcceptor::from(shared.identity().config);
    let _ = stream.set_nodelay(true);
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let service = service_fn(|request| exchange(request, Arc::clone(&shared)));
    // Ends with an error when the client goes away or the reply is to be cut: both are meant.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn exchange(request: hyper::Request<Incoming>, shared: Arc<Shared>) -> io::Result<hyper::Response<Paced>> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let request = Request {
        method: parts.method.as_str().to_string(),
        path: if path.len() > 1 { path.trim_end_matches('/').to_string() } else { path.to_string() },
        query: parts.uri.query().unwrap_or_default().to_string(),
        headers: parts.headers,
        body: collect(body).await?,
    };
    let reply = shared.with(|service| service.answer(&request, Instant::now()));
    if !reply.delivery.before.is_zero() {
        tokio::time::sleep(reply.delivery.before).await;
    }
    if reply.delivery.cut == Some(Cut::BeforeHeaders) {
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    let mut response = hyper::Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        response = response.header(*name, value);
    }
    response.body(Paced::new(reply)).map_err(io::Error::other)
}

async fn collect(mut body: Incoming) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        if let Ok(data) = frame.map_err(io::Error::other)?.into_data() {
            all.extend_from_slice(&data);
        }
        if all.len() > LONGEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(all)
}

/// A body that goes out in pieces, late, or not to its end.
struct Paced {
    pieces: VecDeque<Bytes>,
    length: u64,
    pause: Option<Duration>,
    waiting: Option<Pin<Box<Sleep>>>,
    cut: bool,
}

impl Paced {
    fn new(reply: Reply) -> Paced {
        let cut = reply.delivery.cut == Some(Cut::InBody);
        let length = reply.body.len() as u64;
        let body = Bytes::from(reply.body);
        let sent = if cut { body.slice(..body.len() / 2) } else { body };
        let pieces = match reply.delivery.between_bytes {
            Some(_) => (0..sent.len()).map(|at| sent.slice(at..at + 1)).collect(),
            None if sent.is_empty() => VecDeque::new(),
            None => VecDeque::from([sent]),
        };
        Paced { pieces, length, pause: reply.delivery.between_bytes, waiting: None, cut }
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(waiting) = self.waiting.as_mut() {
            if waiting.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.waiting = None;
        }
        match self.pieces.pop_front() {
            Some(piece) => {
                // A cut comes after what was written has left.
                let pause = if self.cut { Some(Duration::from_millis(5)) } else { self.pause };
                self.waiting = pause.map(|pause| Box::pin(tokio::time::sleep(pause)));
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            None if self.cut => Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into()))),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty() && !self.cut
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}
