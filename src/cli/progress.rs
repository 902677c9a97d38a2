//! Progress for people (a bar on a terminal, lines elsewhere) and for programs (JSON lines).

use std::io::{self, IsTerminal};
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::output::{print, tell};

use crate::vocab::{ByteSize, Event, Progress};

/// Picks the form that fits.
pub(super) fn reporter(json: bool) -> Box<dyn Progress> {
    if json {
        Box::new(JsonLines)
    } else if io::stderr().is_terminal() {
        Box::new(Bar::default())
    } else {
        Box::new(Lines)
    }
}

/// One JSON object per event on stdout.
struct JsonLines;

impl Progress for JsonLines {
    fn event(&self, event: Event) {
        if let Ok(line) = serde_json::to_string(&event) {
            // What ends the talk does not end the build.
            let _ = print(&format!("{line}\n"));
        }
    }
}

/// Plain lines on stderr; single files of a transfer are left out.
struct Lines;

impl Progress for Lines {
    fn event(&self, event: Event) {
        if let Some(line) = line(&event) {
            tell(&format!("{line}\n"));
        }
    }
}

fn line(event: &Event) -> Option<String> {
    Some(match event {
        Event::StageFinished { stage, cached: true, .. } => format!("{stage:>8}  cached"),
        Event::StageFinished { stage, seconds, .. } => format!("{stage:>8}  done in {seconds:.1} s"),
        Event::Note { stage, text } => format!("{stage:>8}  {text}"),
        Event::TransferStarted { stage, files, bytes } if *files > 0 => {
            format!("{stage:>8}  {files} files, {}", human(*bytes))
        }
        _ => return None,
    })
}

fn human(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{} KiB", bytes.div_ceil(1024)),
        _ => format!("{} MiB", bytes / ByteSize::mib(1).bytes()),
    }
}

/// One bar on a terminal, for the transfer or the stage under way.
#[derive(Default)]
struct Bar {
    current: Mutex<Option<ProgressBar>>,
}

impl Bar {
    fn show(&self, bar: ProgressBar) {
        bar.enable_steady_tick(Duration::from_millis(120));
        if let Some(before) = self.current.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).replace(bar) {
            before.finish_and_clear();
        }
    }

    fn with(&self, act: impl FnOnce(&ProgressBar)) {
        if let Some(bar) = &*self.current.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) {
            act(bar);
        }
    }

    fn spinner(&self, text: String) {
        let bar = ProgressBar::new_spinner();
        bar.set_style(ProgressStyle::with_template("{spinner} {msg} ({elapsed})").expect("template is valid"));
        bar.set_message(text);
        self.show(bar);
    }
}

impl Progress for Bar {
    fn event(&self, event: Event) {
        match &event {
            Event::StageStarted { stage } => self.spinner(stage.to_string()),
            Event::Note { stage, text } => self.spinner(format!("{stage}: {text}")),
            Event::TransferStarted { stage, bytes, .. } => {
                let bar = ProgressBar::new(*bytes);
                let template = "{msg} {bar:32} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
                bar.set_style(ProgressStyle::with_template(template).expect("template is valid"));
                bar.set_message(stage.to_string());
                self.show(bar);
            }
            Event::TransferGrew { bytes } => self.with(|bar| bar.inc_length(*bytes)),
            Event::TransferAdvanced { bytes } => self.with(|bar| bar.inc(*bytes)),
            Event::TransferFile { .. } => {}
            Event::TransferFinished => self.with(ProgressBar::finish_and_clear),
            Event::StageFinished { .. } => {
                self.with(ProgressBar::finish_and_clear);
                if let Some(line) = line(&event) {
                    tell(&format!("{line}\n"));
                }
            }
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.with(ProgressBar::finish_and_clear);
    }
}
