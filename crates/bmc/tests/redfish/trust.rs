//! Certificates: the first one is recorded before the password is told, another one is told nothing.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use bmc::{Error, Fingerprint, Kind, PinError, Pins, Trust, Verb};
use redfish_simulator::{Authentication, Simulator};

use crate::common::{Bench, Memory};

const STATUS: Verb = Verb::Status {};

fn memory(bench: &mut Bench) -> Arc<Memory> {
    let memory = Arc::new(Memory::default());
    bench.machine.trust = Trust::FirstUse(Arc::clone(&memory) as Arc<dyn Pins>);
    memory
}

#[tokio::test]
async fn the_first_certificate_is_pinned_under_the_address() {
    let mut bench = Bench::generic().await;
    let memory = memory(&mut bench);
    bench.run(&STATUS).await.unwrap();
    let pinned = memory.0.lock().unwrap().clone();
    let seen = Fingerprint::of(&bench.bmc.certificate_der());
    assert_eq!(pinned.into_iter().collect::<Vec<_>>(), [(bench.bmc.address().to_string(), seen)]);
}

/// Looks at what the BMC was told until the certificate is recorded.
struct Watching {
    bmc: Arc<Simulator>,
    told: Mutex<Vec<Authentication>>,
    fails: bool,
}

impl Pins for Watching {
    fn pinned(&self, _: &str) -> Result<Option<Fingerprint>, PinError> {
        Ok(None)
    }

    fn pin(&self, _: &str, _: Fingerprint) -> Result<(), PinError> {
        self.told.lock().unwrap().extend(self.bmc.requests().iter().map(|one| one.authentication));
        assert!(self.bmc.requests().iter().all(|one| one.method == "GET" && one.body.is_null()));
        match self.fails {
            true => Err(PinError("the disk is full".to_owned())),
            false => Ok(()),
        }
    }
}

#[tokio::test]
async fn the_password_is_told_only_after_the_certificate_was_recorded() {
    let Bench { bmc, mut machine } = Bench::generic().await;
    let bmc = Arc::new(bmc);
    for fails in [true, false] {
        bmc.forget_requests();
        let watching = Arc::new(Watching { bmc: Arc::clone(&bmc), told: Mutex::default(), fails });
        machine.trust = Trust::FirstUse(Arc::clone(&watching) as Arc<dyn Pins>);
        let result = machine.run(&STATUS, &|_| {}).await;
        assert_eq!(*watching.told.lock().unwrap(), [Authentication::Nothing]);
        match fails {
            true => {
                let error = result.unwrap_err();
                assert_eq!(error.to_string(), "the record of certificates: the disk is full");
                assert_eq!(error.kind(), Kind::Surroundings);
                assert_eq!(bmc.requests().len(), 1, "and nothing was asked after it");
            }
            false => drop(result.unwrap()),
        }
    }
}

#[tokio::test]
async fn a_changed_certificate_is_told_nothing_at_all() {
    let mut bench = Bench::generic().await;
    let memory = memory(&mut bench);
    bench.run(&STATUS).await.unwrap();
    let before = Fingerprint::of(&bench.bmc.certificate_der());
    bench.bmc.new_certificate();
    let now = Fingerprint::of(&bench.bmc.certificate_der());
    bench.bmc.forget_requests();
    assert_eq!(
        bench.unchanged(&STATUS).await,
        format!(
            "BMC shows another certificate than before: {now}, not {before}\n\
             help: was the BMC replaced or its certificate renewed? Compare the fingerprint on the spot, then forget the old one"
        )
    );
    assert_eq!(bench.run(&STATUS).await.unwrap_err().kind(), Kind::Trust);
    assert_eq!(bench.bmc.requests(), []);
    assert_eq!(memory.0.lock().unwrap().values().collect::<Vec<_>>(), [&before], "the pin stays");
    bench.machine.trust = Trust::Insecure;
    assert_eq!(bench.line(&STATUS).await, "on, ok, OSRunning");
}

#[tokio::test]
async fn another_process_that_pinned_another_certificate_meanwhile_wins() {
    struct Raced(Mutex<Option<Fingerprint>>);
    impl Pins for Raced {
        fn pinned(&self, _: &str) -> Result<Option<Fingerprint>, PinError> {
            Ok(*self.0.lock().unwrap())
        }
        fn pin(&self, _: &str, _: Fingerprint) -> Result<(), PinError> {
            *self.0.lock().unwrap() = Some(Fingerprint::of(b"the other's"));
            Ok(())
        }
    }
    let mut bench = Bench::generic().await;
    bench.machine.trust = Trust::FirstUse(Arc::new(Raced(Mutex::default())));
    let error = bench.run(&STATUS).await.unwrap_err();
    assert!(matches!(error, Error::CertificateChanged { .. }), "{error}");
    assert_eq!(bench.bmc.requests().len(), 1);
}

#[tokio::test]
async fn insecure_records_nothing() {
    let mut bench = Bench::generic().await;
    bench.machine.trust = Trust::Insecure;
    let outcome = bench.run(&STATUS).await.unwrap();
    assert!(!outcome.details().contains("first time"));
    bench.bmc.new_certificate();
    bench.run(&STATUS).await.unwrap();
}

#[tokio::test]
async fn debug_output_shows_no_password() {
    let bench = Bench::generic().await;
    assert!(!format!("{:?}", bench.machine.credentials).contains(bench.bmc.credentials().1));
}

/// Answers each connection with these bytes, and reads what comes.
fn answers(bytes: &'static [u8]) -> u16 {
    use std::io::{Read as _, Write as _};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(bytes);
            let _ = stream.read(&mut [0; 4096]);
        }
    });
    port
}

#[tokio::test]
async fn a_bmc_whose_tls_is_too_old_or_none_is_said_to_have_it() {
    let mut bench = Bench::generic().await;
    for (bytes, text) in [
        // An alert of TLS 1.1: fatal, protocol_version (RFC 4346, 7.2).
        (
            b"\x15\x03\x02\x00\x02\x02\x46".as_slice(),
            "cannot be talked to: it speaks only a TLS older than 1.2\n\
             help: update the BMC's firmware, or allow TLS 1.2 in its settings",
        ),
        // handshake_failure.
        (
            b"\x15\x03\x03\x00\x02\x02\x28",
            "cannot be talked to: it has no cipher of TLS 1.2 or 1.3 in common with us\n\
             help: update the BMC's firmware, or allow TLS 1.2 in its settings",
        ),
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            "cannot be talked to: what listens there speaks no TLS\nhelp: is the port right? Redfish's is 443",
        ),
    ] {
        bench.machine.endpoint.port = answers(bytes);
        let said = bench.failure(&STATUS).await;
        assert_eq!(said, format!("{} {text}", bench.machine.endpoint));
    }
}
