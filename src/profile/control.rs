//! The `[control]` table -> [`Control`]: how long the appliance's daemon waits, and whom it tells.

use url::Url;

use super::Control;
use super::decode::distinct;
use super::reader::{Decoding, Section};
use super::word::{Complaint, Word, WordType, word};

pub(super) fn control(cx: &mut Decoding, root: &Section<'_>) -> Option<Control> {
    let section = root.section("control");
    let arming = section.word::<Duration>(cx, "arming");
    let silence = section.word::<Duration>(cx, "silence");
    let first_boot = section.word::<Duration>(cx, "first-boot");
    let webhooks = section.words::<Webhook>(cx, "webhooks");
    Some(Control {
        arming: arming?.value.0,
        silence: silence?.value.0,
        first_boot: first_boot?.value.0,
        webhooks: distinct(webhooks.into_iter().map(|at| at.value.0.into()).collect()),
    })
}

/// Seconds, written with a unit: from one minute to thirty days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Duration(pub(super) u64);

impl Word for Duration {
    const TYPE: WordType = word::<Self>("duration", "30min", "^[0-9]+(s|min|h|d)$");

    fn parse(text: &str) -> Result<Self, Complaint> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let factor = match &text[digits..] {
            "s" => 1,
            "min" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => 0,
        };
        let count = text[..digits].parse::<u32>().ok().map(u64::from);
        let Some(seconds) = count.filter(|_| factor > 0).map(|count| count * factor) else {
            return Err(Complaint::new(format!("'{text}' is not a duration"))
                .help("write a whole number and a unit: s, min, h or d, as in \"30min\""));
        };
        match seconds {
            60..=2_592_000 => Ok(Duration(seconds)),
            _ => Err(Complaint::new(format!("'{text}' is out of range")).help("choose from \"1min\" to \"30d\"")),
        }
    }
}

/// A URL that something is posted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Webhook(pub(super) Url);

impl Word for Webhook {
    /// What hides in it may be a secret: a refused text is not shown.
    const TYPE: WordType =
        WordType { hidden: true, ..word::<Self>("http or https URL", "https://example.org/hook", "^https?://") };

    fn parse(text: &str) -> Result<Self, Complaint> {
        let url = Url::parse(text)
            .map_err(|error| Complaint::new(format!("not a URL: {error}")).help("write https://... or http://..."))?;
        match url.scheme() {
            "http" | "https" if url.username().is_empty() && url.password().is_none() => Ok(Webhook(url)),
            "http" | "https" => Err(Complaint::new("the URL holds a user name or a password")
                .help("secrets stay out of these files; let the receiver know the appliance by its address")),
            other => Err(Complaint::new(format!("nothing can be posted by '{}'", other.escape_debug()))
                .help("use https or http")),
        }
    }
}
