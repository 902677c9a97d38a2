//! The driver against the stub of SUM, which records its arguments and keeps a BIOS in a directory.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io};

use redfish_simulator::sum::{Format, Settings, StubSum};

use super::*;
use crate::error::Kind;

/// A stub of its own: a second name of the executable, with its state beside it.
struct Bench {
    _directory: tempfile::TempDir,
    tool: SumTool,
    stub: StubSum,
    credentials: Credentials,
}

impl Bench {
    fn new(change: impl FnOnce(&mut Settings)) -> Bench {
        let stub = StubSum::executable().expect("stub-sum is built: cargo build --release -p redfish-simulator");
        let directory = tempfile::tempdir_in(stub.parent().unwrap()).unwrap();
        let program = directory.path().join("sum");
        fs::hard_link(stub, &program).unwrap();
        let stub = StubSum::at(&directory.path().join("stub-sum-state"));
        stub.change(change).unwrap();
        let credentials = Credentials::parse("ADMIN:sup3r-s3cret-pw").unwrap();
        Bench { _directory: directory, tool: SumTool { program }, stub, credentials }
    }

    fn sum(&self, limit: Duration) -> Sum<'_> {
        let endpoint = Endpoint { address: "192.0.2.9".parse().unwrap(), port: 443 };
        Sum { tool: &self.tool, endpoint, credentials: &self.credentials, limit }
    }

    async fn read(&self) -> Result<Config, Error> {
        self.sum(Duration::from_secs(20)).read().await
    }

    /// The directories of all runs, by the password files that the stub was told.
    fn directories(&self) -> Vec<PathBuf> {
        let calls = self.stub.calls().unwrap();
        let of = |call: &Vec<String>| {
            let at = call.iter().position(|argument| argument == "-f").unwrap();
            Path::new(&call[at + 1]).parent().unwrap().to_owned()
        };
        calls.iter().map(of).collect()
    }

    /// Nothing of any run is left, and none had the password among its arguments.
    fn is_clean(&self, runs: usize) {
        let directories = self.directories();
        assert_eq!(directories.len(), runs);
        assert!(directories.iter().all(|directory| !directory.exists()), "{directories:?}");
        assert!(!format!("{:?}", self.stub.calls().unwrap()).contains("s3cret"));
        assert_eq!(processes_of(&self.tool.program), Vec::<PathBuf>::new());
    }
}

/// `/proc/PID` of whatever runs this file.
fn processes_of(program: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    all.filter(|process| fs::read_link(process.join("exe")).is_ok_and(|exe| exe == program)).collect()
}

async fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "it does not come");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn block<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn wanted(pairs: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

#[test]
fn what_differs_is_changed_and_read_back_in_both_formats() {
    block(async {
        for format in [Format::Xml, Format::Text] {
            let bench = Bench::new(|settings| settings.format = format);
            let declared = wanted(&[
                ("Boot|Boot mode select", "UEFI"),
                ("Advanced|CPU Configuration|C states", "Enabled"),
                ("Security|SMC Secure Boot Configuration|Secure Boot", "Enabled"),
            ]);
            let config = bench.read().await.unwrap();
            let plan = config.plan(&declared).unwrap();
            assert_eq!(plan.same, ["Advanced|CPU Configuration|C states"]);
            assert_eq!(plan.changes.len(), 2, "{plan:?}");
            bench.sum(Duration::from_secs(20)).change(&config, &plan.changes).await.unwrap();
            let pending: Vec<String> = bench.stub.settings().unwrap().pending.into_keys().collect();
            assert_eq!(pending, ["Boot|Boot mode select", "Security|SMC Secure Boot Configuration|Secure Boot"]);
            bench.stub.reboot().unwrap();
            let after = bench.read().await.unwrap();
            assert_eq!(after.value("Boot|Boot mode select").unwrap(), "UEFI");
            assert_eq!(after.plan(&declared).unwrap().changes, []);
            bench.is_clean(3);
        }
    });
}

#[test]
fn every_kind_of_setting_arrives_as_it_was_meant() {
    block(async {
        let bench = Bench::new(|_| {});
        let declared = wanted(&[
            ("Advanced|Boot Feature|Fast Boot [2]", "Disabled"),
            ("Advanced|Boot Feature|Quiet Boot", "Unchecked"),
            ("Advanced|CPU Configuration|Correctable Error Threshold", "500"),
            ("Advanced|CPU Configuration|  Power Limit Value", "95"),
            ("Advanced|System Label \"A\" & more|Label", "r<2> ]]> caf\u{e9}"),
            ("Boot|Boot Option #3", "UEFI USB Key"),
        ]);
        let config = bench.read().await.unwrap();
        let plan = config.plan(&declared).unwrap();
        bench.sum(Duration::from_secs(20)).change(&config, &plan.changes).await.unwrap();
        bench.stub.reboot().unwrap();
        assert_eq!(bench.read().await.unwrap().plan(&declared).unwrap().changes, []);
    });
}

#[test]
fn the_password_is_in_a_private_file_and_nowhere_else() {
    block(async {
        let bench = Bench::new(|settings| settings.hang_seconds = 60);
        let sum = bench.sum(Duration::from_secs(20));
        tokio::select! {
            _ = sum.read() => panic!("the stub ends"),
            () = async {
                let process = until(|| processes_of(&bench.tool.program).pop()).await;
                until(|| Some(()).filter(|()| !bench.stub.calls().unwrap().is_empty())).await;
                for file in ["cmdline", "environ"] {
                    let bytes = fs::read(process.join(file)).unwrap();
                    assert!(!String::from_utf8_lossy(&bytes).contains("s3cret"), "{file}");
                }
                let directory = bench.directories().pop().unwrap();
                let mode = |path: &Path| io::Result::Ok(std::os::unix::fs::MetadataExt::mode(&fs::metadata(path)?) & 0o777);
                assert_eq!(mode(&directory).unwrap(), 0o700);
                assert_eq!(mode(&directory.join("password")).unwrap(), 0o600);
                assert_eq!(fs::read(directory.join("password")).unwrap(), b"sup3r-s3cret-pw\n");
            } => {}
        }
        // Nobody waits for it any more: it is killed, and its directory is gone.
        until(|| Some(()).filter(|()| processes_of(&bench.tool.program).is_empty())).await;
        bench.is_clean(1);
    });
}

#[test]
fn a_program_that_hangs_is_killed_when_its_time_is_over() {
    block(async {
        let bench = Bench::new(|settings| settings.hang_seconds = 60);
        let begun = Instant::now();
        let error = bench.sum(Duration::from_millis(300)).read().await.unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(3));
        assert_eq!(error.kind(), Kind::Unreachable);
        assert!(error.to_string().contains("SUM's GetCurrentBiosCfg: it did not end in"), "{error}");
        until(|| Some(()).filter(|()| processes_of(&bench.tool.program).is_empty())).await;
        bench.is_clean(1);
    });
}

#[test]
fn each_failure_of_the_program_has_its_own_error_and_leaves_nothing() {
    block(async {
        type Change = fn(&mut Settings);
        let cases: [(Change, Kind, &str); 7] = [
            (|settings| settings.licensed = false, Kind::Refused, "no licence to read the BIOS settings by SUM"),
            (|settings| settings.password = "other".into(), Kind::Trust, "refuses the user name or the password"),
            (|settings| settings.reachable = false, Kind::Unreachable, "192.0.2.9 cannot be reached"),
            (|settings| settings.fail = 2, Kind::Refused, "may be too old to read the password from a file"),
            (|settings| settings.fail = 83, Kind::Refused, "the board does not support it"),
            (|settings| settings.fail = 9, Kind::Surroundings, "SUM finds its file there already"),
            (
                |settings| settings.fail = 149,
                Kind::Refused,
                "SUM failed to read the BIOS settings (exit code 149): IPMI execution failed",
            ),
        ];
        for (change, kind, text) in cases {
            let bench = Bench::new(change);
            let error = bench.read().await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(text), "{error}");
            assert!(!error.to_string().contains("s3cret") && !error.to_string().contains('\u{1b}'));
            bench.is_clean(1);
        }
    });
}

#[test]
fn a_program_that_is_none_or_writes_nothing_is_said_to_be_so() {
    block(async {
        let credentials = Credentials::parse("ADMIN:sup3r-s3cret-pw").unwrap();
        for (program, kind, text) in [
            ("/nowhere/sum", Kind::Surroundings, "SUM cannot be started (/nowhere/sum): it is not there"),
            ("/bin/true", Kind::Refused, "it wrote no file"),
        ] {
            let tool = SumTool { program: program.into() };
            let endpoint = Endpoint { address: "192.0.2.9".parse().unwrap(), port: 443 };
            let limit = Duration::from_secs(20);
            let error = Sum { tool: &tool, endpoint, credentials: &credentials, limit }.read().await.unwrap_err();
            assert_eq!(error.kind(), kind);
            assert!(error.to_string().contains(text), "{error}");
        }
    });
}
