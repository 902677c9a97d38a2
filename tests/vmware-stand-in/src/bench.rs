//! The stand-in as a test uses it: a directory, a `vmrun` to be found in a PATH, faults, and the record.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::calls::{self, Call};
use crate::state::{self, State};
use crate::{Mode, now};

/// Dropped, it ends the machines that still run.
#[derive(Debug)]
pub struct Bench {
    directory: PathBuf,
    settings: Vec<(String, String)>,
    executable: PathBuf,
}

impl Bench {
    /// Where `cargo` has put stub-vmrun: beside the test program, or one level above.
    pub fn executable() -> Option<PathBuf> {
        let own = std::env::current_exe().ok()?;
        own.ancestors().skip(1).take(2).map(|at| at.join("stub-vmrun")).find(|path| path.is_file())
    }

    /// A stand-in whose `bin/` has a `vmrun` with its settings built in: it needs nothing of the caller's environment.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn new(directory: &Path, mode: Mode, executable: &Path) -> io::Result<Bench> {
        std::fs::create_dir_all(directory.join("bin"))?;
        std::fs::create_dir_all(directory.join("faults"))?;
        let directory = directory.canonicalize()?;
        let mut bench = Bench { directory, settings: Vec::new(), executable: executable.canonicalize()? };
        bench.set("VMWARE_STANDIN_DIR", &bench.directory.display().to_string())?;
        bench.set("VMWARE_STANDIN_OWNER", &std::process::id().to_string())?;
        bench.set("VMWARE_STANDIN_MODE", if mode == Mode::Qemu { "qemu" } else { "paper" })?;
        Ok(bench)
    }

    /// Sets a variable of the stubs' environment.
    ///
    /// # Errors
    /// The wrapper cannot be written.
    pub fn set(&mut self, name: &str, value: &str) -> io::Result<()> {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_owned()));
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
        let mut script = String::from("#!/bin/sh\n# A STUB of VMware's vmrun, for tests.\n");
        for (name, value) in &self.settings {
            script += &format!("export {name}={}\n", quoted(value));
        }
        // By exec, so that the stub's parent is the one who has called.
        script += &format!("exec {} \"$@\"\n", quoted(&self.executable.display().to_string()));
        crate::replace(&self.vmrun(), script.as_bytes())?;
        std::fs::set_permissions(self.vmrun(), std::fs::Permissions::from_mode(0o755))
    }

    /// What the stubs' environment is, for one that is started by hand (stub-vmrest).
    pub fn settings(&self) -> &[(String, String)] {
        &self.settings
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// For a PATH.
    pub fn bin(&self) -> PathBuf {
        self.directory.join("bin")
    }

    pub fn vmrun(&self) -> PathBuf {
        self.bin().join("vmrun")
    }

    /// Switches a fault on; README.md has the names.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn fault(&self, name: &str, text: &str) -> io::Result<()> {
        crate::replace(&self.directory.join("faults").join(name), text.as_bytes())
    }

    /// Switches one off, or all.
    ///
    /// # Errors
    /// The files cannot be removed.
    pub fn heal(&self, name: Option<&str>) -> io::Result<()> {
        for entry in std::fs::read_dir(self.directory.join("faults"))? {
            let entry = entry?;
            if name.is_none_or(|name| entry.file_name() == name) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// The guest's address in paper mode; `None`: its tools do not run.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn address(&self, address: Option<&str>) -> io::Result<()> {
        crate::replace(&self.directory.join("address"), address.unwrap_or("none").as_bytes())
    }

    /// # Errors
    /// The record cannot be read.
    pub fn calls(&self) -> io::Result<Vec<Call>> {
        calls::read(&self.directory)
    }

    /// What is known of a machine. It may have ended since.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn machine(&self, vmx: &Path) -> io::Result<Option<State>> {
        State::load(&self.machine_directory(vmx))
    }

    /// With `console`, `qemu.log` and `notes`.
    pub fn machine_directory(&self, vmx: &Path) -> PathBuf {
        self.directory.join("machines").join(state::identity(vmx))
    }

    /// What the guest has said on its serial port.
    pub fn console(&self, vmx: &Path) -> String {
        let console = self.machine_directory(vmx).join(crate::qemu::CONSOLE);
        String::from_utf8_lossy(&std::fs::read(console).unwrap_or_default()).into_owned()
    }

    /// A power cut: every machine is off at once, whatever it was doing.
    ///
    /// # Errors
    /// The machines' files cannot be read.
    pub fn kill_all(&self) -> io::Result<()> {
        let machines = match std::fs::read_dir(self.directory.join("machines")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            machines => machines?,
        };
        for entry in machines {
            let directory = entry?.path();
            let Some(mut state) = State::load(&directory)? else { continue };
            if let Some(running) = &mut state.running {
                running.dies_at = Some(now());
                if let Some(process) = running.process {
                    process.kill();
                }
                state.save(&directory)?;
            }
        }
        Ok(())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // The watches end what is missed here.
        let _ = self.kill_all();
    }
}
