//! `provbuild lint user-data` as a command: exit codes, streams, standard input.

use std::io::Write;
use std::process::{Command, Output, Stdio};

const SOUND: &str = "examples/autoinstall/lvm.yaml";

fn lint(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_provbuild"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["lint", "user-data"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads no input may be gone already.
    let _ = command.stdin.take().unwrap().write_all(input.as_bytes());
    command.wait_with_output().unwrap()
}

fn texts(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_sound_file_has_no_faults() {
    for name in ["direct", "lvm", "partitions"] {
        let path = format!("examples/autoinstall/{name}.yaml");
        let expected = (Some(0), String::new(), format!("{path}: no faults\n"));
        assert_eq!(texts(&lint(&[&path], "")), expected);
    }
}

#[test]
fn errors_and_warnings_have_their_exit_codes() {
    let sound = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(SOUND)).unwrap();
    let warned = sound.replace("fallback: abort", "geoip: false");
    let (code, out, err) = texts(&lint(&["-"], &warned));
    assert_eq!((code, out.as_str()), (Some(3), ""));
    assert!(err.contains("warning: 'apt.fallback' is left out"), "{err}");
    assert!(err.ends_with("standard input: 1 warning\n"), "{err}");
    assert_eq!(lint(&["--lenient", "-"], &warned).status.code(), Some(0));

    let broken = warned.replace("name: lvm", "name: lmv");
    let (code, out, err) = texts(&lint(&["-"], &broken));
    assert_eq!((code, out.as_str()), (Some(3), ""));
    assert!(err.contains("there is no layout 'lmv'") && err.contains("did you mean 'lvm'?"), "{err}");

    let (code, out, err) = texts(&lint(&["--json", "-"], &broken));
    assert_eq!((code, err.as_str()), (Some(3), ""));
    let objects: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(objects.iter().any(|object| object["event"] == "fault" && object["path"] == "standard input"), "{out}");
}

#[test]
fn the_release_counts() {
    let sound = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(SOUND)).unwrap();
    let zfs = sound.replace("name: lvm", "name: zfs").replace("      sizing-policy: all\n", "");
    assert_eq!(lint(&["-"], &zfs).status.code(), Some(0));
    assert_eq!(lint(&["--release", "22.04", "-"], &zfs).status.code(), Some(3));
    assert_eq!(lint(&["--release", "23.10", "-"], &zfs).status.code(), Some(2));
}

#[test]
fn a_missing_file_is_no_fault_in_it() {
    let (code, _, err) = texts(&lint(&["no/such/file.yaml"], ""));
    assert_eq!(code, Some(9));
    assert!(err.starts_with("error: cannot read no/such/file.yaml: "), "{err}");
}
