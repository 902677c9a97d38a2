//! `[installer.*.iso]` and `[installer.*.netboot]` -> [`Medium`]: where an installer's files come from, and what they
//! are checked against.

use std::io;
use std::path::Path;

use netboot::{Program, Release};
use url::Url;

use super::decode::Resolve;
use super::fault::Fault;
use super::reader::{At, Decoding, Section};
use super::source::Span;
use super::word::*;
use super::*;
use crate::vocab::{ByteSize, Digest};

/// Size of a file of this machine.
pub(super) type FileSize<'a> = &'a dyn Fn(&Path) -> io::Result<u64>;

/// A medium as it is written, sound or not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    pub(super) kind: MediumKind,
    pub(super) span: Span,
    /// Bytes, where the profile says so or the file lies here.
    pub(super) bytes: Option<u64>,
}

/// How the medium is to reach the appliance.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) media: Option<At<Media>>,
    /// It is no default.
    pub(super) written: bool,
}

/// The `iso` or `netboot` table of an installer.
pub(super) fn medium(
    cx: &mut Decoding,
    installer: &Section<'_>,
    release: Option<Release>,
    way: &Way,
    resolve: Resolve<'_>,
    size: FileSize<'_>,
) -> Option<(Written, Option<Medium>)> {
    let each =
        |cx: &mut Decoding, kind| installer.written(name(kind)).map(|table| one(cx, &table, kind, way, resolve, size));
    let iso = each(cx, MediumKind::Iso);
    let netboot = each(cx, MediumKind::Netboot);
    if let (Some((iso, _)), Some((netboot, _))) = (&iso, &netboot) {
        let fault = Fault::new("the installer has two media").label(netboot.span, "one").label(iso.span, "the other");
        cx.fault(fault.maybe_help(release.map(|release| format!("keep `{}`", name(wanted(release))))));
        let kept = if release.map(wanted) == Some(MediumKind::Netboot) { netboot } else { iso };
        return Some((*kept, None));
    }
    let found = iso.or(netboot);
    match (&found, release, &way.media) {
        (Some((written, _)), Some(release), _) if written.kind != wanted(release) => {
            let traits = release.traits();
            let fault = Fault::at(written.span, format!("{release} is not installed from `{}`", name(written.kind)));
            cx.fault(fault.help(match traits.program {
                Program::Subiquity => "Ubuntu's server installer comes as an ISO: write `iso = { ... }`",
                Program::DebianInstaller => {
                    "debian-installer starts from its netboot.tar.gz: write `netboot = { ... }`"
                }
            }));
        }
        (None, _, Some(At { value: Media::Bake, span })) => {
            let fault = Fault::at(*span, "there is no medium to put into the image");
            let key = release.map_or("iso", |release| name(wanted(release)));
            cx.fault(fault.help(format!("add `{key} = {{ ... }}`, or leave `media` out")));
        }
        _ => {}
    }
    found
}

fn wanted(release: Release) -> MediumKind {
    match release.traits().program {
        Program::Subiquity => MediumKind::Iso,
        Program::DebianInstaller => MediumKind::Netboot,
    }
}

/// The option that holds it.
fn name(kind: MediumKind) -> &'static str {
    match kind {
        MediumKind::Iso => "iso",
        MediumKind::Netboot => "netboot",
    }
}

fn one(
    cx: &mut Decoding,
    section: &Section<'_>,
    kind: MediumKind,
    way: &Way,
    resolve: Resolve<'_>,
    file_size: FileSize<'_>,
) -> (Written, Option<Medium>) {
    let url = section.word::<Url>(cx, "url");
    let path = section.word::<FilePath>(cx, "path");
    let sha256 = section.word::<Digest>(cx, "sha256");
    let (mut size, mut signed) = (None, None);
    if kind == MediumKind::Iso {
        size = section.word::<ByteSize>(cx, "size");
        signed = signed_sums(cx, section, resolve);
    }
    let mut here = None;
    if let Some(path) = &path {
        let file = resolve(path.span.file, &path.value.0);
        match (file_size(&file), &size) {
            (Ok(bytes), Some(size)) if bytes != size.bytes() => {
                let message = format!("{} has {bytes} bytes, not {}", file.display(), size.bytes());
                let fault = Fault::new(message).label(path.span, "").label(size.span, "the size that is said here");
                cx.fault(fault.help("a download may have been cut off; without `size` the file's own is taken"));
            }
            (Ok(bytes), _) => here = Some(bytes),
            (Err(error), _) => {
                let fault = Fault::at(path.span, format!("{} cannot be read: {error}", file.display()));
                cx.fault(fault.help("the path is relative to the file that names it"));
            }
        }
        if let Some(At { value: Media::Fetch, span }) = &way.media {
            let fault = Fault::new("the appliance cannot fetch a file of this machine").label(path.span, "");
            let fault = if way.written { fault.label(*span, "the way it is to take") } else { fault };
            cx.fault(fault.help("write media = \"bake\" to put it into the image, or `url` in place of `path`"));
        }
    }
    let written = Written { kind, span: section.span, bytes: size.as_ref().map(|at| at.bytes()).or(here) };
    let place = match (url, path) {
        (Some(url), Some(path)) => {
            let fault = Fault::new("the medium has two places").label(path.span, "a file").label(url.span, "a URL");
            cx.fault(fault.help("keep one of them"));
            None
        }
        (Some(url), None) if matches!(url.value.scheme(), "http" | "https") => Some(Place::Url(url.value)),
        (Some(url), None) => {
            let fault = Fault::at(url.span, format!("a medium is not fetched by {}:", url.value.scheme()));
            cx.fault(fault.help("write an https or http address, or name a file of this machine by `path`"));
            None
        }
        (None, Some(path)) => Some(Place::File(resolve(path.span.file, &path.value.0))),
        (None, None) => {
            if section.key("url").is_none() && section.key("path").is_none() {
                let fault = Fault::at(section.span, "neither `url` nor `path` says where the installer's medium is");
                cx.fault(fault.help("add one of them"));
            }
            None
        }
    };
    let medium = |place| {
        Some(Medium { kind, place, sha256: sha256?.value, size: size.as_ref().map(|at| at.bytes()).or(here), signed })
    };
    (written, place.and_then(medium))
}

fn signed_sums(cx: &mut Decoding, section: &Section<'_>, resolve: Resolve<'_>) -> Option<SignedSums> {
    let sums = section.word::<FilePlace>(cx, "sums");
    let signature = section.word::<FilePlace>(cx, "signature");
    let keyring = section.word::<FilePath>(cx, "keyring");
    let half = match (section.key("sums"), section.key("signature"), section.key("keyring")) {
        (Some(span), None, _) => {
            Some((span, "`sums` without `signature`: anybody could have written them", "signature"))
        }
        (None, Some(span), _) => Some((span, "`signature` without `sums`: it signs the list of digests", "sums")),
        (None, None, Some(span)) => Some((span, "`keyring` without anything that is signed", "sums` and `signature")),
        _ => None,
    };
    if let Some((span, message, missing)) = half {
        cx.fault(
            Fault::at(span, message).help(format!("add `{missing}`, or leave this out: `sha256` is checked anyway")),
        );
    }
    for at in [&sums, &signature].into_iter().flatten() {
        if let Some((scheme, _)) = at.value.0.split_once("://")
            && !matches!(scheme, "http" | "https" | "file")
        {
            let fault =
                Fault::at(at.span, format!("'{}' is not a scheme that provbuild fetches from", scheme.escape_debug()));
            cx.fault(fault.help("use https, http or file, or the path of a file"));
        }
    }
    let keyring = keyring.map(|at| resolve(at.span.file, &at.value.0));
    Some(SignedSums { sums: place(&sums?, resolve), signature: place(&signature?, resolve), keyring })
}

/// A URL, or a file relative to the file that names it.
fn place(at: &At<FilePlace>, resolve: Resolve<'_>) -> Place {
    match at.value.0.parse::<Url>() {
        Ok(url) if matches!(url.scheme(), "http" | "https" | "file") => Place::Url(url),
        _ => Place::File(resolve(at.span.file, &at.value.0)),
    }
}
