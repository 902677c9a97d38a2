//! Sections about the installer itself: archive, kernel, Ubuntu Pro, reporting.

use super::document::Sections;
use super::facts::Facts;
use super::keys::{HANDLERS, MIRROR};
use super::report::Report;
use super::shape::{self, Shape, key_shown, meant, shown};
use super::yaml::{Entry, Node};
use crate::suggest::nearest;

/// The IANA database's names, links among them; a line each.
const TIME_ZONES: &str = include_str!("time-zones.txt");

fn check_apt(sections: &Sections<'_>, facts: &Facts, report: &mut Report<'_>) {
    let apt = sections.get("apt");
    if apt.and_then(|apt| apt.entry("fallback")).is_none() && !sections.asks("apt") {
        report
            .warning(
                &sections.at("apt"),
                format!("'apt.fallback' is left out: without a usable mirror {}", facts.fallback),
            )
            .help("write 'apt: {fallback: offline-install}' to go on with the medium's packages, or 'abort' to stop");
    }
    if let Some(selection) = apt.and_then(|apt| apt.entry("mirror-selection")).filter(|_| !facts.mirror_selection) {
        report
            .warning(
                &selection.key.range,
                format!(
                    "the installers of the first {} media do not know 'mirror-selection' and ignore it",
                    facts.version
                ),
            )
            .help("write 'primary: [{arches: [default], uri: http://...}]', which all of them know");
    }
    let mirrors = apt.and_then(|apt| apt.get("mirror-selection")).and_then(|selection| selection.get("primary"));
    for mirror in mirrors.and_then(Node::list).unwrap_or_default() {
        match mirror.text() {
            Some("country-mirror") => {}
            Some(text) => {
                report
                    .error(&mirror.range, format!("a mirror cannot be '{}'", shown(text)))
                    .help("write 'country-mirror', or 'uri: http://...'");
            }
            None => shape::check(report, "apt.mirror-selection.primary", &mirror.range, mirror, &Shape::Keys(&MIRROR)),
        }
    }
}

pub(super) fn check(sections: &Sections<'_>, facts: &Facts, report: &mut Report<'_>) {
    check_apt(sections, facts, report);
    if let Some(kernel) = sections.get("kernel").filter(|kernel| kernel.map().is_some())
        && kernel.entry("package").is_some() == kernel.entry("flavor").is_some()
    {
        report
            .error(&sections.at("kernel"), "'kernel' needs one of 'package' and 'flavor'")
            .help("write exactly one of them");
    }
    for name in ["ubuntu-pro", "ubuntu-advantage"] {
        let token = sections.get(name).and_then(|section| section.get("token"));
        if let Some(token) = token
            && token.text().is_some_and(|text| !is_token(text))
        {
            report
                .error(&token.range, format!("'{name}.token' is no contract token"))
                .help("a token begins with C and has 23 to 29 more characters, without 0, O, I and l");
        }
    }
    if sections.get("ubuntu-advantage").is_some() {
        report.warning(&sections.at("ubuntu-advantage"), "'ubuntu-advantage' is the old name of 'ubuntu-pro'");
    }
    let asks = sections.get("interactive-sections").and_then(Node::list).is_some_and(|sections| !sections.is_empty());
    if asks && sections.get("reporting").is_some() {
        report
            .warning(
                &sections.at("reporting"),
                "'reporting' is ignored because of 'interactive-sections': the installer waits for a person and reports nothing",
            )
            .help("leave 'interactive-sections' out, or do not wait for reports");
    }
    if !asks {
        let handlers = sections.get("reporting").and_then(Node::map).unwrap_or_default();
        handlers.iter().for_each(|handler| check_handler(handler, report));
    }
    check_time_zone(sections, report);
}

/// curtin hands the keys beside `type` to the handler's constructor: another one, or a missing one, is a crash at the
/// installer's start.
fn check_handler(handler: &Entry, report: &mut Report<'_>) {
    let kind = handler.value.get("type").and_then(Node::text);
    let Some((kind, keys)) = HANDLERS.iter().find(|(name, _)| Some(*name) == kind) else { return };
    let path = format!("reporting.{}", key_shown(handler));
    for entry in handler.value.map().unwrap_or_default().iter().filter(|entry| entry.name() != Some("type")) {
        if !entry.name().is_some_and(|name| keys.contains(&name)) {
            let name = key_shown(entry);
            let message = format!("a '{kind}' reporter knows no key '{name}': the installer crashes");
            let help = if keys.is_empty() { "leave it out".to_owned() } else { meant(&name, keys) };
            report.error(&entry.key.range, message).help(help);
        }
    }
    if *kind == "webhook" && handler.value.entry("endpoint").is_none() {
        report
            .error(&handler.key.range, format!("'{path}' has no 'endpoint': the installer crashes"))
            .help("add 'endpoint: http://...', the address that reports are posted to");
    }
}

fn check_time_zone(sections: &Sections<'_>, report: &mut Report<'_>) {
    let Some(zone) = sections.get("timezone") else { return };
    // Nothing is UTC; `geoip` asks a service on the internet.
    let Some(name) = zone.text().filter(|name| !matches!(*name, "" | "geoip")) else { return };
    if TIME_ZONES.lines().any(|known| known == name) {
        return;
    }
    // `nearest` looks at some hundreds of candidates.
    let zones: Vec<&str> = TIME_ZONES.lines().collect();
    let near = nearest(name, zones.chunks(300).filter_map(|some| nearest(name, some.iter().copied())));
    report.error(&zone.range, format!("there is no time zone '{}': the installer stops", shown(name))).help(
        match near {
            Some(near) => format!("did you mean '{near}'?"),
            None => "write an IANA name, as in 'Europe/Berlin', or 'geoip'".to_owned(),
        },
    );
}

/// The form of a contract token: C, then base 58.
fn is_token(text: &str) -> bool {
    let base58 = |b: u8| b.is_ascii_alphanumeric() && !matches!(b, b'0' | b'O' | b'I' | b'l');
    (24..=30).contains(&text.len()) && text.starts_with('C') && text.bytes().skip(1).all(base58)
}
