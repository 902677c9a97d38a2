//! What the daemon finds at its start, and disks that are full.

use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::sync::Arc;

use jiff::Timestamp;
use provd::registry::{Actor, ArmError, Places, Registry};
use provd::store::{Audited, Store};

use crate::harness::{Lab, address, declared, mac};

const START: Timestamp = Timestamp::constant(1_800_000_000, 0);

fn refused(lab: &Lab, words: &[&str]) {
    let (status, said) = lab.start_in_vain(&mut lab.command());
    assert!(!status.success(), "{said}");
    for word in words {
        assert!(said.contains(word), "no '{word}' in: {said}");
    }
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn a_database_that_cannot_be_used_is_told_in_one_line() {
    let lab = Lab::new(&declared(3, &[]));
    let database = lab.path("state.db");
    fs::write(&database, "this is no database, but it is long enough to be taken for one\n".repeat(100)).unwrap();
    refused(&lab, &["state.db", "damaged", "move it away"]);
    fs::remove_file(&database).unwrap();

    drop(lab.start());
    let store = lab.store();
    store.read(|c| Ok(c.pragma_update(None, "user_version", 99)?)).unwrap();
    refused(&lab, &["state.db", "newer provd (version 99", "this one knows 3"]);
    store.read(|c| Ok(c.pragma_update(None, "user_version", 3)?)).unwrap();
    store.read(|c| Ok(c.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?)).unwrap();
    drop(store);

    // A page in the middle is overwritten.
    let mut file = fs::File::options().write(true).open(&database).unwrap();
    file.seek(SeekFrom::Start(4096)).unwrap();
    file.write_all(&[0xa5; 4096 * 3]).unwrap();
    refused(&lab, &["state.db", "damaged", "move it away"]);

    fs::remove_file(&database).unwrap();
    fs::create_dir(&database).unwrap();
    refused(&lab, &["state.db"]);
}

#[test]
fn files_in_the_way_of_the_sockets_are_replaced() {
    let lab = Lab::new(&declared(1, &[]));
    fs::write(lab.path("sockets/nodes.sock"), "").unwrap();
    drop(UnixListener::bind(lab.path("sockets/dhcp.sock")).unwrap());
    drop(lab.start());
    // Its own, after a kill.
    drop(lab.start());
    fs::create_dir(lab.path("sockets/not-a-file")).unwrap();
    fs::remove_file(lab.path("sockets/web.sock")).unwrap();
    fs::rename(lab.path("sockets/not-a-file"), lab.path("sockets/web.sock")).unwrap();
    refused(&lab, &["web.sock"]);
}

#[test]
fn a_second_daemon_does_not_take_the_first_ones_place() {
    let lab = Lab::new(&declared(1, &[]));
    let daemon = lab.start();
    refused(&lab, &["state.db", "another provd"]);
    assert!(lab.request("dhcp", "GET", "/", "").is_ok());
    drop(daemon);
    drop(lab.start());
}

#[test]
fn a_full_disk_at_the_start_is_told_and_survived() {
    let lab = Lab::new(&declared(60, &[]));
    let serve = lab.command();
    // Files of 256 KiB at most: enough for the tables, not for all nodes' first lines. The signal would be the end otherwise.
    let mut full = Command::new("sh");
    full.args(["-c", "trap '' XFSZ; ulimit -f 512; exec \"$@\"", "sh"]).arg(serve.get_program()).args(serve.get_args());
    full.env_clear()
        .stdout(Stdio::null())
        .stderr(fs::File::options().append(true).create(true).open(lab.path("log")).unwrap());
    let (status, said) = lab.start_in_vain(&mut full);
    assert!(!status.success() && said.contains("the database: "), "{said}");
    drop(lab.start());
    assert_eq!(lab.audit().len(), 60);
}

#[test]
fn a_full_disk_refuses_steps_and_changes_nothing() {
    let lab = Lab::new(&declared(2, &[]));
    let store = Arc::new(Store::open(&lab.path("state.db")).unwrap());
    let places = Places { served: lab.path("served"), grub_nodes: Some(lab.path("grub")) };
    let registry = Registry::open(declared(2, &[]), places, Arc::clone(&store), START).unwrap();
    let admin = Actor { who: "admin".to_owned(), origin: "local".to_owned() };
    registry.arm(mac(10), &admin, "test", START).unwrap();

    let pages = |count: i64| {
        store.read(|c| Ok(c.query_row(&format!("PRAGMA max_page_count = {count}"), [], |row| row.get::<_, i64>(0))?))
    };
    let full = pages(1).unwrap();
    // The pages that are there have room for a few lines more.
    let mut why = "x".repeat(3000);
    let refused = loop {
        match registry.arm(mac(11), &admin, &why, START) {
            Ok(_) => {}
            Err(ArmError::Store(error)) => break ("disk", error),
            Err(error) => panic!("{error}"),
        }
        if let Err(error) = registry.disarm(mac(11), &admin, &why, START) {
            break ("armed", error);
        }
        why.push('x');
    };
    assert!(refused.1.to_string().contains("full"), "{}", refused.1);
    assert_eq!(registry.node(mac(11)).unwrap().stored.state.name(), refused.0);
    // The last page may have room for this. It is given an installer only if that is remembered.
    let asked = registry.boot(mac(10), address(10).into(), START);
    let remembered = store.read(|c| Audited::after(c, Some(mac(10)), 0, 10_000)).unwrap().pop().unwrap().line.to;
    assert_eq!(remembered, if asked.is_ok() { "booting" } else { "armed" });
    assert_eq!(registry.node(mac(10)).unwrap().stored.state.name(), remembered);
    let lines = store.read(|c| Audited::after(c, None, 0, 10_000)).unwrap().len();

    pages(full * 10).unwrap();
    assert!(registry.boot(mac(10), address(10).into(), START).unwrap().unwrap().ipxe.contains("kernel http"));
    registry.disarm(mac(10), &admin, "again", START).unwrap();
    let (after, _) = Audited::verify(&store).unwrap().unwrap();
    assert_eq!(after as usize, lines + if asked.is_ok() { 1 } else { 2 });
}
