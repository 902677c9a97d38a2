//! Where VMware Workstation's programs are: on this Linux, on the Windows around this WSL, on Windows itself.
//!
//! Pure: what the host says comes in as values and a function, so that each kind of host is tested on every other.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::super::error::{DeployError, Kind};

/// What provbuild runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Host {
    Linux,
    /// Linux inside Windows, where Workstation is a program of Windows.
    Wsl,
    Windows,
}

/// Environment variables of Windows that lead to Workstation.
pub const WINDOWS_VARIABLES: [&str; 3] = ["VMWARE_HOME", "ProgramFiles(x86)", "ProgramFiles"];

impl Host {
    /// `os_release`: text of /proc/sys/kernel/osrelease ("5.15.90.1-microsoft-standard-WSL2", in WSL 1 "4.4.0-19041-Microsoft").
    pub(super) fn of(os_release: Option<&str>) -> Self {
        match os_release {
            _ if cfg!(windows) => Host::Windows,
            Some(text) if text.to_ascii_lowercase().contains("microsoft") => Host::Wsl,
            _ => Host::Linux,
        }
    }

    fn program(self, name: &str) -> String {
        match self {
            Host::Linux => name.to_owned(),
            Host::Wsl | Host::Windows => format!("{name}.exe"),
        }
    }
}

/// What is known of the host.
pub(super) struct Places<'a> {
    pub(super) host: Host,
    /// PATH
    pub(super) path: Option<&'a OsStr>,
    /// Values of [`WINDOWS_VARIABLES`]; WSL does not pass them on.
    pub(super) variables: &'a BTreeMap<String, String>,
    /// Where WSL has Windows' drive C ("/mnt/c").
    pub(super) system_drive: &'a Path,
    /// `bindir` of /etc/vmware/config.
    pub(super) bindir: Option<&'a str>,
    pub(super) exists: &'a dyn Fn(&Path) -> bool,
}

/// Finds a program ("vmrun"), or says where it was looked for.
pub(super) fn find(name: &str, named: Option<&Path>, places: &Places<'_>) -> Result<PathBuf, DeployError> {
    let program = places.host.program(name);
    if let Some(named) = named {
        return match (places.exists)(named) {
            true => Ok(named.to_owned()),
            false => Err(DeployError::new(Kind::Hypervisor, format!("there is no {name} at {}", named.display()))
                .help(format!("correct deploy.workstation.{name}, or remove it to have {program} looked for"))),
        };
    }
    let candidates = candidates(&program, places);
    if let Some(found) = candidates.iter().find(|candidate| (places.exists)(candidate)) {
        return Ok(found.clone());
    }
    let looked: Vec<String> = candidates.iter().map(|candidate| candidate.display().to_string()).collect();
    let on = match places.host {
        Host::Linux => "",
        Host::Wsl => " on the Windows around this WSL",
        Host::Windows => " on this Windows",
    };
    let looked =
        if looked.is_empty() { "PATH is empty".to_owned() } else { format!("looked for {}", looked.join(", ")) };
    let message = format!("VMware Workstation is not installed{on}: no {program}; {looked}");
    let help = match places.host {
        Host::Wsl => format!(
            "install VMware Workstation on Windows, or name the program by its path in WSL: deploy.workstation.{name} = \"/mnt/d/VMware/{program}\""
        ),
        _ => format!("install VMware Workstation, or name the program: deploy.workstation.{name}"),
    };
    Err(DeployError::new(Kind::Hypervisor, message).help(help))
}

fn candidates(program: &str, places: &Places<'_>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut add = |candidate: PathBuf| {
        if !found.contains(&candidate) {
            found.push(candidate);
        }
    };
    let path = places.path.map(OsStr::to_string_lossy).unwrap_or_default();
    match places.host {
        Host::Linux => {
            // A relative directory in PATH would make the program depend on where provbuild is started.
            for directory in path.split(':').filter(|directory| directory.starts_with('/')) {
                add(Path::new(directory).join(program));
            }
            for directory in places.bindir.into_iter().chain(["/usr/bin", "/usr/local/bin"]) {
                add(Path::new(directory).join(program));
            }
        }
        Host::Wsl => {
            for directory in path.split(':').filter(|directory| directory.starts_with('/')) {
                // Windows' part of PATH holds dozens of directories that have nothing to do with it: they would hide the rest.
                if (places.exists)(&Path::new(directory).join(program))
                    || directory.to_ascii_lowercase().contains("vmware")
                {
                    add(Path::new(directory).join(program));
                }
            }
            for directory in ["Program Files (x86)", "Program Files"] {
                add(places.system_drive.join(directory).join("VMware/VMware Workstation").join(program));
            }
        }
        Host::Windows => {
            let below = |directory: &str, rest: &str| {
                PathBuf::from(format!("{}\\{rest}{program}", directory.trim_end_matches(['\\', '/'])))
            };
            for directory in path.split(';').filter(|directory| !directory.is_empty()) {
                add(below(directory, ""));
            }
            for (variable, rest) in
                WINDOWS_VARIABLES.into_iter().zip(["", "VMware\\VMware Workstation\\", "VMware\\VMware Workstation\\"])
            {
                if let Some(directory) = places.variables.get(variable) {
                    add(below(directory, rest));
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(host: Host, path: &str, there: &[&str], named: Option<&str>) -> Result<PathBuf, DeployError> {
        let variables = [
            ("VMWARE_HOME", "D:\\VMware\\"),
            ("ProgramFiles(x86)", "C:\\Program Files (x86)"),
            ("ProgramFiles", "C:\\Program Files"),
        ];
        let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let places = Places {
            host,
            path: Some(OsStr::new(path)),
            variables: &variables,
            system_drive: Path::new("/mnt/c"),
            bindir: Some("/opt/vmware/bin"),
            exists: &|path| there.iter().any(|there| Path::new(there) == path),
        };
        find("vmrun", named.map(Path::new), &places)
    }

    #[test]
    fn the_kind_of_host_is_in_the_kernels_release() {
        assert_eq!(Host::of(Some("5.15.90.1-microsoft-standard-WSL2\n")), Host::Wsl);
        assert_eq!(Host::of(Some("4.4.0-19041-Microsoft\n")), Host::Wsl);
        assert_eq!(Host::of(Some("6.1.0-18-amd64\n")), Host::Linux);
        assert_eq!(Host::of(None), Host::Linux);
    }

    #[test]
    fn on_linux_path_comes_first() {
        let there = ["/usr/bin/vmrun", "/home/u/bin/vmrun", "/opt/vmware/bin/vmrun"];
        assert_eq!(
            look(Host::Linux, "bin:/home/u/bin:/usr/bin", &there, None).unwrap(),
            Path::new("/home/u/bin/vmrun")
        );
        assert_eq!(look(Host::Linux, "", &there, None).unwrap(), Path::new("/opt/vmware/bin/vmrun"));
        assert_eq!(look(Host::Linux, "/x", &there[..1], None).unwrap(), Path::new("/usr/bin/vmrun"));
    }

    #[test]
    fn from_wsl_the_program_of_windows_is_taken() {
        let x86 = "/mnt/c/Program Files (x86)/VMware/VMware Workstation/vmrun.exe";
        let new = "/mnt/c/Program Files/VMware/VMware Workstation/vmrun.exe";
        assert_eq!(look(Host::Wsl, "/usr/bin", &["/usr/bin/vmrun", x86, new], None).unwrap(), Path::new(x86));
        assert_eq!(look(Host::Wsl, "/usr/bin", &[new], None).unwrap(), Path::new(new));
        let path = "/usr/bin:/mnt/d/Workstation:/mnt/c/Windows";
        assert_eq!(
            look(Host::Wsl, path, &[x86, "/mnt/d/Workstation/vmrun.exe"], None).unwrap(),
            Path::new("/mnt/d/Workstation/vmrun.exe")
        );
    }

    #[test]
    fn on_windows_variables_lead_to_it() {
        let home = "D:\\VMware\\vmrun.exe";
        let x86 = "C:\\Program Files (x86)\\VMware\\VMware Workstation\\vmrun.exe";
        let new = "C:\\Program Files\\VMware\\VMware Workstation\\vmrun.exe";
        assert_eq!(look(Host::Windows, "C:\\Windows;", &[home, x86], None).unwrap(), Path::new(home));
        assert_eq!(look(Host::Windows, "", &[x86, new], None).unwrap(), Path::new(x86));
        assert_eq!(look(Host::Windows, "", &[new], None).unwrap(), Path::new(new));
        assert_eq!(
            look(Host::Windows, "C:\\Windows;E:\\ws", &["E:\\ws\\vmrun.exe", home], None).unwrap(),
            Path::new("E:\\ws\\vmrun.exe")
        );
    }

    #[test]
    fn a_named_program_is_the_only_one() {
        let there = ["/usr/bin/vmrun"];
        assert_eq!(look(Host::Linux, "", &there, Some("/usr/bin/vmrun")).unwrap(), Path::new("/usr/bin/vmrun"));
        let failed = look(Host::Linux, "/usr/bin", &there, Some("/opt/vmrun")).unwrap_err();
        assert_eq!(failed.message, "there is no vmrun at /opt/vmrun");
    }

    #[test]
    fn what_was_looked_for_is_said() {
        let said = |host, path| look(host, path, &[], None).unwrap_err().message;
        insta::assert_snapshot!(
            [
                said(Host::Linux, "/usr/local/bin:/usr/bin"),
                said(Host::Wsl, "/usr/bin:/mnt/c/Windows:/mnt/c/VMware"),
                said(Host::Windows, "C:\\Windows"),
            ]
            .join("\n")
        );
    }
}
