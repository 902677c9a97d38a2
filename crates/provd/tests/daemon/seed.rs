//! `provd seed` as its unit runs it: with the umask of somebody who writes secrets.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use netboot::{Seed, SeedState};

use crate::harness::PROVD;

#[test]
fn the_deployment_is_noted_for_everybody_once_the_secrets_are_there() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    let seed = Seed {
        format: Seed::FORMAT,
        deployment: "0123456789abcdef".repeat(2),
        generation: 4,
        state: SeedState::Keep,
        secrets: BTreeMap::from([("webhook".parse().unwrap(), "geheim".to_owned())]),
    };
    fs::write(path("medium"), &*seed.medium(0).unwrap()).unwrap();
    let declared = serde_json::json!({"format": 1, "name": "lab",
        "site": {"server": "10.10.0.1", "subnet": "10.10.0.0/16", "domain": "lab.example", "gateway": null},
        "inventory": {"nodes": []}, "installers": {},
        "control": {"arming": 3600, "silence": 1800, "first-boot": 1800, "webhooks": []}});
    fs::write(path("provd.json"), declared.to_string()).unwrap();
    let run = || {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "umask 077; exec \"$@\"", "sh", PROVD, "seed"]);
        for (option, name) in [
            ("--medium", "medium"),
            ("--declared", "provd.json"),
            ("--secrets", "secrets"),
            ("--deployment", "deployment.json"),
        ] {
            command.arg(option).arg(path(name));
        }
        let output = command.output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!said.contains("geheim"), "{said}");
        (output.status.success(), said)
    };
    // The directories are not there: nothing is delivered, and nobody is told that it was.
    let (done, said) = run();
    assert!(!done && !path("deployment.json").exists(), "{said}");
    fs::create_dir_all(path("secrets/bmc")).unwrap();
    let (done, said) = run();
    assert!(done && said.contains("generation 4"), "{said}");
    let mode = |name: &str| fs::metadata(path(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("secrets/webhook"), mode("deployment.json")), (0o600, 0o644));
    let noted: serde_json::Value = serde_json::from_slice(&fs::read(path("deployment.json")).unwrap()).unwrap();
    assert_eq!(noted, serde_json::json!({"deployment": "0123456789abcdef0123456789abcdef", "generation": 4}));
}
