//! The target's own dpkg configures what was unpacked: preinst, postinst, triggers.
//!
//! `dpkg --unpack` would run each preinst and lay out the files again; the files are there already, so the preinst
//! scripts are run here, in dependency order, with the environment that dpkg gives them. Everything after is dpkg's.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;

use super::deb::Control;
use super::failure::Failure;
use super::in_tree;
use super::log::Log;
use super::unpack::Unpacked;
use crate::exec::sandbox::Restrictions;
use crate::vocab::Epoch;

/// Where dpkg holds the control files of the package that it is unpacking.
const UNPACKING: &str = "/var/lib/dpkg/tmp.ci";

/// Programs that packages run again and again while they are configured, and that are run once, or not at all, when all are:
/// the initramfs and the certificates' links are made at the end, host keys at the appliance's first boot.
const DEFERRED: [&str; 3] = ["/usr/sbin/update-initramfs", UPDATE_CERTIFICATES, "/usr/bin/ssh-keygen"];
const UPDATE_CERTIFICATES: &str = "/usr/sbin/update-ca-certificates";

/// Runs programs of the target: a fixed environment, restricted, everything that they say into the log.
pub(super) struct Runner {
    log: Log,
    restrictions: Arc<Restrictions>,
    epoch: Epoch,
}

impl Runner {
    pub(super) fn new(log: File, epoch: Epoch) -> Result<Self, Failure> {
        let restrictions = Restrictions::new().map_err(Failure::io("prepare the system call filter"))?;
        let log = Log::start(log).map_err(Failure::io("start the log"))?;
        Ok(Runner { log, restrictions: restrictions.into(), epoch })
    }

    fn command(&self, program: &str) -> io::Result<Command> {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/root")
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .env("SHELL", "/bin/sh")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("DEBCONF_NONINTERACTIVE_SEEN", "true")
            .env("SOURCE_DATE_EPOCH", self.epoch.0.to_string())
            .env("PERL_HASH_SEED", "0")
            .env("PYTHONHASHSEED", "0")
            .env("SYSTEMD_OFFLINE", "1")
            // Kernel packages and initramfs-tools: the one initramfs is made when everything is configured.
            .env("INITRD", "No")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(self.log.writer()?)
            .stderr(self.log.writer()?);
        let restrictions = self.restrictions.clone();
        // SAFETY: `apply` makes plain system calls only.
        unsafe { command.pre_exec(move || restrictions.apply()) };
        Ok(command)
    }

    /// Runs a program to its end.
    pub(super) fn run(&self, program: &str, arguments: &[&str]) -> Result<(), Failure> {
        let name = || format!("{program} {}", arguments.join(" "));
        let status = self
            .command(program)
            .and_then(|mut command| command.args(arguments).status())
            .map_err(Failure::io(format!("run {}", name())))?;
        match status.success() {
            true => Ok(()),
            false if Failure::tree_is_full() => Err(Failure::too_large()),
            false => Err(Failure::Program { program: name(), status: status.to_string(), tail: self.log.tail() }),
        }
    }

    /// Runs a preinst where dpkg would: debconf tells the package's name and its templates by that directory.
    fn run_preinst(&self, control: &Control, dpkg_version: &str) -> Result<(), Failure> {
        let package = control.package();
        let lay_out = || {
            fs::create_dir(UNPACKING)?;
            control.files().try_for_each(|(name, file)| {
                let path = format!("{UNPACKING}/{name}");
                fs::write(&path, &file.bytes)?;
                // Like dpkg, whatever mode the archive gives a script.
                let mode = if name == "preinst" { 0o755 } else { file.mode };
                fs::set_permissions(&path, fs::Permissions::from_mode(mode))
            })
        };
        lay_out().map_err(Failure::io(format!("lay out the control files of {package}")))?;
        let status = self
            .command(&format!("{UNPACKING}/preinst"))
            .and_then(|mut command| {
                command
                    .arg("install")
                    .env("DPKG_MAINTSCRIPT_PACKAGE", package)
                    .env("DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT", "1")
                    .env("DPKG_MAINTSCRIPT_ARCH", control.architecture())
                    .env("DPKG_MAINTSCRIPT_NAME", "preinst")
                    .env("DPKG_ADMINDIR", "/var/lib/dpkg")
                    .env("DPKG_ROOT", "")
                    .env("DPKG_RUNNING_VERSION", dpkg_version)
                    .status()
            })
            .map_err(Failure::io(format!("run the preinst of {package}")))?;
        fs::remove_dir_all(UNPACKING).map_err(Failure::io(format!("remove {UNPACKING}")))?;
        match status.success() {
            true => Ok(()),
            false => Err(Failure::Script {
                package: package.to_owned(),
                script: "preinst".to_owned(),
                status: status.to_string(),
                tail: self.log.tail(),
            }),
        }
    }
}

/// Configures all packages.
pub(super) fn configure(packages: &[Unpacked], runner: &Runner) -> Result<(), Failure> {
    let policy = StandIn::script("/usr/sbin/policy-rc.d", "exit 101")?;
    let deferred = DEFERRED.into_iter().filter(|path| fs::symlink_metadata(path).is_ok());
    let deferred: Vec<StandIn> = deferred.map(|path| StandIn::script(path, "exit 0")).collect::<Result<_, _>>()?;
    // Nothing works before there are users, and base-passwd says so nowhere: the essential set has no dependencies.
    let present = |name: &str| packages.iter().any(|package| package.control.package() == name);
    let first: Vec<&str> = ["base-passwd", "base-files"].into_iter().filter(|name| present(name)).collect();
    let mut arguments = vec!["--configure", "--force-depends", "--no-triggers"];
    arguments.extend(&first);
    if !first.is_empty() {
        prepare_awk().map_err(Failure::io("provide awk"))?;
        runner.run("dpkg", &arguments)?;
    }
    super::accounts::reserve(packages)?;
    let dpkg_version = packages.iter().find(|package| package.control.package() == "dpkg").map_or("", |dpkg| {
        let version = dpkg.control.version();
        version.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or(version)
    });
    for package in dependency_order(packages) {
        if package.control.file("preinst").is_some() {
            runner.run_preinst(&package.control, dpkg_version)?;
        }
    }
    runner.run("dpkg", &["--configure", "--pending", "--force-unsafe-io"])?;
    policy.restore()?;
    deferred.into_iter().try_for_each(StandIn::restore)
}

/// Makes the links to the certificates of all authorities, once.
pub(super) fn link_certificates(runner: &Runner) -> Result<(), Failure> {
    match fs::symlink_metadata(UPDATE_CERTIFICATES) {
        Ok(_) => runner.run(UPDATE_CERTIFICATES, &[]),
        Err(_) => Ok(()),
    }
}

/// base-files' postinst needs an awk before mawk's postinst has registered its alternative.
fn prepare_awk() -> io::Result<()> {
    let awk = "/usr/bin/awk";
    if fs::symlink_metadata(awk).is_err() && fs::symlink_metadata("/usr/bin/mawk").is_ok() {
        std::os::unix::fs::symlink("mawk", awk)?;
    }
    Ok(())
}

/// A script that stands in for a program while packages are configured.
struct StandIn {
    path: &'static str,
    original: Option<(Vec<u8>, fs::Metadata)>,
}

impl StandIn {
    fn script(path: &'static str, body: &str) -> Result<Self, Failure> {
        let original = match fs::symlink_metadata(path) {
            Ok(meta) => Some((in_tree::read(path).map_err(Failure::io(format!("read {path}")))?, meta)),
            Err(_) => None,
        };
        in_tree::write(path, format!("#!/bin/sh\n{body}\n").as_bytes(), 0o755)
            .map_err(Failure::io(format!("write {path}")))?;
        Ok(StandIn { path, original })
    }

    fn restore(self) -> Result<(), Failure> {
        let restored = match &self.original {
            None => fs::remove_file(self.path),
            Some((bytes, meta)) => in_tree::replace(self.path, bytes, |file| in_tree::keep(file, meta)),
        };
        restored.map_err(Failure::io(format!("restore {}", self.path)))
    }
}

/// Packages so that each comes after those it depends on; cycles are cut where they are found, in the given order.
fn dependency_order(packages: &[Unpacked]) -> Vec<&Unpacked> {
    let mut providers: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, package) in packages.iter().enumerate() {
        for item in package.control.field("Provides").unwrap_or("").split(',') {
            providers.entry(bare(item)).or_insert(index);
        }
    }
    for (index, package) in packages.iter().enumerate() {
        providers.insert(package.control.package(), index);
    }
    let mut order = Vec::with_capacity(packages.len());
    let mut seen = vec![false; packages.len()];
    for start in 0..packages.len() {
        // Depth-first without recursion: a package is emitted when all of its dependencies have been looked at.
        let mut stack = vec![(start, false)];
        while let Some((index, done)) = stack.pop() {
            if done {
                order.push(&packages[index]);
                continue;
            }
            if std::mem::replace(&mut seen[index], true) {
                continue;
            }
            stack.push((index, true));
            let control = &packages[index].control;
            let fields = ["Depends", "Pre-Depends"].into_iter().filter_map(|name| control.field(name));
            let names = fields.flat_map(|field| field.split([',', '|'])).map(bare);
            let needed: Vec<usize> = names.filter_map(|name| providers.get(name).copied()).collect();
            stack.extend(needed.into_iter().rev().filter(|needed| !seen[*needed]).map(|needed| (needed, false)));
        }
    }
    order
}

/// A relation's package name, without version, architecture and white space.
fn bare(item: &str) -> &str {
    item.split(['(', ':', '[']).next().unwrap_or("").trim()
}
