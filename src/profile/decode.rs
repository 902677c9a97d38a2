//! The merged tree -> a [`Profile`]: defaults filled in, relations between options checked.
//!
//! Every function reads all of its options before it gives up, so that no fault hides another. `None` means that a
//! fault was reported.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use netboot::Hostname;
use url::Url;

use super::distributions::{self, Release as KnownRelease};
use super::fault::Fault;
use super::reader::{At, Decoding, Section};
use super::source::Span;
use super::word::*;
use super::*;
use crate::vocab::{ByteSize, ImagePath, Mode};

/// Reads a file that the profile copies into the image, relative to the file that names it.
pub(super) type ReadFile<'a> = &'a dyn Fn(usize, &str) -> Result<Vec<u8>, String>;
/// The path of a file relative to the file that names it.
pub(super) type Resolve<'a> = &'a dyn Fn(usize, &str) -> PathBuf;

const SMALLEST_DISK: ByteSize = ByteSize::gib(2);
const LARGEST_DISK: ByteSize = ByteSize::gib(8192);
const SMALLEST_MEMORY: ByteSize = ByteSize::mib(512);

pub(super) fn appliance(cx: &mut Decoding, root: &Section<'_>, name: Option<&str>) -> Option<Appliance> {
    let section = root.section("appliance");
    let mut hostname = section.word::<Hostname>(cx, "hostname").map(|at| at.value);
    if hostname.is_none()
        && section.key("hostname").is_none()
        && let Some(name) = name
    {
        match name.parse() {
            Ok(name) => hostname = Some(name),
            Err(error) => {
                let error: netboot::HostnameError = error;
                let fault = Fault::at(section.key("name").unwrap_or(section.span), error.to_string());
                cx.fault(fault.help("choose another name, or give the appliance a `hostname` of its own"));
            }
        }
    }
    let memory = section.word::<ByteSize>(cx, "memory");
    let cpus = section.integer::<u32>(cx, "cpus");
    let disk = section.word::<ByteSize>(cx, "disk");
    let timezone = section.word::<Timezone>(cx, "timezone");
    let locale = section.word::<Locale>(cx, "locale");
    let secure_boot = section.flag(cx, "secure-boot");
    let kernel_parameters = section.words::<KernelParameter>(cx, "kernel-parameters");
    let sysctl = section.map::<Line>(cx, "sysctl", "setting");
    let ssh = ssh(cx, &section);
    let users = users(cx, &section);

    if let Some(memory) = &memory {
        if !memory.bytes().is_multiple_of(ByteSize::mib(4).bytes()) {
            cx.fault(
                Fault::at(memory.span, "the memory is not a multiple of 4 MiB").help("write for example \"2GiB\""),
            );
        } else if memory.value < SMALLEST_MEMORY {
            let fault = Fault::at(memory.span, format!("{} of memory is too little to boot", memory.value));
            cx.fault(fault.help(format!("the appliance needs at least {SMALLEST_MEMORY}")));
        }
    }
    if let Some(disk) = &disk {
        if !disk.bytes().is_multiple_of(ByteSize::mib(1).bytes()) {
            let whole = ByteSize::mib(disk.bytes().div_ceil(ByteSize::mib(1).bytes()));
            let fault = Fault::at(disk.span, "the disk is not a multiple of 1 MiB");
            cx.fault(
                fault.help(format!("the next larger size that is one: \"{whole}\"; units with an i count by 1024")),
            );
        } else if disk.value < SMALLEST_DISK || disk.value > LARGEST_DISK {
            let fault = Fault::at(disk.span, format!("a disk of {} cannot hold the appliance", disk.value));
            cx.fault(fault.help(format!("sizes from {SMALLEST_DISK} to {LARGEST_DISK} are accepted")));
        }
    }
    Some(Appliance {
        hostname: hostname?,
        memory: memory?.value,
        cpus: cpus?.value,
        disk: disk?.value,
        timezone: timezone?.value.0,
        locale: locale?.value.0,
        users,
        ssh: ssh?,
        sysctl: sysctl.into_iter().map(|(name, at)| (name, at.value.0)).collect(),
        kernel_parameters: kernel_parameters.into_iter().map(|at| at.value.0).collect(),
        secure_boot: secure_boot?,
    })
}

fn ssh(cx: &mut Decoding, appliance: &Section<'_>) -> Option<Ssh> {
    let section = appliance.section("ssh");
    let port = section.integer::<u16>(cx, "port");
    let password_authentication = section.flag(cx, "password-authentication");
    Some(Ssh { port: port?.value, password_authentication: password_authentication? })
}

fn users(cx: &mut Decoding, appliance: &Section<'_>) -> Vec<User> {
    let mut users = Vec::new();
    for (name, section) in appliance.named("users", "user") {
        let ssh_keys: Vec<String> = section.words::<SshKey>(cx, "ssh-keys").into_iter().map(|at| at.value.0).collect();
        let password_hash = section.word::<PasswordHash>(cx, "password-hash").map(|at| at.value.0);
        let sudo = section.flag(cx, "sudo").unwrap_or(false);
        if section.key("ssh-keys").is_none() && section.key("password-hash").is_none() {
            let warning = Fault::at(name.span, format!("the user '{}' has neither a key nor a password", name.value));
            cx.warn(warning.help(format!("nobody can log in as '{}' until it has `ssh-keys`", name.value)));
        }
        users.push(User { name: name.value.to_owned(), sudo, password_hash, ssh_keys: distinct(ssh_keys) });
    }
    users
}

/// Drops repetitions, keeps the order.
pub(super) fn distinct<T: Ord + Clone>(items: Vec<T>) -> Vec<T> {
    let mut seen = BTreeSet::new();
    items.into_iter().filter(|item| seen.insert(item.clone())).collect()
}

/// Finds the release that a pair of options names.
pub(super) fn known_release(
    cx: &mut Decoding,
    distribution: Option<&At<DistributionName>>,
    release: Option<&At<ReleaseName>>,
) -> Option<&'static KnownRelease> {
    let (distribution, release) = (distribution?, release?);
    let found = distributions::release(distribution.value, &release.value.0);
    if found.is_none() {
        let names = || distributions::releases(distribution.value).flat_map(|known| [known.version, known.codename]);
        let help = match suggest::nearest(&release.value.0, names()) {
            Some(near) if near.parse::<f32>().is_err() => format!("did you mean \"{near}\"?"),
            _ => {
                let known = distributions::releases(distribution.value);
                let known: Vec<_> = known.map(|known| format!("{} ({})", known.version, known.codename)).collect();
                format!("known releases: {}", known.join(", "))
            }
        };
        let message = format!("{} has no release '{}'", distribution.value.title(), release.value.0.escape_debug());
        cx.fault(Fault::at(release.span, message).help(help));
    }
    found
}

pub(super) fn distribution(cx: &mut Decoding, root: &Section<'_>, resolve: Resolve<'_>) -> Option<Distribution> {
    let section = root.section("distribution");
    let name = section.word::<DistributionName>(cx, "name");
    let release = section.word::<ReleaseName>(cx, "release");
    let architecture = section.word::<ArchiveWord>(cx, "architecture");
    let components = section.words::<ArchiveWord>(cx, "components");
    let pockets = section.words::<ArchiveWord>(cx, "pockets");
    let mirrors = section.words::<Url>(cx, "mirrors");
    let security_mirrors = section.words::<Url>(cx, "security-mirrors");
    let snapshot = section.word::<Snapshot>(cx, "snapshot");
    let keyring = section.word::<FilePath>(cx, "keyring");
    let packages = section.words::<PackageName>(cx, "packages");
    let exclude = section.words::<PackageName>(cx, "exclude");
    let recommends = section.flag(cx, "recommends");
    let kernel = section.word::<PackageName>(cx, "kernel");

    let excluded: BTreeMap<&str, Span> = exclude.iter().map(|at| (at.value.0.as_str(), at.span)).collect();
    for package in packages.iter().chain(&kernel) {
        if let Some(span) = excluded.get(package.value.0.as_str()) {
            let fault = Fault::new(format!("the package '{}' is both asked for and excluded", package.value.0));
            cx.fault(fault.label(*span, "excluded here").label(package.span, "asked for here"));
        }
    }
    let known = known_release(cx, name.as_ref(), release.as_ref())?;
    let codename = known.codename;
    if let Some(architecture) = &architecture {
        among(cx, architecture, known.architectures, &format!("an architecture that provbuild builds {codename} for"));
    }
    components.iter().for_each(|at| among(cx, at, known.known_components, &format!("a component of {codename}")));
    pockets.iter().for_each(|at| among(cx, at, known.known_pockets, &format!("a pocket of {codename}")));
    let or = |written: Vec<At<ArchiveWord>>, key: &str, default: &[&str]| match section.key(key) {
        Some(_) => distinct(written.into_iter().map(|at| at.value.0).collect()),
        None => default.iter().map(|word| (*word).to_owned()).collect(),
    };
    let components = or(components, "components", known.components);
    if components.is_empty() {
        cx.fault(Fault::at(
            section.key("components").unwrap_or(section.span),
            "no component is left to take packages from",
        ));
    }
    let kernel = match kernel {
        None => Some(known.kernel.to_owned()),
        Some(kernel) if kernel.value.0 == "none" => None,
        Some(kernel) => Some(kernel.value.0),
    };
    let names = |list: Vec<At<PackageName>>| list.into_iter().map(|at| at.value.0).collect::<BTreeSet<_>>();
    let mut packages = names(packages);
    packages.extend(kernel.clone());
    Some(Distribution {
        name: name?.value,
        release: known.version.to_owned(),
        codename: codename.to_owned(),
        architecture: architecture?.value.0,
        components,
        mirrors: distinct(mirrors.into_iter().map(|at| at.value).collect()),
        security_mirrors: distinct(security_mirrors.into_iter().map(|at| at.value).collect()),
        snapshot: snapshot.map(|at| at.value.0),
        pockets: or(pockets, "pockets", known.pockets),
        keyring: keyring.map(|at| resolve(at.span.file, &at.value.0)),
        packages,
        exclude: names(exclude),
        recommends: recommends?,
        kernel,
    })
}

fn among(cx: &mut Decoding, at: &At<ArchiveWord>, known: &[&str], what: &str) {
    let word = at.value.0.as_str();
    if !known.contains(&word) {
        let help = match suggest::nearest(word, known.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("known are: {}", known.join(", ")),
        };
        cx.fault(Fault::at(at.span, format!("'{}' is not {what}", word.escape_debug())).help(help));
    }
}

pub(super) fn files(cx: &mut Decoding, root: &Section<'_>, read: ReadFile<'_>) -> BTreeMap<ImagePath, ExtraFile> {
    let mut files = BTreeMap::new();
    for (name, section) in root.named("files", "path") {
        let text = section.word::<Text>(cx, "text");
        let source = section.word::<FilePath>(cx, "source");
        let mode = section.word::<Mode>(cx, "mode").map_or(Mode::FILE, |at| at.value);
        let content = match (text, source) {
            (Some(text), None) => text.value.0.into_bytes(),
            (None, Some(source)) => match read(source.span.file, &source.value.0) {
                Ok(bytes) => bytes,
                Err(reason) => {
                    cx.fault(Fault::at(source.span, reason));
                    continue;
                }
            },
            (Some(text), Some(source)) => {
                let fault = Fault::new(format!("the file {} has two contents", name.value));
                cx.fault(
                    fault
                        .label(source.span, "one from a file")
                        .label(text.span, "one written out")
                        .help("keep one of them"),
                );
                continue;
            }
            (None, None) => {
                if section.key("text").is_none() && section.key("source").is_none() {
                    let fault = Fault::at(name.span, format!("the file {} has no content", name.value));
                    cx.fault(fault.help("give it `text = \"...\"` or `source = \"path\"`"));
                }
                continue;
            }
        };
        if let Ok(path) = ImagePath::new(name.value) {
            files.insert(path, ExtraFile { content, mode });
        }
    }
    let clash = files
        .keys()
        .find(|path| std::iter::successors(path.parent(), ImagePath::parent).any(|up| files.contains_key(&up)));
    if let Some(path) = clash
        && let Some((name, _)) = root.named("files", "path").iter().find(|(name, _)| name.value == path.as_str())
    {
        cx.fault(Fault::at(name.span, format!("{path} lies below another entry of [files], which is no directory")));
    }
    files
}

pub(super) fn outputs(cx: &mut Decoding, root: &Section<'_>) -> BTreeSet<OutputFormat> {
    let section = root.section("outputs");
    let formats: BTreeSet<_> = section.words::<OutputFormat>(cx, "formats").into_iter().map(|at| at.value).collect();
    if let Some(span) = section.key("formats")
        && formats.is_empty()
        && cx.faults.is_empty()
    {
        cx.fault(Fault::at(span, "no output format is asked for").help("for example: formats = [\"ova\"]"));
    }
    formats
}

/// The path of `name` beside the file `from`, without `.` and `..` where that is possible by the text alone.
pub(super) fn beside(from: &Path, name: &str) -> PathBuf {
    tidy(&from.parent().unwrap_or(Path::new("")).join(name))
}

/// The path without `.` and without `..` behind a name.
pub(super) fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if tidy.file_name().is_some() => {
                tidy.pop();
            }
            part => tidy.push(part),
        }
    }
    tidy
}
