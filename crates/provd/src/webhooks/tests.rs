//! The outbox without its receivers.

use jiff::Timestamp;
use netboot::MacAddr;

use super::outbox::{Letter, first, host, keep_only, postpone, taken};
use super::*;
use crate::store::{AuditLine, Audited};

fn line(seq: u64) -> Audited {
    let text = String::new;
    let line = AuditLine {
        seq,
        at: Timestamp::UNIX_EPOCH,
        mac: MacAddr::from_bytes([2, 0, 0, 0, 0, 1]),
        hostname: text(),
        who: text(),
        origin: text(),
        from: text(),
        to: text(),
        detail: text(),
        why: text(),
    };
    Audited { line, hash: text() }
}

#[test]
fn the_outbox_keeps_the_newest_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("state.db")).unwrap();
    let urls = ["http://a/".to_owned(), "http://b/".to_owned(), "http://a/".to_owned()];
    let now = Timestamp::UNIX_EPOCH;
    let before = figures().dropped;
    let lines = LIMIT as u64 + 7;
    store.write(|t| (1..=lines).try_for_each(|seq| enqueue(t, &urls, &line(seq), now))).unwrap();
    assert_eq!(waiting(&store).unwrap(), 2 * LIMIT as u64);
    assert_eq!(figures().dropped - before, 14);

    let first_of = |url: &str| store.read(|c| first(c, url)).unwrap();
    let Letter { id, body, tries, .. } = first_of("http://a/").unwrap();
    assert_eq!((serde_json::from_str::<Audited>(&body).unwrap().line.seq, tries), (8, 0));
    let later = now + jiff::SignedDuration::from_secs(9);
    store.write(|t| postpone(t, id, 3, later)).unwrap();
    assert_eq!(first_of("http://a/").unwrap(), Letter { id, body, tries: 3, next: later });
    store.write(|t| taken(t, id)).unwrap();
    assert!(first_of("http://a/").unwrap().id > id);
    assert_eq!(first_of("http://c/"), None);

    assert_eq!(store.write(|t| keep_only(t, &urls[1..2])).unwrap(), LIMIT as usize - 1);
    assert_eq!(first_of("http://a/"), None);
    assert!(first_of("http://b/").is_some());
}

#[test]
fn no_secret_of_a_url_is_shown() {
    for url in ["https://user:word@hooks.example:8443/T0/B0?key=1#x", "https://hooks.example:8443?key"] {
        assert_eq!(host(url), "hooks.example:8443");
    }
}
