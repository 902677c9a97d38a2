//! What a running build says about itself; `cli` turns it into bars, lines or JSON.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The stages of a build, in the order in which they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    Lock,
    Fetch,
    Rootfs,
    Media,
    Render,
    Image,
    Manifest,
    Deploy,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Stage::Lock => "lock",
            Stage::Fetch => "fetch",
            Stage::Rootfs => "rootfs",
            Stage::Media => "media",
            Stage::Render => "render",
            Stage::Image => "image",
            Stage::Manifest => "manifest",
            Stage::Deploy => "deploy",
        })
    }
}

/// One thing that happened.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    StageStarted {
        stage: Stage,
    },
    StageFinished {
        stage: Stage,
        cached: bool,
        seconds: f64,
    },
    /// Something worth a line: a mirror that was passed over, a step inside a stage.
    Note {
        stage: Stage,
        text: String,
    },
    /// A set of transfers begins: how many files, how many bytes.
    TransferStarted {
        stage: Stage,
        files: usize,
        bytes: u64,
    },
    /// A file whose size was not known turns out to have this many bytes to come.
    TransferGrew {
        bytes: u64,
    },
    /// Bytes that arrived since the last such event, over all files.
    TransferAdvanced {
        bytes: u64,
    },
    /// One file arrived and was verified.
    TransferFile {
        name: String,
        bytes: u64,
    },
    TransferFinished,
}

/// Receives events from any thread.
pub trait Progress: Sync {
    fn event(&self, event: Event);

    fn note(&self, stage: Stage, text: String) {
        self.event(Event::Note { stage, text });
    }
}

/// Says nothing.
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _: Event) {}
}
