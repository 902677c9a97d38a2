//! The `[installer.*]` tables -> [`Installer`]s.

use std::collections::BTreeMap;

use netboot::{Account, Addressing, Keyboard, Partition, Release, Storage, System};
use url::Url;

use super::decode::{Resolve, distinct, known_release};
use super::fault::Fault;
use super::reader::{At, Decoding, Section};
use super::source::Span;
use super::word::*;
use super::*;
use crate::vocab::{ByteSize, Digest, ImagePath};

/// What an installer takes from the appliance where it says nothing itself.
pub(super) struct Inherited<'a> {
    pub(super) appliance: Option<&'a Appliance>,
    pub(super) resolve: Resolve<'a>,
}

pub(super) fn installers(
    cx: &mut Decoding,
    root: &Section<'_>,
    inherited: &Inherited<'_>,
) -> BTreeMap<String, Installer> {
    let mut installers = BTreeMap::new();
    for (name, section) in root.named("installer", "installer") {
        if let Some(installer) = installer(cx, &section, inherited) {
            installers.insert(name.value.to_owned(), installer);
        }
    }
    installers
}

fn installer(cx: &mut Decoding, section: &Section<'_>, inherited: &Inherited<'_>) -> Option<Installer> {
    let distribution = section.word::<DistributionName>(cx, "distribution");
    let release = section.word::<ReleaseName>(cx, "release");
    let iso = section.written("iso").map(|section| medium(cx, &section, MediumKind::Iso, inherited.resolve));
    let netboot =
        section.written("netboot").map(|section| medium(cx, &section, MediumKind::Netboot, inherited.resolve));
    let media = section.word::<Media>(cx, "media");
    let locale = section.word::<Locale>(cx, "locale").map(|at| at.value.0);
    let timezone = section.word::<Timezone>(cx, "timezone").map(|at| at.value.0);
    let keyboard = keyboard(cx, &section.section("keyboard"));
    let account = section.section("account");
    let account_name = account.word::<UserName>(cx, "name").map(|at| at.value.0);
    let password_hash = account.word::<PasswordHash>(cx, "password-hash").map(|at| at.value.0);
    let ssh_keys = account.words::<SshKey>(cx, "ssh-keys").into_iter().map(|at| at.value.0).collect();
    let addressing = section.word::<NodeAddressing>(cx, "addressing");
    let storage = storage(cx, &section.section("storage"));
    let mirror = section.word::<Url>(cx, "mirror").map(|at| at.value.as_str().trim_end_matches('/').to_owned());
    let packages = section.words::<PackageName>(cx, "packages");
    let lines = |lines: Vec<At<Line>>| lines.into_iter().map(|at| at.value.0).collect::<Vec<_>>();
    let early_commands = lines(section.words::<Line>(cx, "early-commands"));
    let late_commands = lines(section.words::<Line>(cx, "late-commands"));
    let kernel_parameters = section.words::<KernelParameter>(cx, "kernel-parameters");

    let known = known_release(cx, distribution.as_ref(), release.as_ref())?;
    let release = installable(cx, known, release?.span)?;
    let appliance = inherited.appliance?;
    let default_account = appliance.users.iter().find(|user| user.sudo).map(|user| user.name.as_str());
    Some(Installer {
        system: System {
            release,
            locale: locale.unwrap_or_else(|| appliance.locale.clone()),
            keyboard: keyboard?,
            timezone: timezone.unwrap_or_else(|| appliance.timezone.clone()),
            account: Account {
                name: account_name.unwrap_or_else(|| default_account.unwrap_or(release.traits().account).to_owned()),
                password_hash,
                ssh_keys: match account.key("ssh-keys") {
                    Some(_) => ssh_keys,
                    None => distinct(appliance.users.iter().flat_map(|user| user.ssh_keys.clone()).collect()),
                },
            },
            storage: storage?,
            addressing: addressing.map_or(Addressing::Dhcp, |at| at.value.0),
            packages: distinct(packages.into_iter().map(|at| at.value.0).collect()),
            mirror,
            early_commands,
            late_commands,
            kernel_parameters: kernel_parameters.into_iter().map(|at| at.value.0).collect(),
        },
        medium: match iso.or(netboot) {
            None => None,
            Some(medium) => Some(medium?),
        },
        media: media?.value,
    })
}

/// The release as nodes install it.
fn installable(cx: &mut Decoding, known: &distributions::Release, span: Span) -> Option<Release> {
    let found = Release::find(&known.distribution.title().to_lowercase(), known.version);
    if found.is_none() {
        let message = format!("nodes cannot be told to install {} {}", known.distribution.title(), known.version);
        let known: Vec<_> = Release::ALL.iter().map(Release::to_string).collect();
        cx.fault(Fault::at(span, message).help(format!("they can install {}", known.join(", "))));
    }
    found
}

fn keyboard(cx: &mut Decoding, section: &Section<'_>) -> Option<Keyboard> {
    let layout = section.word::<KeyboardWord>(cx, "layout");
    let variant = section.word::<KeyboardWord>(cx, "variant").map(|at| at.value.0);
    Some(Keyboard { layout: layout?.value.0, variant })
}

fn storage(cx: &mut Decoding, section: &Section<'_>) -> Option<Storage> {
    let layout = section.word::<StorageLayout>(cx, "layout");
    let sizing = section.word::<VolumeSizing>(cx, "sizing");
    let mut partitions = Vec::new();
    for section in section.tables("partition") {
        let mount = section.word::<ImagePath>(cx, "mount");
        let size = section.word::<ByteSize>(cx, "size");
        let format = section.word::<PartitionFormat>(cx, "format");
        if let Some(format) = format {
            let size = size.map(|at| at.bytes());
            partitions.push(Partition { mount: mount.map(|at| at.value.to_string()), size, format: format.value.0 });
        }
    }
    Some(match layout?.value {
        StorageLayout::Direct => Storage::Direct,
        StorageLayout::Lvm => Storage::Lvm { sizing: sizing?.value.0 },
        StorageLayout::Zfs => Storage::Zfs,
        StorageLayout::Partitions => Storage::Partitions(partitions),
    })
}

fn medium(cx: &mut Decoding, section: &Section<'_>, kind: MediumKind, resolve: Resolve<'_>) -> Option<Medium> {
    let url = section.word::<Url>(cx, "url");
    let path = section.word::<FilePath>(cx, "path");
    let sha256 = section.word::<Digest>(cx, "sha256");
    let (mut size, mut signed) = (None, None);
    if kind == MediumKind::Iso {
        size = section.word::<ByteSize>(cx, "size").map(|at| at.bytes());
        let sums = section.word::<FilePath>(cx, "sums");
        let signature = section.word::<FilePath>(cx, "signature");
        let keyring = section.word::<FilePath>(cx, "keyring").map(|at| resolve(at.span.file, &at.value.0));
        signed = match (sums, signature) {
            (Some(sums), Some(signature)) => {
                Some(SignedSums { sums: place(&sums, resolve), signature: place(&signature, resolve), keyring })
            }
            _ => None,
        };
    }
    let place = match (url, path) {
        (Some(url), _) => Place::Url(url.value),
        (None, Some(path)) => Place::File(resolve(path.span.file, &path.value.0)),
        (None, None) => {
            let fault = Fault::at(section.span, "neither `url` nor `path` says where the installer's medium is");
            cx.fault(fault.help("add one of them"));
            return None;
        }
    };
    Some(Medium { kind, place, sha256: sha256?.value, size, signed })
}

/// A URL, or a file relative to the file that names it.
fn place(at: &At<FilePath>, resolve: Resolve<'_>) -> Place {
    match at.value.0.parse::<Url>() {
        Ok(url) if matches!(url.scheme(), "http" | "https" | "file") => Place::Url(url),
        _ => Place::File(resolve(at.span.file, &at.value.0)),
    }
}
