//! The `[installer.*]` tables -> [`Installer`]s.

use std::collections::BTreeMap;

use netboot::{Account, Addressing, BadParameter, Keyboard, Release, System};
use url::Url;

use super::decode::{Resolve, distinct, known_release};
use super::fault::Fault;
use super::medium::{self, FileSize, Way, Written};
use super::reader::{At, Decoding, Section};
use super::source::Span;
use super::storage::{self, Needs};
use super::word::*;
use super::*;

/// What an installer takes from the appliance where it says nothing itself, and how it learns of files.
pub(super) struct Inherited<'a> {
    pub(super) appliance: Option<&'a Appliance>,
    pub(super) resolve: Resolve<'a>,
    pub(super) size: FileSize<'a>,
}

/// What is known of an installer, sound or not: the nodes are compared with it.
#[derive(Debug)]
pub(super) struct Facts {
    /// Place of its name.
    pub(super) name: Span,
    pub(super) release: Option<Release>,
    pub(super) medium: Option<Written>,
    pub(super) needs: Option<Needs>,
    /// Neither a key nor a password opens what it installs.
    pub(super) locked: bool,
}

/// Installers by name: the sound ones, and the facts of all.
pub(super) fn installers(
    cx: &mut Decoding,
    root: &Section<'_>,
    inherited: &Inherited<'_>,
) -> (BTreeMap<String, Installer>, BTreeMap<String, Facts>) {
    let (mut installers, mut facts) = (BTreeMap::new(), BTreeMap::new());
    for (name, section) in root.named("installer", "installer") {
        let (installer, known) = installer(cx, name.span, &section, inherited);
        facts.insert(name.value.to_owned(), known);
        if let Some(installer) = installer {
            installers.insert(name.value.to_owned(), installer);
        }
    }
    (installers, facts)
}

fn installer(
    cx: &mut Decoding,
    name: Span,
    section: &Section<'_>,
    inherited: &Inherited<'_>,
) -> (Option<Installer>, Facts) {
    let distribution = section.word::<DistributionName>(cx, "distribution");
    let release = section.word::<ReleaseName>(cx, "release");
    let known = known_release(cx, distribution.as_ref(), release.as_ref());
    let release = known.zip(release).and_then(|(known, at)| installable(cx, known, at.span));

    let media = section.word::<Media>(cx, "media");
    let way = Way { written: section.key("media").is_some(), media };
    let medium = medium::medium(cx, section, release, &way, inherited.resolve, inherited.size);
    let (storage, needs) = storage::storage(cx, &section.section("storage"), release);
    let locale = section.word::<Locale>(cx, "locale").map(|at| at.value.0);
    let timezone = section.word::<Timezone>(cx, "timezone").map(|at| at.value.0);
    let keyboard = keyboard(cx, &section.section("keyboard"));
    let account = account(cx, &section.section("account"), release, inherited.appliance);
    let addressing = section.word::<NodeAddressing>(cx, "addressing");
    let mirror = mirror(cx, section);
    let packages = section.words::<PackageName>(cx, "packages");
    let lines = |lines: Vec<At<Line>>| lines.into_iter().map(|at| at.value.0).collect::<Vec<_>>();
    let early_commands = lines(section.words::<Line>(cx, "early-commands"));
    let late_commands = lines(section.words::<Line>(cx, "late-commands"));
    let kernel_parameters = kernel_parameters(cx, section);

    let facts = Facts {
        name,
        release,
        medium: medium.as_ref().map(|(written, _)| *written),
        needs,
        locked: account.as_ref().is_some_and(|a| a.ssh_keys.is_empty() && a.password_hash.is_none()),
    };
    let installer = || {
        let appliance = inherited.appliance?;
        Some(Installer {
            system: System {
                release: release?,
                locale: locale.unwrap_or_else(|| appliance.locale.clone()),
                keyboard: keyboard?,
                timezone: timezone.unwrap_or_else(|| appliance.timezone.clone()),
                account: account?,
                storage: storage?,
                addressing: addressing.map_or(Addressing::Dhcp, |at| at.value.0),
                packages: distinct(packages.into_iter().map(|at| at.value.0).collect()),
                mirror,
                early_commands,
                late_commands,
                kernel_parameters,
            },
            medium: match medium {
                None => None,
                Some((_, medium)) => Some(medium?),
            },
            media: way.media?.value,
        })
    };
    (installer(), facts)
}

/// Packages whose programs fetch an installer's medium onto the appliance's state disk, and read it there.
const FETCHING: [&str; 2] = ["curl", "libarchive-tools"];

/// Adds the packages that the appliance needs for what is asked of it, so that no build finds out at its end. An image without
/// a kernel is no appliance and keeps to its list.
pub(super) fn add_packages(
    cx: &mut Decoding,
    distribution: &mut Distribution,
    installers: &BTreeMap<String, Installer>,
    facts: &BTreeMap<String, Facts>,
) {
    let fetches = |installer: &Installer| {
        let url = installer.medium.as_ref().is_some_and(|medium| matches!(medium.place, Place::Url(_)));
        url && installer.media == Media::Fetch
    };
    let Some(name) = installers.iter().find(|(_, installer)| fetches(installer)).map(|(name, _)| name) else { return };
    if distribution.kernel.is_none() {
        return;
    }
    for package in FETCHING {
        if distribution.exclude.contains(package)
            && let Some(facts) = facts.get(name)
        {
            let message = format!("the appliance fetches this installer's medium with '{package}', which is excluded");
            let fault = Fault::at(facts.name, message);
            cx.fault(fault.help(format!("take \"{package}\" out of distribution.exclude, or use media = \"bake\"")));
        }
        distribution.packages.insert(package.to_owned());
    }
}

/// The account that opens a node; `None` where the appliance's own is not known for a fault.
fn account(
    cx: &mut Decoding,
    section: &Section<'_>,
    release: Option<Release>,
    appliance: Option<&Appliance>,
) -> Option<Account> {
    let name = section.word::<UserName>(cx, "name").map(|at| at.value.0);
    let password_hash = section.word::<PasswordHash>(cx, "password-hash").map(|at| at.value.0);
    let ssh_keys: Vec<String> = section.words::<SshKey>(cx, "ssh-keys").into_iter().map(|at| at.value.0).collect();
    let users = &appliance?.users;
    let default = users.iter().find(|user| user.sudo).map(|user| user.name.as_str());
    Some(Account {
        name: match name {
            Some(name) => name,
            None => default.unwrap_or(release?.traits().account).to_owned(),
        },
        password_hash,
        ssh_keys: distinct(match section.key("ssh-keys") {
            Some(_) => ssh_keys,
            None => users.iter().flat_map(|user| user.ssh_keys.clone()).collect(),
        }),
    })
}

fn mirror(cx: &mut Decoding, section: &Section<'_>) -> Option<String> {
    let mirror = section.word::<Url>(cx, "mirror")?;
    if !matches!(mirror.value.scheme(), "http" | "https") {
        let fault = Fault::at(mirror.span, format!("nodes do not install by {}:", mirror.value.scheme()));
        cx.fault(fault.help("write the http or https address of an archive that the nodes reach"));
    }
    Some(mirror.value.as_str().trim_end_matches('/').to_owned())
}

/// Each word must reach the kernel through every boot loader as it stands, and take nothing back of what provbuild writes.
fn kernel_parameters(cx: &mut Decoding, section: &Section<'_>) -> Vec<String> {
    let words = section.words::<KernelParameter>(cx, "kernel-parameters");
    for word in &words {
        if let Err(error) = netboot::check_parameter(&word.value.0) {
            let fault = Fault::at(word.span, error.to_string());
            cx.fault(match error {
                BadParameter::Form(_) => fault,
                _ => fault.help("leave it out: it is written for each node"),
            });
        }
    }
    let texts: Vec<&str> = words.iter().map(|word| word.value.0.as_str()).collect();
    if let Err(error) = netboot::check_parameters_length(&texts)
        && let Some(span) = section.key("kernel-parameters")
    {
        cx.fault(Fault::at(span, error.to_string()).help("leave some out, or set them on the installed system"));
    }
    words.into_iter().map(|at| at.value.0).collect()
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
