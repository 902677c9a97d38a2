//! Paths as VMware's programs take and give them: the host's own, or those of Windows where the programs are Windows'.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::super::error::{DeployError, Kind};
use crate::exec::vmware::{PathStyle, VmwareError, translate_path};

/// How a path is said to VMware.
#[derive(Debug, Clone)]
pub(super) enum Paths {
    Native,
    /// By the program wslpath.
    Wsl {
        wslpath: PathBuf,
    },
}

impl Paths {
    /// The path of a file, which need not exist, as VMware's programs take it.
    ///
    /// # Errors
    /// From WSL: it lies in the file system of Linux. VMware on Windows reaches that only over a network protocol of its own kind, on
    /// which locks and memory mapping do not do what VMware relies on.
    pub(super) fn outward(&self, path: &Path) -> Result<OsString, DeployError> {
        let Paths::Wsl { wslpath } = self else { return Ok(path.as_os_str().to_owned()) };
        // wslpath translates only what exists.
        let there = path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/"));
        let windows = translate_path(wslpath, PathStyle::Windows, there.as_os_str()).map_err(failed)?;
        let windows = windows.filter(|windows| on_a_drive(windows)).ok_or_else(|| {
            let message =
                format!("{} is not on a drive of Windows, where VMware Workstation could use it", path.display());
            DeployError::new(Kind::Settings, message)
                .help("set deploy.workstation.directory to a directory such as /mnt/c/vm")
        })?;
        let rest = path.strip_prefix(there).unwrap_or(Path::new(""));
        let rest = rest.iter().map(OsStr::to_string_lossy);
        Ok(rest.fold(windows.trim_end_matches('\\').to_owned(), |whole, part| whole + "\\" + &part).into())
    }

    /// Whether a path that VMware says is that of `file`; links, the case of Windows' names and WSL's two namespaces do not matter.
    pub(super) fn same(&self, said: &str, file: &Path) -> Result<bool, DeployError> {
        let Paths::Wsl { wslpath } = self else { return Ok(same_file(Path::new(said), file)) };
        let name = said.rsplit(['\\', '/']).next().unwrap_or_default();
        let own = file.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
        if !folded(name).eq(&folded(&own)) {
            return Ok(false);
        }
        if folded(&self.outward(file)?.to_string_lossy()) == folded(said) {
            return Ok(true);
        }
        // The same file by another name of Windows: a link, a drive of the subst command.
        let linux = translate_path(wslpath, PathStyle::Linux, OsStr::new(said)).map_err(failed)?;
        Ok(linux.is_some_and(|linux| same_file(Path::new(&linux), file)))
    }
}

fn failed(error: VmwareError) -> DeployError {
    DeployError::new(Kind::Hypervisor, format!("cannot translate a path to Windows' form: {error}"))
        .help("this looks like WSL, whose wslpath is missing: is the interoperation with Windows switched off in /etc/wsl.conf?")
}

/// `C:\...`, and no `\\server\...`
fn on_a_drive(windows: &str) -> bool {
    matches!(windows.as_bytes(), [letter, b':', b'\\', ..] if letter.is_ascii_alphabetic())
}

/// As NTFS compares names, near enough: both come from the same program.
fn folded(windows: &str) -> String {
    windows.replace('/', "\\").to_lowercase()
}

fn same_file(a: &Path, b: &Path) -> bool {
    if a == b {
        return true;
    }
    match (fs::metadata(a), fs::metadata(b)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        // Removed under a machine that runs: its directory may still tell.
        _ => {
            let place = |path: &Path| Some((path.parent()?.canonicalize().ok()?, path.file_name()?.to_owned()));
            place(a).is_some_and(|a| place(b) == Some(a))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::tests::wslpath;
    use super::*;

    #[test]
    fn links_lead_to_the_same_file() {
        let scratch = tempfile::tempdir().unwrap();
        let real = scratch.path().join("real");
        fs::create_dir(&real).unwrap();
        symlink(&real, scratch.path().join("link")).unwrap();
        fs::write(real.join("a.vmx"), "").unwrap();
        let by_link = scratch.path().join("link/a.vmx");
        let same = |said: &Path, file: &Path| Paths::Native.same(said.to_str().unwrap(), file).unwrap();
        assert!(same(&by_link, &real.join("a.vmx")));
        assert!(!same(&by_link, &real.join("b.vmx")));
        fs::remove_file(real.join("a.vmx")).unwrap();
        assert!(same(&by_link, &real.join("a.vmx")));
        assert!(!same(&scratch.path().join("link/b.vmx"), &real.join("a.vmx")));
    }

    #[test]
    fn from_wsl_paths_are_those_of_windows() {
        let scratch = tempfile::tempdir().unwrap();
        let paths = Paths::Wsl { wslpath: wslpath(scratch.path()) };
        let drive = scratch.path().join("c");
        fs::create_dir_all(drive.join("Virtual Machines")).unwrap();
        let file = drive.join("Virtual Machines/lab/lab.vmx");
        assert_eq!(paths.outward(&file).unwrap(), "C:\\Virtual Machines\\lab\\lab.vmx");
        assert!(paths.same("c:\\virtual machines\\LAB\\Lab.vmx", &file).unwrap());
        assert!(paths.same("C:/Virtual Machines/lab/lab.vmx", &file).unwrap());
        assert!(!paths.same("C:\\Virtual Machines\\other\\lab.vmx", &file).unwrap());
        fs::create_dir(drive.join("Virtual Machines/lab")).unwrap();
        fs::write(&file, "").unwrap();
        symlink(drive.join("Virtual Machines"), drive.join("vms")).unwrap();
        assert!(paths.same("C:\\vms\\lab\\lab.vmx", &file).unwrap());
    }

    #[test]
    fn a_directory_of_linux_is_no_place_for_a_machine_on_windows() {
        let scratch = tempfile::tempdir().unwrap();
        let paths = Paths::Wsl { wslpath: wslpath(scratch.path()) };
        let failed = paths.outward(Path::new("/home/u/vm/lab.vmx")).unwrap_err();
        assert_eq!(failed.kind, Kind::Settings);
        assert!(failed.message.contains("not on a drive of Windows"), "{failed}");
    }
}
