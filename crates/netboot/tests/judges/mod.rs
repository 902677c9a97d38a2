//! subiquity's own schema as the judge of autoinstall documents, by the library that subiquity uses: Python's jsonschema, in a
//! process of its own.
//!
//! The schema is beside the checkout (../shared/ubuntu), or where `$PROVBUILD_UBUNTU_FIXTURES` says; without it the tests
//! named `ubuntu_*` are left out, and say so. With `PROVBUILD_REQUIRE_FIXTURES=1` that is a failure.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use serde_json::Value;

/// One document per line in, one list of complaints per line out.
const PROGRAM: &str = "
import json, sys
from jsonschema.validators import validator_for
schema = json.load(open(sys.argv[1]))
validator = validator_for(schema)(schema)
for line in sys.stdin:
    found = validator.iter_errors(json.loads(line))
    print(json.dumps(['%s at /%s' % (e.message, '/'.join(map(str, e.absolute_path))) for e in found]), flush=True)
";

/// The folder with the genuine Ubuntu material.
pub(crate) fn ubuntu_fixtures() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/ubuntu");
    let folder = std::env::var_os("PROVBUILD_UBUNTU_FIXTURES").map_or_else(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    let required = std::env::var_os("PROVBUILD_REQUIRE_FIXTURES").is_some_and(|value| value == "1");
    assert!(!required, "{} is absent, and PROVBUILD_REQUIRE_FIXTURES=1", folder.display());
    eprintln!("LEFT OUT: {} is absent", folder.display());
    None
}

pub(crate) struct Schema {
    process: Child,
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
}

impl Schema {
    pub(crate) fn load() -> Option<Schema> {
        let path = ubuntu_fixtures()?.join("autoinstall-schema-24.04.json");
        // The distribution's Python: its packages are what install-test-tools installs.
        let mut process = Command::new("/usr/bin/python3")
            .args(["-c", PROGRAM])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 cannot be run: install python3-jsonschema");
        let pipes = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        Some(Schema { process, pipes: Mutex::new(pipes) })
    }

    /// What is wrong with the value of `autoinstall`; nothing where it is valid.
    pub(crate) fn complaints(&self, document: &Value) -> Vec<String> {
        let mut pipes = self.pipes.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        writeln!(pipes.0, "{document}").expect("Python's jsonschema does not run: install python3-jsonschema");
        let mut line = String::new();
        pipes.1.read_line(&mut line).unwrap();
        serde_json::from_str(&line).expect("Python's jsonschema does not run: install python3-jsonschema")
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
