//! The whole way with a real appliance: the stand-in runs what the .vmx describes under QEMU, and provbuild upgrades it, goes back from a broken
//! image, and keeps what the nodes' states are.
//!
//! Everything runs in a network namespace, where the guests have addresses of their own. A boot takes two to three minutes without KVM.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use provbuild::manifest::{FILE_NAME, Manifest};
use provbuild::vocab::Digest;
use vmware_stand_in::{Bench, Mode};

use crate::common::netboot::netboot;
use crate::common::project::{NODES, Project};
use crate::netlab::Lab;

const NAME: &str = "deploy-test";
/// Where the root file system begins on the disk: after the first MiB and an EFI system partition of 64.
const ROOT: u64 = 65 << 20;
const PASSWORD: &str = "ADMIN:c0rrect-horse-battery";

struct Site {
    lab: Lab,
    bench: Bench,
    project: Project,
    key: PathBuf,
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
fn must(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", text(&output));
    text(&output)
}

impl Site {
    fn new() -> Site {
        let lab = Lab::new("deploy", 0);
        let stub = Bench::executable().expect("stub-vmrun is built: cargo build --release -p vmware-stand-in");
        let mut bench = Bench::new(&lab.directory.join("stand-in"), Mode::Qemu, &stub).unwrap();
        for (name, value) in [("MEMORY", "1536"), ("SOFT_STOP", "180")] {
            bench.set(&format!("VMWARE_STANDIN_{name}"), value).unwrap();
        }
        let key = lab.directory.join("key");
        must(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key));
        let public = fs::read_to_string(lab.directory.join("key.pub")).unwrap();
        let archive = netboot(&lab.directory);
        let more = format!(
            "\n[appliance.users.tester]\nsudo = true\nssh-keys = [{:?}]\n\
             \n[installer.trixie]\ndistribution = \"debian\"\nrelease = \"13\"\nmedia = \"bake\"\n\
             netboot = {{ path = {archive:?}, sha256 = \"{}\" }}\n\
             \n[deploy]\nhealth-timeout = \"12min\"\nstop-timeout = \"3min\"\nstate-disk = \"2GiB\"\n\
             \n[deploy.workstation]\ndirectory = {:?}\n",
            public.trim(),
            Digest::of(&fs::read(&archive).unwrap()),
            lab.directory.join("vms"),
        );
        let project = Project::new(NAME, &["vmx"], &more);
        let node = "address = \"10.10.1.21\"\ninstall = \"trixie\"\n\
                    bmc = { address = \"10.10.2.21\", kind = \"redfish\", credentials = \"file:node1.secret\" }\n";
        fs::write(project.directory.join("nodes.toml"), NODES.replacen("address = \"10.10.1.21\"\n", node, 1)).unwrap();
        let secret = project.directory.join("node1.secret");
        fs::write(&secret, PASSWORD).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        Site { lab, bench, project, key }
    }

    fn vmx(&self) -> PathBuf {
        self.lab.directory.canonicalize().unwrap().join(format!("vms/{NAME}/{NAME}.vmx"))
    }

    /// `provbuild deploy profile.toml ...` in the namespace.
    fn deploy(&self, arguments: &[&str]) -> Output {
        if arguments.is_empty() {
            // The namespace has no way to an archive: what deploy would build is built before it.
            self.project.built(&[]);
        }
        // Entering the namespaces changes the directory.
        let mut command = self.lab.command("env");
        command.arg("-C").arg(&self.project.directory).arg(env!("CARGO_BIN_EXE_provbuild"));
        command.args(["deploy", "profile.toml"]).args(arguments);
        if !arguments.contains(&"--no-build") {
            command.arg("--store").arg(Project::store());
        }
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", self.bench.bin().display()));
        command.output().unwrap()
    }

    #[track_caller]
    fn deployed(&self, arguments: &[&str], code: i32, said: &str) {
        let output = self.deploy(arguments);
        let text = text(&output);
        let console = self.bench.console(&self.vmx());
        let lines: Vec<&str> = console.lines().collect();
        let tail = lines[lines.len().saturating_sub(40)..].join("\n");
        assert_eq!(output.status.code(), Some(code), "{text}\nthe machine's console:\n{tail}");
        assert!(text.contains(said), "no '{said}' in\n{text}");
    }

    /// Runs a command in the guest.
    #[track_caller]
    fn ssh(&self, command: &str) -> String {
        let address = self.bench.machine(&self.vmx()).unwrap().unwrap().address.to_string();
        let login = format!("tester@{address}");
        let mut ssh = self.lab.command("timeout");
        ssh.args(["180", "ssh", "-q", "-F", "/dev/null", "-i"]).arg(&self.key);
        for option in ["BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "ConnectTimeout=60"]
        {
            ssh.args(["-o", option]);
        }
        must(ssh.args([&login, command]))
    }

    /// What must outlive every change of the image: that the node is armed, by whom, and the key of the page.
    fn state(&self) -> String {
        self.ssh("provd audit --node node1 && provd audit --verify && sudo sha256sum /var/lib/provbuild/tls/key.pem")
    }
}

/// Another build, in which the daemon is missing: the finished one, altered, with a manifest that fits.
fn break_the_build(directory: &Path) {
    let mut manifest = Manifest::read(directory).unwrap();
    let disk = manifest.artifacts.iter_mut().find(|artifact| artifact.file.ends_with(".vmdk")).unwrap();
    let path = directory.join(&disk.file);
    let raw = directory.join("altered.raw");
    let kind = must(Command::new("qemu-img").arg("info").arg(&path));
    let kind = if kind.contains("streamOptimized") { "streamOptimized" } else { "monolithicSparse" };
    must(Command::new("qemu-img").args(["convert", "-O", "raw"]).arg(&path).arg(&raw));
    let file_system = format!("{}?offset={ROOT}", raw.display());
    must(Command::new("/sbin/debugfs").args(["-w", "-R", "rm /usr/bin/provd", &file_system]));
    fs::remove_file(&path).unwrap();
    must(
        Command::new("qemu-img")
            .args(["convert", "-O", "vmdk", "-o", &format!("subformat={kind}")])
            .arg(&raw)
            .arg(&path),
    );
    fs::remove_file(&raw).unwrap();
    let (sha256, size) = Digest::of_reader(&mut fs::File::open(&path).unwrap()).unwrap();
    (disk.sha256, disk.size) = (sha256, size);
    manifest.image_digest = Digest::of(b"an image without its daemon");
    fs::write(directory.join(FILE_NAME), manifest.to_text()).unwrap();
}

#[test]
#[ignore = "boots virtual machines, for a quarter of an hour"]
fn vm_an_appliance_is_deployed_upgraded_and_taken_back() {
    let site = Site::new();
    site.deployed(&[], 0, "generation 1 is healthy");
    // The medium has done its work: neither the guest nor the host has it any more.
    let medium = fs::read(site.vmx().with_file_name("seed.iso")).unwrap_or_default();
    assert!(medium.iter().all(|byte| *byte == 0));
    site.ssh("! sudo grep -qs c0rrect-horse /dev/sr0");
    assert_eq!(site.ssh("findmnt -n -o LABEL /var/lib/provbuild").trim(), "provbuild-state");
    assert_eq!(site.ssh("sudo cat /var/lib/provbuild/secrets/bmc/node1").trim(), PASSWORD);
    site.ssh("provd arm node1 --yes --reason deploy-test");
    let state = site.state();
    assert!(state.contains("armed") && state.contains("tester"), "{state}");

    // Nothing changed: nothing is done.
    site.deployed(&[], 0, "nothing changed");

    // The profile is another one: a swap of the system disk.
    let profile = site.project.directory.join("profile.toml");
    let changed = fs::read_to_string(&profile).unwrap() + "\n[files.\"/etc/second\"]\ntext = \"here\"\n";
    fs::write(&profile, changed).unwrap();
    site.deployed(&[], 0, "generation 2 is healthy");
    assert_eq!(site.ssh("cat /etc/second"), "here");
    assert_eq!(site.state(), state);

    // The image is broken: it is taken back by itself. Nothing is waited for that long on this way.
    let text = fs::read_to_string(&profile).unwrap().replace("12min", "5min");
    fs::write(&profile, text).unwrap();
    break_the_build(&site.project.out());
    site.deployed(&["--no-build"], 16, "Generation 2 runs again");
    assert_eq!(site.ssh("cat /etc/second"), "here");
    assert_eq!(site.state(), state);

    site.deployed(&["--rollback"], 0, "generation 1 is healthy");
    site.ssh("test ! -e /etc/second");
    assert_eq!(site.state(), state);
    assert!(site.ssh("provd show node1").contains("armed"));
}
