//! Server-sent events (HTML Living Standard, 9.2): bytes -> events.

/// Bytes of an event that is not whole yet.
const LONGEST: usize = 1 << 20;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) id: Option<u64>,
    pub(super) kind: String,
    pub(super) data: String,
}

/// What has come and was not asked for yet.
#[derive(Debug, Default)]
pub(super) struct Events {
    bytes: Vec<u8>,
}

impl Events {
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > LONGEST { Err("an event without an end") } else { Ok(()) }
    }

    /// The next event that is whole. Comments, and events without data, are none.
    pub(super) fn next(&mut self) -> Option<Event> {
        loop {
            let end = self.bytes.windows(2).position(|two| two == b"\n\n")?;
            let block: Vec<u8> = self.bytes.drain(..end + 2).collect();
            let mut event = Event::default();
            for line in String::from_utf8_lossy(&block).lines() {
                let (field, value) = line.split_once(':').unwrap_or((line, ""));
                let value = value.strip_prefix(' ').unwrap_or(value);
                match field {
                    "id" => event.id = value.parse().ok(),
                    "event" => event.kind = value.to_owned(),
                    "data" if event.data.is_empty() => event.data = value.to_owned(),
                    "data" => event.data += &format!("\n{value}"),
                    _ => {}
                }
            }
            if !event.data.is_empty() {
                return Some(event);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_whole_however_the_bytes_are_cut() {
        let text = ": alive\n\nid: 17\nevent: transition\ndata: {\"a\":1}\n\nevent: pen\ndata: x\ndata: y\n\n: alive\n\nevent: none\n\n";
        for size in [1, 7, 1000] {
            let mut events = Events::default();
            let mut found = Vec::new();
            for chunk in text.as_bytes().chunks(size) {
                events.push(chunk).unwrap();
                found.extend(std::iter::from_fn(|| events.next()));
            }
            assert_eq!(
                found,
                [
                    Event { id: Some(17), kind: "transition".to_owned(), data: "{\"a\":1}".to_owned() },
                    Event { id: None, kind: "pen".to_owned(), data: "x\ny".to_owned() },
                ]
            );
        }
    }

    #[test]
    fn a_stream_without_an_end_is_given_up() {
        let mut events = Events::default();
        assert!((0..2000).any(|_| events.push(&[b'x'; 1024]).is_err()));
    }
}
