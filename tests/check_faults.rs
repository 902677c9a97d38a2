//! `provbuild check` and `provbuild import` from outside: seeded faults, each at its line, and nothing written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value as Json;

const FILES: [(&str, &str); 2] = [
    ("profile.toml", include_str!("check_faults/profile.toml")),
    ("nodes.toml", include_str!("check_faults/nodes.toml")),
];

/// A folder of the test's own with these files and nothing else.
fn folder(name: &str, files: &[(&str, &str)]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("check-faults-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    files.iter().for_each(|(file, text)| std::fs::write(folder.join(file), text).unwrap());
    folder
}

fn provbuild(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_provbuild")).args(arguments).current_dir(folder).output().unwrap()
}

fn listing(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

/// `PATH:LINE` -> words of the message, as the files announce them.
fn announced() -> BTreeMap<String, &'static str> {
    let of_file = |(path, text): (&'static str, &'static str)| {
        let lines = text.lines().enumerate().skip(1);
        lines.filter_map(move |(index, line)| {
            let (_, words) = line.split_once("# FAULT: ")?;
            Some((format!("{path}:{}", index + 1), words))
        })
    };
    FILES.into_iter().flat_map(of_file).collect()
}

fn lines(stdout: &[u8]) -> Vec<Json> {
    let text = std::str::from_utf8(stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}

#[test]
fn every_seeded_fault_is_reported_at_its_line_in_one_run() {
    let folder = folder("all", &FILES);
    let output = provbuild(&folder, &["check", "profile.toml", "--json"]);
    assert_eq!(output.status.code(), Some(3));
    let mut objects = lines(&output.stdout);
    let error = objects.pop().unwrap();
    assert_eq!((&error["event"], &error["code"]), (&"error".into(), &3.into()));
    let sum = objects.pop().unwrap();
    let warnings: Vec<Json> = objects.extract_if(.., |object| object["event"] == "warning").collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert_eq!(warnings[0]["message"], "the user 'ops' has neither a key nor a password");
    let announced = announced();
    assert!(announced.len() >= 25, "{}", announced.len());
    let place = |fault: &Json| format!("{}:{}", fault["path"].as_str().unwrap(), fault["line"]);
    let reported: BTreeMap<String, Vec<&str>> = objects.iter().fold(BTreeMap::new(), |mut all, fault| {
        assert_eq!(fault["event"], "fault");
        assert!(fault["column"].as_u64().unwrap() >= 1);
        all.entry(place(fault)).or_insert_with(Vec::new).push(fault["message"].as_str().unwrap());
        all
    });
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(reported.keys().collect::<Vec<_>>(), announced.keys().collect::<Vec<_>>(), "{said}");
    for (place, words) in &announced {
        let messages = &reported[place];
        assert!(messages.iter().any(|message| message.contains(words)), "{place}: {words:?} is not in {messages:?}");
        assert!(said.contains(&format!("--> {place}:")), "{place} is not shown to people");
    }
    assert_eq!(sum, serde_json::json!({ "event": "checked", "faults": objects.len(), "warnings": 2 }));
    assert!(said.contains("warning: the user 'ops' has neither a key nor a password"), "warnings stand beside faults");
    // "Did you mean" reaches programs as well.
    let helps = |path: &str| objects.iter().find(|fault| fault["message"].as_str().unwrap().contains(path)).unwrap();
    assert_eq!(helps("no installer 'ubuntu2404'")["help"], "did you mean \"ubuntu-24-04\"?");
}

#[test]
fn nothing_is_written_where_the_check_fails() {
    let folder = folder("nothing", &FILES);
    for command in [
        &["check", "profile.toml"][..],
        &["build", "profile.toml", "--store", "store"],
        &["lock", "profile.toml", "--store", "store"],
    ] {
        let output = provbuild(&folder, command);
        assert_eq!(output.status.code(), Some(3), "{command:?}");
        assert!(output.stdout.is_empty(), "{command:?}");
        assert_eq!(listing(&folder), ["nodes.toml", "profile.toml"], "{command:?}");
    }
}

#[test]
fn a_pipe_is_refused_and_not_waited_for() {
    let folder = folder("pipe", &[("profile.toml", "[appliance]\nname = \"small\"\n")]);
    for pipe in ["nodes.toml", "pipe.toml"] {
        assert!(Command::new("mkfifo").arg(folder.join(pipe)).status().unwrap().success());
    }
    for profile in ["pipe.toml", "profile.toml"] {
        // timeout(1) ends with 124 where it had to end the program.
        let check = [env!("CARGO_BIN_EXE_provbuild"), "check", profile];
        let output = Command::new("timeout").arg("20").args(check).current_dir(&folder).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains("it is not a regular file"), "{said}");
    }
}

#[test]
fn a_sound_profile_is_summed_up() {
    let profile = "[appliance]\nname = \"small\"\n[distribution]\nname = \"ubuntu\"\nrelease = \"24.04\"\n\
                   [network.provisioning]\naddress = \"10.10.1.1/24\"\n";
    let folder = folder("sound", &[("profile.toml", profile)]);
    let output = provbuild(&folder, &["check", "profile.toml", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let [sum] = &lines(&output.stdout)[..] else { panic!("{output:?}") };
    assert_eq!((&sum["event"], &sum["faults"], &sum["profile"]), (&"checked".into(), &0.into(), &"small".into()));
    assert_eq!(sum["digest"].as_str().map(str::len), Some(64));
}

#[test]
fn an_import_is_accepted_and_overwrites_nothing() {
    let old = r#"[{"hostname": "console1", "os_hostname": "node1", "os_ip": "10.10.1.21", "os_mac": "52-54-00-00-00-01",
                   "console_ip": "10.10.1.11", "console_mac": "52:54:00:00:01:01", "rack": 7}]"#;
    let profile = "nodes = \"nodes.toml\"\n[appliance]\nname = \"small\"\n[distribution]\nname = \"ubuntu\"\n\
                   release = \"24.04\"\n[network.provisioning]\naddress = \"10.10.1.1/24\"\n";
    let folder = folder("import", &[("old.json", old), ("profile.toml", profile)]);
    let import = ["import", "old.json", "--output", "nodes.toml"];
    let output = provbuild(&folder, &import);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("'rack' of entry 1 is left out") && output.stdout.is_empty(), "{said}");
    let check = provbuild(&folder, &["check", "profile.toml", "--json"]);
    assert_eq!(lines(&check.stdout).last().unwrap()["nodes"], 1);

    assert_eq!(listing(&folder), ["nodes.toml", "old.json", "profile.toml"], "what was written aside is gone");
    let before = std::fs::read(folder.join("nodes.toml")).unwrap();
    assert_eq!(provbuild(&folder, &import).status.code(), Some(9), "the file exists");
    assert_eq!(std::fs::read(folder.join("nodes.toml")).unwrap(), before);
    assert_eq!(provbuild(&folder, &["import", "old.json"]).stdout, before, "stdout is the default");

    std::fs::write(folder.join("old.json"), "[{\"hostname\": \"a\", \"rack\": 7}]").unwrap();
    let faulty = provbuild(&folder, &["import", "old.json", "--output", "other.toml"]);
    assert_eq!((faulty.status.code(), folder.join("other.toml").exists()), (Some(3), false));
    assert!(String::from_utf8(faulty.stderr).unwrap().contains("'rack' of entry 1 is left out"), "all in one run");
}
