//! Fifty BMCs at once.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::lab::{Lab, ip};

const BMCS: usize = 50;

/// Opens when so many have come.
struct Gate {
    missing: Mutex<usize>,
    all: Condvar,
}

impl Gate {
    fn pass(&self) {
        let mut missing = self.missing.lock().unwrap();
        *missing = missing.saturating_sub(1);
        self.all.notify_all();
        let wait = self.all.wait_timeout_while(missing, Duration::from_secs(30), |missing| *missing > 0).unwrap();
        assert!(!wait.1.timed_out(), "{} BMCs were not connected to while the others waited", wait.0);
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream) -> io::Result<()> {
    let mut bytes = [0; 16384];
    loop {
        match from.read(&mut bytes)? {
            0 => return to.shutdown(Shutdown::Write),
            count => to.write_all(&bytes[..count])?,
        }
    }
}

/// A door in front of a BMC: the first connection gets no byte through before all doors have one.
fn door(number: usize, bmc: SocketAddr, gate: Arc<Gate>) -> u16 {
    let listener = TcpListener::bind((ip(number), 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for (count, stream) in listener.incoming().enumerate() {
            let (stream, gate) = (stream.unwrap(), Arc::clone(&gate));
            std::thread::spawn(move || {
                if count == 0 {
                    gate.pass();
                }
                let server = TcpStream::connect(bmc).unwrap();
                let (from, to) = (stream.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || copy(from, to));
                let _ = copy(server, stream);
            });
        }
    });
    port
}

/// One after the other it would never end: no BMC answers before all of them were connected to.
#[test]
fn fifty_are_talked_to_at_once() {
    let lab = Lab::new(BMCS as u8);
    let gate = Arc::new(Gate { missing: Mutex::new(BMCS), all: Condvar::new() });
    let doors = lab.bmcs.iter().enumerate().map(|(index, bmc)| door(index + 1, bmc.address(), Arc::clone(&gate)));
    let ports: Vec<u16> = doors.collect();
    lab.nodes(&ports, &|number| format!("file:secrets/node{number}"), "");
    let said = lab.run(&["status", "--all"]);
    said.is(0, &[]);
    let nodes: Vec<&str> = said.stdout.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let wanted: Vec<String> = (1..=BMCS).map(|number| format!("node{number}")).collect();
    assert_eq!(nodes, wanted);
    assert_eq!(std::fs::read_to_string(lab.pins()).unwrap().lines().count(), BMCS);
}
