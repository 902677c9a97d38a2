//! Faults that a test has switched on: files in `faults/` of the stand-in's directory. README.md has the list.

use std::path::PathBuf;
use std::time::Duration;

use crate::Settings;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    Before,
    After,
}

pub(crate) struct Faults {
    directory: PathBuf,
}

impl Faults {
    pub(crate) fn new(settings: &Settings) -> Faults {
        Faults { directory: settings.directory.join("faults") }
    }

    fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.directory.join(name)).ok()
    }

    /// Leaves the fault for later, or ends it.
    fn write(&self, name: &str, text: Option<&str>) {
        let path = self.directory.join(name);
        // Who has switched it off in the meantime has what he wants.
        let _ = match text {
            Some(text) => crate::replace(&path, text.as_bytes()),
            None => std::fs::remove_file(&path),
        };
    }

    pub(crate) fn tools_never(&self) -> bool {
        self.read("tools-never").is_some()
    }

    pub(crate) fn soft_stop_ignored(&self) -> bool {
        self.read("soft-stop-ignored").is_some()
    }

    /// Seconds after which a machine goes off by itself.
    pub(crate) fn dies_after_start(&self) -> Option<f64> {
        self.read("dies-after-start").map(|text| text.trim().parse().unwrap_or(0.0))
    }

    /// "N MESSAGE" in COMMAND-fails or COMMAND-done-but-fails: the message, N times.
    pub(crate) fn message(&self, command: &str, moment: Moment) -> Option<String> {
        let name = format!("{command}-{}", if moment == Moment::Before { "fails" } else { "done-but-fails" });
        let text = self.read(&name)?;
        let (count, message) = text.trim().split_once(' ').unwrap_or((text.trim(), "Unknown error"));
        let left = count.parse::<u32>().unwrap_or(1);
        self.write(&name, (left > 1).then(|| format!("{} {message}", left - 1)).as_deref());
        Some(message.to_owned())
    }

    /// Lines "COMMAND SECONDS" in `hang`; `*` stands for each command.
    pub(crate) fn hang(&self, command: &str) -> Option<Duration> {
        let text = self.read("hang")?;
        let mut lines = text.lines().filter_map(|line| line.trim().split_once(' '));
        let (_, seconds) = lines.find(|(name, _)| *name == command || *name == "*")?;
        seconds.trim().parse().ok().map(Duration::from_secs_f64)
    }

    /// "COMMAND before|after [N]" in `kills-caller`: at the Nth such call from now.
    pub(crate) fn kills_caller(&self, command: &str, moment: Moment) -> bool {
        let Some(text) = self.read("kills-caller") else { return false };
        let words: Vec<&str> = text.split_whitespace().collect();
        let wanted = if moment == Moment::Before { "before" } else { "after" };
        if words.first() != Some(&command) || words.get(1) != Some(&wanted) {
            return false;
        }
        let left = words.get(2).and_then(|count| count.parse::<u32>().ok()).unwrap_or(1);
        self.write("kills-caller", (left > 1).then(|| format!("{command} {wanted} {}", left - 1)).as_deref());
        left <= 1
    }
}
