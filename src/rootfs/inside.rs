//! The work inside the sandbox, from the request on standard input to the pack.

use std::fs::File;
use std::io::{self, BufRead, Write as _};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::deb::Deb;
use super::failure::Failure;
use super::{configure, database, initramfs, read_back, unpack};
use crate::exec::sandbox::{self, Inside, Message};
use crate::tree::{PackError, PackWriter};
use crate::vocab::Epoch;

/// What the outside asks for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    /// .debs of the host, in their order of precedence.
    pub(super) packages: Vec<PathBuf>,
    /// Directory of the host that receives the pack.
    pub(super) pack: PathBuf,
    pub(super) log: PathBuf,
    pub(super) epoch: Epoch,
    /// Bytes that the tree may take.
    pub(super) size_limit: u64,
}

/// Files of the host, opened before the way in closes behind us.
struct Opened {
    packages: Vec<(String, File)>,
    pack: PackWriter,
    log: File,
    epoch: Epoch,
    size_limit: u64,
}

/// Entry of the sandboxed process; gives its exit code. Must be called before the process has any thread.
pub fn run() -> i32 {
    let (opened, size_limit) = match receive() {
        Ok(request) => request,
        Err(error) => return sandbox::give_up("open the files of the request", &error),
    };
    sandbox::enter(size_limit, |inside| {
        let message = match work(opened, inside) {
            Ok(()) => Message::Done,
            Err(failure) => Message::Failed(serde_json::to_value(failure).unwrap_or_default()),
        };
        if let Err(error) = inside.say(&message) {
            let _ = writeln!(io::stderr(), "provbuild: the sandbox cannot report: {error}");
        }
    })
}

fn receive() -> io::Result<(Opened, u64)> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let request: Request = serde_json::from_str(&line)?;
    raise_file_limit(request.packages.len() as u64 + 256)?;
    let packages = request.packages.iter().map(|path| Ok((path.display().to_string(), File::open(path)?)));
    let packages = packages.collect::<io::Result<_>>()?;
    let log = File::options().create(true).truncate(true).read(true).write(true).open(&request.log)?;
    let pack = PackWriter::create(&request.pack).map_err(|error| match error {
        PackError::Io { source, .. } => source,
        error => io::Error::other(error),
    })?;
    let size_limit = request.size_limit;
    Ok((Opened { packages, pack, log, epoch: request.epoch, size_limit }, size_limit))
}

fn raise_file_limit(wanted: u64) -> io::Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard)?;
    }
    Ok(())
}

fn work(opened: Opened, inside: &Inside) -> Result<(), Failure> {
    let step = |name: &str| inside.say(&Message::Step(name.to_owned())).map_err(Failure::io("report progress"));
    step(&format!("unpack {} packages", opened.packages.len()))?;
    let open = |(name, file): (String, File)| {
        Deb::open(file).map_err(|error| Failure::Package { package: name, reason: error.to_string() })
    };
    let mut debs = opened.packages.into_iter().map(open).collect::<Result<Vec<_>, _>>()?;
    // base-files lays down the directories that all others use: its modes and links come first.
    debs.sort_by_key(|deb| deb.control.package() != "base-files");
    let (unpacked, covered) = unpack::unpack(debs)?;
    step("configure")?;
    database::write(&unpacked)?;
    let runner = configure::Runner::new(opened.log, opened.epoch)?;
    configure::configure(&unpacked, &runner)?;
    step("make the initramfs")?;
    // Neither reads what the other writes.
    std::thread::scope(|scope| {
        let certificates = scope.spawn(|| configure::link_certificates(&runner));
        let initramfs = initramfs::make(&runner);
        let certificates = certificates.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        initramfs.and(certificates)
    })?;
    step("read the tree back")?;
    inside.end_others();
    inside.unmount_helpers().map_err(Failure::io("unmount the sandbox's own directories"))?;
    covered.apply()?;
    read_back::read_back(opened.pack, opened.epoch, opened.size_limit)
}
