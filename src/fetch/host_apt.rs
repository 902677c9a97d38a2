//! The mirrors that the host's own apt uses: at many sites the only ones that answer.
//!
//! In: os-release and apt's source files (both formats). Out: [`HostApt`]. Invariant: only sources of the host's own
//! release count, so a third-party repository is never taken for a mirror. Formats: os-release(5), sources.list(5).

use std::fs;
use std::path::Path;

use url::Url;

use crate::lock::deb822;
use crate::profile::DistributionName;

/// What the host's apt is configured with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostApt {
    pub distribution: DistributionName,
    /// Mirrors of the release, in file order.
    pub main: Vec<Url>,
    /// Mirrors of its security pocket.
    pub security: Vec<Url>,
}

impl HostApt {
    /// Reads the configuration below a root directory (`/`); `None` when the host is neither Debian nor Ubuntu, or has
    /// no usable source. Unreadable files are passed over: this is a hint, not an input that must be there.
    pub fn read(root: &Path) -> Option<HostApt> {
        let os_release = fs::read_to_string(root.join("etc/os-release")).ok()?;
        let mut files: Vec<_> = fs::read_dir(root.join("etc/apt/sources.list.d"))
            .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
            .unwrap_or_default();
        files.sort();
        files.insert(0, root.join("etc/apt/sources.list"));
        let texts: Vec<(bool, String)> = files
            .iter()
            .filter_map(|path| {
                let deb822 = match path.extension()?.to_str()? {
                    "list" => false,
                    "sources" => true,
                    _ => return None,
                };
                Some((deb822, fs::read_to_string(path).ok()?))
            })
            .collect();
        HostApt::parse(&os_release, &texts)
    }

    /// `texts`: contents, each with whether it is in deb822 format.
    pub fn parse(os_release: &str, texts: &[(bool, String)]) -> Option<HostApt> {
        let value = |key: &str| {
            os_release
                .lines()
                .find_map(|line| Some(line.strip_prefix(key)?.strip_prefix('=')?.trim().trim_matches('"')))
        };
        let distribution = match value("ID")? {
            "debian" => DistributionName::Debian,
            "ubuntu" => DistributionName::Ubuntu,
            _ => return None,
        };
        let codename = value("VERSION_CODENAME")?;
        let mut host = HostApt { distribution, main: Vec::new(), security: Vec::new() };
        for (deb822, text) in texts {
            let sources = if *deb822 { deb822_sources(text) } else { one_line_sources(text) };
            for (uri, suite) in sources {
                let list = match suite.strip_prefix(codename) {
                    Some("" | "/") => &mut host.main,
                    Some("-security" | "-security/" | "/updates") => &mut host.security,
                    _ => continue,
                };
                if let Ok(url) = Url::parse(uri)
                    && matches!(url.scheme(), "http" | "https" | "file")
                    && !list.contains(&url)
                {
                    list.push(url);
                }
            }
        }
        (!host.main.is_empty()).then_some(host)
    }
}

/// Address and suite of every `deb [options] uri suite component...` line.
fn one_line_sources(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or("").trim();
        let Some(rest) = line.strip_prefix("deb").filter(|rest| rest.starts_with([' ', '\t'])) else {
            continue;
        };
        let rest = rest.trim_start();
        let rest = match rest.strip_prefix('[') {
            Some(options) => options.split_once(']').map_or("", |(_, rest)| rest),
            None => rest,
        };
        let mut words = rest.split_ascii_whitespace();
        if let (Some(uri), Some(suite)) = (words.next(), words.next()) {
            found.push((uri, suite));
        }
    }
    found
}

/// The same of `.sources` files.
fn deb822_sources(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    for stanza in deb822::stanzas(text) {
        let words = |field| stanza.get(field).unwrap_or("").split_ascii_whitespace();
        let enabled = !words("Enabled").any(|word| matches!(word, "no" | "false" | "0" | "off" | "disable"));
        if enabled && words("Types").any(|word| word == "deb") {
            for uri in words("URIs") {
                found.extend(words("Suites").map(|suite| (uri, suite)));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: &str = "NAME=\"Debian GNU/Linux\"\nVERSION_CODENAME=bookworm\nID=debian\n";

    fn urls(list: &[Url]) -> Vec<&str> {
        list.iter().map(Url::as_str).collect()
    }

    #[test]
    fn deb822_sources_with_comments_inside() {
        let text = "Types: deb deb-src\n# snapshot\nURIs: http://m.test/debian\nSuites: bookworm bookworm-updates\n\
                    Components: main\n\nTypes: deb\nURIs: http://m.test/debian-security\nSuites: bookworm-security\n\n\
                    Types: deb\nURIs: https://third.test/x\nSuites: nodistro\n\n\
                    Types: deb\nEnabled: no\nURIs: http://off.test\nSuites: bookworm\n";
        let host = HostApt::parse(DEBIAN, &[(true, text.to_owned())]).unwrap();
        assert_eq!(urls(&host.main), ["http://m.test/debian"]);
        assert_eq!(urls(&host.security), ["http://m.test/debian-security"]);
    }

    #[test]
    fn one_line_sources_with_options() {
        let text = "# deb http://no.test bookworm main\ndeb [arch=amd64 signed-by=/x] http://m.test/debian bookworm main # hi\n\
                    deb-src http://src.test/debian bookworm main\ndeb cdrom:[Debian]/ bookworm main\n\
                    deb http://s.test/debian-security bookworm-security main\ndeb http://b.test bookworm-backports main\n\
                    deb https://third.test/apt cloud-bookworm main\n";
        let host = HostApt::parse(DEBIAN, &[(false, text.to_owned())]).unwrap();
        assert_eq!(urls(&host.main), ["http://m.test/debian"]);
        assert_eq!(urls(&host.security), ["http://s.test/debian-security"]);
    }

    #[test]
    fn other_hosts_have_no_say() {
        let text = vec![(false, "deb http://m.test/fedora bookworm main\n".to_owned())];
        assert_eq!(HostApt::parse("ID=fedora\nVERSION_CODENAME=bookworm\n", &text), None);
        assert_eq!(HostApt::parse(DEBIAN, &[]), None);
    }
}
