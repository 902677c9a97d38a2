//! The daemon: reads what was declared, opens the store, listens, watches the time, until it is told to stop.
//!
//! ```text
//! nodes.sock    nginx, for the provisioning network      boot scripts, seeds, reports
//! web.sock      nginx, for the management side           page, API, metrics, health
//! local.sock    the command line on the appliance        the API, named by the kernel
//! dhcp.sock     dnsmasq's script                         leases, files sent by TFTP
//! ```
//! systemd makes the sockets and hands them over, so that requests wait while the daemon starts again; without it they are
//! made below a directory.

use std::fs;
use std::io;
use std::os::fd::FromRawFd as _;
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use jiff::Timestamp;
use netboot::Declared;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::{App, Shared};
use crate::control::{self, Control};
use crate::pen::Pen;
use crate::registry::{Places, Registry};
use crate::store::{Claim, Store, StoreError};
use crate::{admin, dhcp, nodes, webhooks};

/// Time between two looks at the clock.
const TICK: Duration = Duration::from_secs(5);
/// Ticks between two writings of when nodes were heard.
const REMEMBER: u32 = 12;
/// For operations on BMCs that go on when the daemon is told to stop. A little less than systemd gives it (`TimeoutStopSec=`).
const STOPPING: Duration = Duration::from_secs(570);

/// What the daemon is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// [`netboot::DECLARED_PATH`]
    pub declared: PathBuf,
    /// The database.
    pub database: PathBuf,
    /// File with the image's digest, where there is an image.
    pub image: Option<PathBuf>,
    /// Where the state disk is mounted, where there is one.
    pub state: PathBuf,
    pub places: Places,
    /// Where to make the sockets if systemd hands none over.
    pub sockets: Option<PathBuf>,
    pub webhooks: webhooks::Files,
    pub control: control::Settings,
}

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}: not what this provd reads: {reason}", path.display())]
    Declared { path: PathBuf, reason: String },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("systemd handed over no socket '{0}'")]
    NoSocket(&'static str),
    #[error("listening: {0}")]
    Listen(io::Error),
}

/// Runs until SIGTERM or SIGINT, and then until the operations that go on have ended. A second signal ends it at once.
///
/// # Errors
/// Whatever keeps it from starting; once it serves, only a listener that breaks.
pub async fn serve(options: Options) -> Result<(), ServeError> {
    let declared = read_declared(&options.declared)?;
    let image = match &options.image {
        Some(path) => Some(read(path)?.trim().to_owned()),
        None => None,
    };
    let _claim = Claim::of(&options.database)?;
    let store = Arc::new(Store::open(&options.database)?);
    let registry = Registry::open(declared, options.places.clone(), Arc::clone(&store), Timestamp::now())?;
    let pen = Pen::of_site(Arc::clone(&store), registry.declared());
    let control = Control::new(options.control.clone());
    let app: Shared = Arc::new(App { registry, pen, control, image, state: options.state.clone() });
    control::recover(&app)?;

    let fronts = [
        ("nodes", nodes::router(Arc::clone(&app))),
        ("web", admin::router(Arc::clone(&app))),
        ("local", admin::local_router(Arc::clone(&app))),
        ("dhcp", dhcp::router(Arc::clone(&app))),
    ];
    let mut handed = sockets_of_systemd();
    let mut listening = tokio::task::JoinSet::new();
    for (name, router) in fronts {
        let listener = match &options.sockets {
            Some(directory) => bind(&directory.join(format!("{name}.sock")))?,
            None => {
                let at = handed.iter().position(|(given, _)| given == name).ok_or(ServeError::NoSocket(name))?;
                handed.swap_remove(at).1
            }
        };
        listening.spawn(listen(name, listener, router));
    }
    tokio::spawn(watch(Arc::clone(&app)));
    // Nodes do not wait for receivers: without webhooks they are served all the same.
    if let Err(error) = webhooks::start(&app, &options.webhooks) {
        tracing::error!("no webhooks: {error}");
    }
    // Outside systemd nobody listens.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    tracing::info!(nodes = app.registry.declared().inventory.nodes.len(), "ready");

    let mut stop = signal(SignalKind::terminate()).map_err(ServeError::Listen)?;
    let result = tokio::select! {
        _ = stop.recv() => Ok(()),
        _ = tokio::signal::ctrl_c() => Ok(()),
        Some(ended) = listening.join_next() => ended.map_err(io::Error::other).and_then(|ended| ended).map_err(ServeError::Listen),
    };
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    // Everybody is served meanwhile, so that whoever follows an operation sees its end.
    tokio::select! {
        left = app.control.close(STOPPING) => if left > 0 {
            tracing::error!("{left} operations did not end in time and are left in their middle");
        },
        _ = stop.recv() => tracing::warn!("told to stop again: operations may be left in their middle"),
        _ = tokio::signal::ctrl_c() => tracing::warn!("told to stop again: operations may be left in their middle"),
    }
    app.registry.remember()?;
    app.pen.flush(Timestamp::now())?;
    result
}

/// Reads what the builder declared.
///
/// # Errors
/// The file cannot be read, or is of another format.
pub fn read_declared(path: &Path) -> Result<Declared, ServeError> {
    let bad = |reason: String| ServeError::Declared { path: path.to_owned(), reason };
    let declared: Declared = serde_json::from_str(&read(path)?).map_err(|error| bad(error.to_string()))?;
    match declared.format {
        Declared::FORMAT => Ok(declared),
        other => Err(bad(format!("it has format {other}, not {}", Declared::FORMAT))),
    }
}

fn read(path: &Path) -> Result<String, ServeError> {
    fs::read_to_string(path).map_err(|source| ServeError::Io { path: path.to_owned(), source })
}

/// A socket file that another daemon left behind is replaced.
fn bind(path: &Path) -> Result<UnixListener, ServeError> {
    let at = |source| ServeError::Io { path: path.to_owned(), source };
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(error)),
        _ => {}
    }
    UnixListener::bind(path).map_err(at)
}

/// The sockets that systemd hands over, by the names of `FileDescriptorName=` (sd_listen_fds(3)).
fn sockets_of_systemd() -> Vec<(String, UnixListener)> {
    let Ok(handed) = sd_notify::listen_fds_with_names() else { return Vec::new() };
    handed
        .filter_map(|(fd, name)| {
            // SAFETY: systemd has opened this descriptor for us, and nothing else in this process owns it.
            let listener = unsafe { StdListener::from_raw_fd(fd) };
            listener.set_nonblocking(true).ok()?;
            Some((name.to_string(), UnixListener::from_std(listener).ok()?))
        })
        .collect()
}

/// Behind the local socket the kernel tells who connects.
async fn listen(name: &str, listener: UnixListener, router: Router) -> io::Result<()> {
    match name {
        "local" => axum::serve(listener, router.into_make_service_with_connect_info::<admin::Peer>()).await,
        _ => axum::serve(listener, router).await,
    }
}

async fn watch(app: Shared) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for count in 1_u32.. {
        ticks.tick().await;
        let app = Arc::clone(&app);
        let looked = tokio::task::spawn_blocking(move || {
            app.registry.tick(Timestamp::now())?;
            app.pen.flush(Timestamp::now())?;
            if count % REMEMBER == 0 { app.registry.remember() } else { Ok(()) }
        });
        match looked.await {
            Ok(looked) => {
                // It lives: a full disk is nothing that starting again would mend.
                let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
                if let Err(error) = looked {
                    tracing::error!("watching the time: {error}");
                }
            }
            Err(error) => tracing::error!("watching the time: {error}"),
        }
    }
}
