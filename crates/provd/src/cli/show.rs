//! What people see of the daemon's answers: tables and lines. No control character of a foreign text reaches the terminal.

use jiff::Timestamp;
use serde_json::Value;

use crate::spelling::spell;

/// A field as text; "-" where there is none.
pub(super) fn field(value: &Value, name: &str) -> String {
    match value.get(name) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "-".to_owned(),
        Some(Value::String(text)) => plain(text),
        Some(other) => plain(&other.to_string()),
    }
}

/// Control characters and those that turn text around would let a node write anything on somebody's terminal.
pub(super) fn plain(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if c.is_control() || turns(c) { '\u{fffd}' } else { c }).collect()
}

/// Several lines, each [`plain`]; tabs stay.
pub(super) fn lines(text: &str) -> String {
    let line = |line: &str| line.split('\t').map(plain).collect::<Vec<_>>().join("\t") + "\n";
    text.lines().map(line).collect()
}

/// A time as somebody says it who looks at the clock.
pub(super) fn ago(text: &str, now: Timestamp) -> String {
    let Ok(at) = text.parse::<Timestamp>() else { return text.to_owned() };
    match now.duration_since(at).as_secs() {
        seconds @ ..0 => format!("in {}", spell(seconds.unsigned_abs())),
        seconds => format!("{} ago", spell(seconds.unsigned_abs())),
    }
}

/// To the second.
pub(super) fn time(text: &str) -> String {
    match text.parse::<Timestamp>() {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => plain(text),
    }
}

/// Columns as wide as their widest cell; the last one has no end.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|name| name.len()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let mut text = line(&mut head.iter().copied());
    for row in rows {
        text += &line(&mut row.iter().map(String::as_str));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_lines_up() {
        let rows = [vec!["node1".to_owned(), "installing".to_owned()], vec!["n2".to_owned(), "disk".to_owned()]];
        assert_eq!(table(&["NODE", "STATE"], &rows), "NODE   STATE\nnode1  installing\nn2     disk\n");
    }

    #[test]
    fn a_terminal_is_not_written_to_by_nodes() {
        assert_eq!(plain("a\u{1b}[2Jb\r\u{202e}c"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}c");
        assert_eq!(lines("a\tb\u{7}\nc"), "a\tb\u{fffd}\nc\n");
        assert_eq!(field(&serde_json::json!({"x": null, "y": 3}), "x"), "-");
    }
}
