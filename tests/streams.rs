//! The two streams of every command: objects and nothing else on stdout with `--json`, and no harm done by a reader that
//! has gone away.

use std::collections::BTreeSet;
use std::io::pipe;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value as Json;

const PROFILE: &str = "nodes = \"nodes.toml\"\n[appliance]\nname = \"small\"\n[distribution]\nname = \"ubuntu\"\nrelease = \"24.04\"\n\
                       [network.provisioning]\naddress = \"10.10.1.1/24\"\n[installer.noble]\ndistribution = \"ubuntu\"\nrelease = \"24.04\"\n";
const NODES: &str = "[[node]]\nhostname = \"node1\"\nmac = \"52:54:00:00:00:01\"\naddress = \"10.10.1.21\"\ninstall = \"noble\"\n\
                     disk = { serial = \"*1234\" }\n";
const OLD: &str =
    r#"[{"hostname": "a", "mac": "52:54:00:00:00:01", "ip": "10.10.1.21", "console_ip": "10.10.1.11", "rack": 7}]"#;

/// Command line, exit code, and the last event on stdout with `--json`. Nothing here needs a network or a machine.
const COMMANDS: &[(&str, u8, &str)] = &[
    ("init mylab", 0, "written"),
    ("init mylab", 9, "error"),
    ("init Bad_Name!", 3, "error"),
    ("check profile.toml", 0, "checked"),
    ("check faulty.toml", 3, "error"),
    ("check .", 3, "error"),
    ("import old.json", 0, "imported"),
    ("import old.json --output imported.toml", 0, "imported"),
    ("import old.json --output imported.toml", 9, "error"),
    ("import old.json --output none/imported.toml", 9, "error"),
    ("import faulty.json", 3, "error"),
    ("import none.json", 9, "error"),
    ("lint user-data good.yaml", 0, "linted"),
    ("lint user-data bad.yaml", 3, "error"),
    ("lint user-data none.yaml", 9, "error"),
    ("cidata profile.toml node1", 0, "written"),
    ("cidata profile.toml node2", 3, "error"),
    ("cidata faulty.toml node1", 3, "error"),
    ("options", 0, "option"),
    ("schema", 0, "schema"),
    ("completions bash", 0, "completions"),
    ("lock profile.toml --offline --store store", 5, "error"),
    ("lock faulty.toml --store store", 3, "error"),
    ("plan profile.toml --offline --store store", 0, "plan"),
    ("plan faulty.toml --store store", 3, "error"),
    ("build profile.toml --offline --store store", 8, "error"),
    ("build profile.toml --offline --store store --arm node1", 3, "error"),
    ("build faulty.toml --store store", 3, "error"),
    ("run profile.toml --offline --store store --print", 8, "error"),
    ("deploy profile.toml", 3, "error"),
    ("generations profile.toml", 3, "error"),
    ("destroy profile.toml", 3, "error"),
    ("node status node1 --profile profile.toml", 3, "error"),
    ("node trust node1 --profile profile.toml", 3, "error"),
    ("node trust --appliance=https://10.10.1.1 --profile profile.toml", 0, "trust"),
    ("node install node1 --profile faulty.toml", 3, "error"),
    ("gc faulty.toml --store store", 3, "error"),
    ("gc none.toml --store store", 3, "error"),
    ("check", 2, "error"),
    ("frobnicate", 2, "error"),
];

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("streams-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let good = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/autoinstall/lvm.yaml"));
    let good = good.unwrap();
    for (file, text) in [
        ("profile.toml", PROFILE),
        ("nodes.toml", NODES),
        ("faulty.toml", &PROFILE.replace("small", "Not A Name").replace("10.10.1.1/24", "10.10.1.300/24")),
        ("old.json", OLD),
        ("faulty.json", "[{\"hostname\": \"a\"},\n]"),
        ("good.yaml", &good),
        ("bad.yaml", &good.replace("name: lvm", "name: lmv")),
    ] {
        std::fs::write(folder.join(file), text).unwrap();
    }
    folder
}

fn provbuild(folder: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_provbuild"));
    command.args(arguments.split(' ')).current_dir(folder).stdin(Stdio::null());
    command.env("HOME", folder).env_remove("PROVBUILD_PROFILE").env_remove("PROVBUILD_STORE");
    // No build gets further than to the daemon that goes into it.
    command.env("PROVBUILD_PROVD", "none");
    command
}

fn said(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn objects(output: &Output) -> Vec<Json> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}

#[test]
fn with_json_stdout_has_objects_alone_and_a_failure_is_the_last() {
    let folder = folder("json");
    for (arguments, code, last) in COMMANDS {
        let output = provbuild(&folder, &format!("{arguments} --json")).output().unwrap();
        assert_eq!(output.status.code(), Some((*code).into()), "{arguments}: {}", said(&output));
        let objects = objects(&output);
        let events: Vec<&str> = objects.iter().map(|object| object["event"].as_str().unwrap_or("")).collect();
        assert!(!events.contains(&""), "{arguments}: {}", said(&output));
        assert_eq!(events.last(), Some(last), "{arguments}: {}", said(&output));
        assert_eq!(events.iter().filter(|event| **event == "error").count(), usize::from(*code != 0), "{arguments}");
        if *code != 0 {
            let error = objects.last().unwrap();
            assert_eq!(error["code"], *code, "{arguments}");
            assert!(!error["message"].as_str().unwrap().is_empty(), "{arguments}");
        }
        for object in objects.iter().filter(|object| ["fault", "warning"].contains(&object["event"].as_str().unwrap()))
        {
            let keys: Vec<&String> = object.as_object().unwrap().keys().collect();
            assert_eq!(keys, ["event", "path", "line", "column", "message", "help"], "{arguments}");
        }
    }
    // Every fault of a profile is an object, whichever command meets it.
    for command in ["check", "build", "plan", "lock", "deploy", "cidata"] {
        let node = if command == "cidata" { " node1" } else { "" };
        let output = provbuild(&folder, &format!("{command} faulty.toml{node} --json")).output().unwrap();
        let faults = objects(&output).iter().filter(|object| object["event"] == "fault").count();
        assert_eq!(faults, 2, "{command}: {}", said(&output));
    }
}

#[test]
fn every_command_is_among_them() {
    let help = provbuild(Path::new("."), "--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let listed = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    // A command stands two blanks in, what continues its description more.
    let names = listed.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: BTreeSet<&str> = names.filter_map(|line| line.split_whitespace().next()).collect();
    let mut tried: BTreeSet<&str> = COMMANDS.iter().filter_map(|(line, ..)| line.split(' ').next()).collect();
    tried.remove("frobnicate");
    tried.insert("help");
    assert_eq!(names, tried);
}

#[test]
fn stdout_is_not_shared_with_what_is_no_object() {
    let folder = folder("shared");
    for arguments in ["cidata profile.toml node1 --output - --json", "run profile.toml --offline --store store --json"]
    {
        let output = provbuild(&folder, arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments}: {}", said(&output));
        assert_eq!(objects(&output).len(), 1, "{arguments}");
    }
    // What `--output` would have got is part of the object.
    let text = provbuild(&folder, "import old.json").output().unwrap().stdout;
    let output = provbuild(&folder, "import old.json --json").output().unwrap();
    assert_eq!(objects(&output).last().unwrap()["text"].as_str().unwrap().as_bytes(), text);
}

#[test]
fn a_reader_that_has_gone_away_changes_nothing() {
    for (name, json, streams) in
        [("err", "", (false, true)), ("out", "", (true, false)), ("both", " --json", (true, true))]
    {
        let folder = folder(name);
        for (arguments, code, _) in COMMANDS {
            let (reader, writer) = pipe().unwrap();
            drop(reader);
            let mut command = provbuild(&folder, &format!("{arguments}{json}"));
            command.stdout(if streams.0 { writer.try_clone().unwrap().into() } else { Stdio::piped() });
            command.stderr(if streams.1 { writer.into() } else { Stdio::piped() });
            let output = command.output().unwrap();
            assert_eq!(output.status.code(), Some((*code).into()), "{name}: {arguments}: {}", said(&output));
            assert!(!said(&output).contains("panicked"), "{name}: {arguments}: {}", said(&output));
        }
        // The work was done.
        for file in ["mylab/nodes.toml", "imported.toml", "node1-cidata.iso"] {
            assert!(folder.join(file).metadata().unwrap().len() > 100, "{name}: {file}");
        }
    }
}

#[test]
fn data_that_cannot_be_written_is_an_error() {
    let folder = folder("full");
    for arguments in ["options", "import old.json", "cidata profile.toml node1 --output -"] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = provbuild(&folder, arguments).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(9), "{arguments}: {}", said(&output));
        assert!(said(&output).contains("cannot write to stdout"), "{arguments}: {}", said(&output));
    }
}

#[test]
fn what_people_are_told_to_do() {
    let folder = folder("help");
    for (arguments, message, help) in [
        ("check .", "error: . is a directory\n", "help: name the profile in it, as in ./profile.toml\n"),
        ("check profile.toml", "profile.toml: no faults (1 node)\n", ""),
        ("init mylab", "", ""),
        ("init mylab", "error: cannot make mylab: ", "help: what is there is left as it is: choose another name"),
        (
            "import old.json --output nodes.toml",
            "error: cannot write nodes.toml: ",
            "help: what is there is left as it is",
        ),
        (
            "import old.json --output new/nodes.toml",
            "error: cannot write new/nodes.toml: ",
            "help: its directory does not exist",
        ),
        ("import old.json", "old.json: 1 node to standard output", "1 BMC without `credentials`"),
        ("import faulty.json", "a comma with nothing between it and the closing ']'", "help: remove the comma"),
        ("lint user-data none.yaml", "error: cannot read none.yaml: ", "help: look at the path"),
        (
            "cidata profile.toml node1",
            "warning: nobody can log in to what 'noble' installs",
            "help: add `account.ssh-keys`",
        ),
        ("cidata profile.toml node1 --output none/a.iso", "error: cannot write none/a.iso: ", "help: its directory"),
    ] {
        let output = provbuild(&folder, arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(message) && said.contains(help), "{arguments}: {said}");
        assert!(!said.contains(".provbuild-") && !said.contains("at path"), "{arguments}: {said}");
    }
}
