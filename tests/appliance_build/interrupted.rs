//! Builds that do not reach their end: killed at twenty moments, and with no room on the disk.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::project::{self, Project};
use crate::{digests, judge};

/// Processes that run a program, by /proc.
fn running(program: &Path) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter(|entry| std::fs::read_link(entry.path().join("exe")).is_ok_and(|exe| exe == program))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
#[ignore = "builds an appliance from the real archive, and kills twenty builds"]
fn net_a_build_killed_at_any_moment_leaves_the_store_and_out_intact() {
    let project = Project::new("killed", &["vmdk"], "");
    // A store of its own: what is interrupted must not be another test's.
    let store = project.directory.join("store");
    let _ = std::fs::remove_dir_all(&store);
    let _ = std::fs::remove_dir_all(project.directory.join("out"));
    // A program file of its own, to recognise what a killed build leaves running.
    let program = project.directory.join("provbuild");
    std::fs::copy(env!("CARGO_BIN_EXE_provbuild"), &program).unwrap();
    let command = || {
        let mut command = Command::new(&program);
        command.args(["build", "profile.toml", "--store", "store"]).current_dir(&project.directory);
        command.env("PROVBUILD_PROVD", project::daemon());
        command.stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null());
        command
    };

    let begin = Instant::now();
    assert!(command().status().unwrap().success(), "the first build of {}", project.directory.display());
    let whole = begin.elapsed();
    let finished = digests(&project.out());

    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos();
    eprintln!("seed {seed}, a whole build takes {whole:?}");
    let mut random = seed;
    let mut interrupted = 0;
    for round in 0..20_u32 {
        // Every fifth round begins with nothing downloaded, every other with no finished stage.
        if round % 5 == 0 {
            let _ = std::fs::remove_dir_all(&store);
        } else if round % 2 == 0 {
            let _ = std::fs::remove_dir_all(store.join("stages"));
        }
        // A changed node makes the image stage necessary in every round; `out` keeps the finished build until then.
        let nodes = crate::common::project::NODES.replace("10.10.1.21", &format!("10.10.1.{}", 31 + round));
        std::fs::write(project.directory.join("nodes.toml"), nodes).unwrap();
        let before = digests(&project.out());

        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let limit = if round % 2 == 0 || round % 5 == 0 { whole } else { whole / 4 };
        let moment = limit.mul_f64(f64::from(random >> 8) / f64::from(1 << 24));
        let mut child = command().spawn().unwrap();
        let deadline = Instant::now() + moment;
        while Instant::now() < deadline && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = child.kill(); // it may have finished
        let status = child.wait().unwrap();
        if status.signal() == Some(9) {
            interrupted += 1;
            assert_eq!(digests(&project.out()), before, "round {round}, killed after {moment:?}: out changed");
        } else {
            assert!(status.success(), "round {round}: {status}");
        }
        let patience = Instant::now() + Duration::from_secs(5);
        while !running(&program).is_empty() {
            assert!(Instant::now() < patience, "round {round}: left running: {:?}", running(&program));
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    assert!(interrupted >= 8, "only {interrupted} of 20 builds were killed before their end (seed {seed})");

    std::fs::write(project.directory.join("nodes.toml"), crate::common::project::NODES).unwrap();
    assert!(command().status().unwrap().success(), "the build after the killed ones (seed {seed})");
    assert_eq!(digests(&project.out()), finished, "seed {seed}");
    let left: Vec<PathBuf> = std::fs::read_dir(project.directory.join("out"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().contains(".new-"))
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    std::fs::remove_dir_all(&store).unwrap();
}

#[test]
#[ignore = "needs a mount namespace, and builds an appliance from the real archive"]
fn net_a_full_disk_is_reported_and_the_next_build_goes_on() {
    let project = Project::new("full", &["vmdk"], "");
    project.built(&[]);
    let before = digests(&project.out());
    let nodes = crate::common::project::NODES.replace("10.10.1.21", "10.10.1.41");
    std::fs::write(project.directory.join("nodes.toml"), nodes).unwrap();

    // `out` on a file system with no room for an image; the finished build is there.
    let user = if nix::unistd::geteuid().is_root() { "" } else { "--user --map-root-user" };
    let script = format!(
        "mount -t tmpfs -o size=\"$(($(du -sm out/full | cut -f1) + 20))m\" none /mnt && cp -a out/full /mnt/full && \
         '{}' build profile.toml --offline --store '{}' --out /mnt; code=$?; \
         (cd /mnt/full && find . -type f -print0 | sort -z | xargs -0 sha256sum) > after; ls -A /mnt > listing; exit $code",
        env!("CARGO_BIN_EXE_provbuild"),
        Project::store().display()
    );
    let output = Command::new("sh")
        .args(["-c", &format!("exec unshare {user} --mount sh -c \"$0\""), &script])
        .current_dir(&project.directory)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(9), "{said}");
    assert!(said.to_lowercase().contains("no space left on") && said.contains("help:"), "{said}");
    let after = std::fs::read_to_string(project.directory.join("after")).unwrap();
    let after: Vec<_> =
        after.lines().filter_map(|line| line.split_once("  ")).map(|(d, p)| (p.to_owned(), d.to_owned())).collect();
    assert_eq!(after, before, "the finished build was touched");
    let listing = std::fs::read_to_string(project.directory.join("listing")).unwrap();
    assert!(!listing.contains(".new-"), "{listing}");

    // With room it goes on.
    project.built(&["--offline"]);
    judge("coreutils", "test", &["-s", project.out().join("full.vmdk").to_str().unwrap()]);
}
