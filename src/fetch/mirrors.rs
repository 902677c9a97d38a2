//! Which mirrors to ask, in which order.
//!
//! In: the distribution part of a profile and the host's own apt configuration. Out: [`Mirrors`]: for each pocket the
//! addresses that may serve indices, and those that may serve packages. Invariant: with a snapshot, indices come from
//! snapshot services only; packages are pinned by digest and may come from anywhere.

use url::Url;

use super::host_apt::HostApt;
use crate::profile::{Distribution, DistributionName};

/// Put in a mirror's address, stands for the snapshot id.
const SNAPSHOT_PLACEHOLDER: &str = "@SNAPSHOTID@";

/// Mirrors of one archive, best first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Archive {
    pub indices: Vec<Url>,
    pub packages: Vec<Url>,
}

/// Mirrors of a distribution.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mirrors {
    pub main: Archive,
    /// The security pocket's.
    pub security: Archive,
}

impl Mirrors {
    /// Mirrors of the profile; without any, the host's own and then the well-known ones.
    pub fn new(distribution: &Distribution, host: Option<&HostApt>) -> Mirrors {
        let host = host.filter(|host| host.distribution == distribution.name);
        let (main, security) = well_known(distribution.name);
        let pick = |given: &[Url], own: &[Url], known: &str| -> Vec<Url> {
            if !given.is_empty() {
                return given.to_vec();
            }
            let mut list = own.to_vec();
            list.extend(Url::parse(known));
            list
        };
        let own = |list: fn(&HostApt) -> &Vec<Url>| host.map(|host| list(host).as_slice()).unwrap_or_default();
        // A profile that names its mirror only once means both, as long as the archive keeps both in one tree.
        let given_security = match (distribution.security_mirrors.as_slice(), distribution.name) {
            ([], DistributionName::Ubuntu) => distribution.mirrors.as_slice(),
            (given, _) => given,
        };
        let main = pick(&distribution.mirrors, own(|host| &host.main), main);
        let security = pick(given_security, own(|host| &host.security), security);
        let snapshot = distribution.snapshot.as_deref();
        Mirrors {
            main: Archive::new(main, snapshot, snapshot_service(distribution.name, false)),
            security: Archive::new(security, snapshot, snapshot_service(distribution.name, true)),
        }
    }

    /// The archive that holds a suite ("trixie", "noble-security").
    pub fn of_suite(&self, suite: &str) -> &Archive {
        if suite.ends_with("-security") { &self.security } else { &self.main }
    }
}

impl Archive {
    fn new(mirrors: Vec<Url>, snapshot: Option<&str>, service: &str) -> Archive {
        let Some(snapshot) = snapshot else {
            let mut indices = mirrors;
            indices.retain(|url| !is_template(url));
            return Archive { packages: indices.clone(), indices };
        };
        let (templates, plain): (Vec<Url>, Vec<Url>) = mirrors.into_iter().partition(is_template);
        let fill = |text: &str| Url::parse(&text.replace(SNAPSHOT_PLACEHOLDER, snapshot)).ok();
        let mut indices: Vec<Url> = templates.iter().filter_map(|url| fill(url.as_str())).collect();
        indices.extend(fill(service));
        // The live archive is faster and mostly still has the file.
        let packages = plain.into_iter().chain(indices.iter().cloned()).collect();
        Archive { indices, packages }
    }
}

fn is_template(url: &Url) -> bool {
    url.as_str().contains(SNAPSHOT_PLACEHOLDER)
}

/// Release and updates, security.
fn well_known(name: DistributionName) -> (&'static str, &'static str) {
    match name {
        DistributionName::Debian => ("http://ftp.debian.org/debian", "http://security.debian.org/debian-security"),
        DistributionName::Ubuntu => ("http://archive.ubuntu.com/ubuntu", "http://security.ubuntu.com/ubuntu"),
    }
}

fn snapshot_service(name: DistributionName, security: bool) -> &'static str {
    match (name, security) {
        (DistributionName::Debian, false) => "https://snapshot.debian.org/archive/debian/@SNAPSHOTID@",
        (DistributionName::Debian, true) => "https://snapshot.debian.org/archive/debian-security/@SNAPSHOTID@",
        (DistributionName::Ubuntu, _) => "https://snapshot.ubuntu.com/ubuntu/@SNAPSHOTID@",
    }
}

/// Address of a file below a mirror. Every character that could end the path or its component is escaped. With an empty
/// path the address is the file's own.
pub(super) fn join(mirror: &Url, path: &str) -> Option<Url> {
    if path.is_empty() {
        return Some(mirror.clone());
    }
    let mut url = mirror.clone();
    url.path_segments_mut().ok()?.pop_if_empty().extend(path.split('/'));
    Some(url)
}

/// A mirror's address for messages: without a password.
pub(super) fn shown(mirror: &Url) -> String {
    let mut url = mirror.clone();
    if url.password().is_some() && url.set_password(None).is_err() {
        return url.host_str().unwrap_or("mirror").to_owned();
    }
    url.to_string()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::collections::BTreeSet;

    pub(in crate::fetch) fn distribution(name: DistributionName) -> Distribution {
        let (release, codename) = match name {
            DistributionName::Debian => ("13", "trixie"),
            DistributionName::Ubuntu => ("24.04", "noble"),
        };
        Distribution {
            name,
            release: release.to_owned(),
            codename: codename.to_owned(),
            architecture: "amd64".to_owned(),
            components: vec!["main".to_owned()],
            mirrors: Vec::new(),
            security_mirrors: Vec::new(),
            snapshot: None,
            pockets: vec!["updates".to_owned(), "security".to_owned()],
            keyring: None,
            packages: BTreeSet::new(),
            exclude: BTreeSet::new(),
            recommends: false,
            kernel: None,
        }
    }

    fn show(mirrors: &Mirrors) -> String {
        let list = |urls: &[Url]| urls.iter().map(|url| format!(" {url}")).collect::<String>();
        format!(
            "indices:{}\npackages:{}\nsecurity indices:{}\nsecurity packages:{}",
            list(&mirrors.main.indices),
            list(&mirrors.main.packages),
            list(&mirrors.security.indices),
            list(&mirrors.security.packages)
        )
    }

    #[test]
    fn the_hosts_own_mirror_comes_before_the_well_known_one() {
        let host = HostApt {
            distribution: DistributionName::Debian,
            main: vec![Url::parse("http://mirror.test/debian").unwrap()],
            security: vec![Url::parse("http://mirror.test/debian-security/").unwrap()],
        };
        insta::assert_snapshot!(show(&Mirrors::new(&distribution(DistributionName::Debian), Some(&host))), @r"
        indices: http://mirror.test/debian http://ftp.debian.org/debian
        packages: http://mirror.test/debian http://ftp.debian.org/debian
        security indices: http://mirror.test/debian-security/ http://security.debian.org/debian-security
        security packages: http://mirror.test/debian-security/ http://security.debian.org/debian-security
        ");
        insta::assert_snapshot!(show(&Mirrors::new(&distribution(DistributionName::Ubuntu), Some(&host))), @r"
        indices: http://archive.ubuntu.com/ubuntu
        packages: http://archive.ubuntu.com/ubuntu
        security indices: http://security.ubuntu.com/ubuntu
        security packages: http://security.ubuntu.com/ubuntu
        ");
    }

    #[test]
    fn a_snapshot_gives_the_indices_and_any_mirror_the_packages() {
        let mut debian = distribution(DistributionName::Debian);
        debian.snapshot = Some("20260912T000000Z".to_owned());
        insta::assert_snapshot!(show(&Mirrors::new(&debian, None)), @r"
        indices: https://snapshot.debian.org/archive/debian/20260912T000000Z
        packages: http://ftp.debian.org/debian https://snapshot.debian.org/archive/debian/20260912T000000Z
        security indices: https://snapshot.debian.org/archive/debian-security/20260912T000000Z
        security packages: http://security.debian.org/debian-security https://snapshot.debian.org/archive/debian-security/20260912T000000Z
        ");
        let mut ubuntu = distribution(DistributionName::Ubuntu);
        ubuntu.snapshot = Some("20260912T000000Z".to_owned());
        ubuntu.mirrors =
            vec![Url::parse("https://snap.test/@SNAPSHOTID@/u").unwrap(), Url::parse("http://live.test").unwrap()];
        insta::assert_snapshot!(show(&Mirrors::new(&ubuntu, None)), @r"
        indices: https://snap.test/20260912T000000Z/u https://snapshot.ubuntu.com/ubuntu/20260912T000000Z
        packages: http://live.test/ https://snap.test/20260912T000000Z/u https://snapshot.ubuntu.com/ubuntu/20260912T000000Z
        security indices: https://snap.test/20260912T000000Z/u https://snapshot.ubuntu.com/ubuntu/20260912T000000Z
        security packages: http://live.test/ https://snap.test/20260912T000000Z/u https://snapshot.ubuntu.com/ubuntu/20260912T000000Z
        ");
    }

    #[test]
    fn file_names_are_escaped() {
        let mirror = Url::parse("http://mirror.test/debian/").unwrap();
        assert_eq!(
            join(&mirror, "pool/a_1%3a2+b~c?d#e_all.deb").unwrap().as_str(),
            "http://mirror.test/debian/pool/a_1%253a2+b~c%3Fd%23e_all.deb"
        );
        let secret = Url::parse("http://user:pass@mirror.test/").unwrap();
        assert_eq!(shown(&secret), "http://user@mirror.test/");
    }
}
