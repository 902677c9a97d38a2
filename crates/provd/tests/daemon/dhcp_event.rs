//! `provd dhcp-event`, as dnsmasq calls it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output};

use crate::harness::{Lab, PROVD, declared, wait_for};

fn call(socket: &Path, arguments: &[&[u8]], environment: &[(&str, &[u8])]) -> Output {
    let mut command = Command::new(PROVD);
    command.arg("dhcp-event").args(arguments.iter().map(|text| OsStr::from_bytes(text)));
    command.env_clear().env("PROVD_DHCP_SOCKET", socket);
    command.envs(environment.iter().map(|(name, value)| (name, OsStr::from_bytes(value))));
    command.output().unwrap()
}

fn quiet(output: &Output) {
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn strangers_come_into_the_pen_and_nodes_do_not() {
    let lab = Lab::new(&declared(1, &[]));
    let _daemon = lab.start();
    let socket = lab.path("sockets/dhcp.sock");
    let hostile: (&str, &[u8]) = ("DNSMASQ_VENDOR_CLASS", b"PXE\x1b[2J\"\n[[node]]\xff");
    quiet(&call(&socket, &[b"add", b"02:00:00:00:00:07", b"10.10.1.77", b"--help"], &[hostile]));
    quiet(&call(&socket, &[b"old", b"52:54:00:00:00:0a", b"10.10.1.10"], &[]));
    quiet(&call(&socket, &[b"del", b"02:00:00:00:00:08", b"10.10.1.78"], &[]));
    quiet(&call(&socket, &[b"tftp", b"1", b"10.10.1.10", b"/x/grub/nodes/52-54-00-00-00-0a.cfg"], &[]));
    let (vendor, hostname) = wait_for(|| {
        lab.store()
            .read(|c| Ok(c.query_row("SELECT vendor, hostname FROM pen", [], |row| Ok((row.get(0)?, row.get(1)?)))?))
            .ok()
    });
    assert_eq!((vendor, hostname), ("PXE?[2J\"?[[node]]?".to_owned(), "--help".to_owned()));
    let rows: i64 = lab.store().read(|c| Ok(c.query_row("SELECT count(*) FROM pen", [], |row| row.get(0))?)).unwrap();
    assert_eq!(rows, 1);
    for bad in ["", "{}", "{\"event\":\"lease\",\"mac\":\"x\",\"address\":\"1\"}", &"x".repeat(100_000)] {
        let (status, body) = lab.request("dhcp", "POST", "/event", bad).unwrap_or((413, "{\"error\":".to_owned()));
        assert!((400..500).contains(&status) && body.starts_with("{\"error\":"), "{status} {body}");
    }
}

#[test]
fn a_daemon_that_is_away_or_hangs_is_no_failure() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("dhcp.sock");
    let add: [&[u8]; 3] = [b"add", b"02:00:00:00:00:07", b"10.10.1.77"];
    let away = call(&socket, &add, &[]);
    let _hanging = UnixListener::bind(&socket).unwrap();
    let hangs = call(&socket, &add, &[]);
    for output in [away, hangs] {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.lines().count() == 1 && said.contains("dhcp.sock"), "{output:?}");
    }
    for arguments in [&[][..], &[b"--version".as_slice()], &[b"add"], &[b"\xff\xfe"]] {
        quiet(&call(&socket, arguments, &[]));
    }
}
