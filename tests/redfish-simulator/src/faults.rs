//! What can be wrong with the service, each by name, several at a time.
//!
//! Input: `Simulator::fault` or a name on the command line; output: answers to [`Active::is`] for whoever may misbehave. Invariant: without
//! faults the service behaves by the book; a fault that is limited to some requests leaves all others alone.

use std::str::FromStr;
use std::time::{Duration, Instant};

/// Which requests a BMC whose machine is in POST refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refuses {
    Writes,
    Everything,
}

/// For how long it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasts {
    /// For so many refusals.
    Requests(u32),
    /// From the moment at which the fault was switched on.
    For(Duration),
    /// While the machine is in POST, by `Model::post` after each boot.
    Post,
}

/// Where a connection ends too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    BeforeHeaders,
    InBody,
}

/// One fault. Where none says otherwise, the rest of the service goes on by the book.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// PATCH of `BootSourceOverrideMode` is answered 200, and the mode is `Legacy`.
    SilentModeRevert,
    /// 400 for every PATCH that names `BootSourceOverrideMode`.
    RejectsUefiMode,
    /// `Once` is accepted, and stored as `Continuous`.
    OnceStaysContinuous,
    /// PATCH of `Boot` is answered 200, and nothing changes.
    SilentOverrideIgnored,
    /// `Once` is still there after the boot that it was for.
    OverrideNeverConsumed,
    /// The override reads back right, and is gone before the boot that it was for: the machine boots by its order.
    OverrideLostInPost,
    /// 412 for every `If-Match` but `*`.
    PreconditionFailed,
    /// ETags are sent as weak ones, and accepted only without the `W/`.
    WeakEtags,
    /// ETags are sent as strong ones, and accepted only with a `W/`.
    StrongEtagsWantWeak,
    /// 428 for every PATCH without `If-Match`.
    EtagRequired,
    /// 503 with `Retry-After`.
    InPost {
        refuses: Refuses,
        lasts: Lasts,
    },
    /// Writes of BIOS, boot order (OEM) and media need a licence, in the vendor's words.
    Licence,
    /// The BIOS settings resource is at `SD`, whatever the model says.
    SettingsAtSd,
    /// 404 for the BIOS, and the system has no link to it.
    BiosAbsent,
    /// 501 for the BIOS.
    Bios501,
    /// Pending BIOS settings are gone after the reset, and not applied.
    BiosSilentRevert,
    /// As before, and `@Redfish.Settings` says afterwards which attributes were refused, and why.
    BiosRefusedInPost,
    /// PATCH of BIOS settings is answered 200, and nothing is pending.
    BiosWriteIgnored,
    /// PATCH of the boot order (`BootOrder`, `FixedBootOrder`) is answered 200, and nothing changes.
    OrderIgnored,
    /// So long before each answer.
    Slow(Duration),
    /// So long between two bytes of each body.
    SlowBody(Duration),
    Cut(Cut),
    /// 200 with a body that is no JSON.
    GarbageJson,
    /// 200 with a JSON body of so many bytes.
    HugeBody(usize),
    /// 302 to another host.
    RedirectsElsewhere,
    /// Resets are accepted, and nothing happens.
    PowerIgnored,
    /// Graceful resets are accepted, and nothing happens.
    GracefulIgnored,
    /// So long until a reset shows, instead of `Model::power_delay`.
    PowerSlow(Duration),
    /// The account must change its password first: 403 for all else.
    PasswordChangeRequired,
    /// No further session: 503.
    SessionLimit,
    /// Sessions are forgotten at once: each token is good for one request only.
    SessionsExpire,
    /// There is no session service, with this status.
    NoSessions(u16),
    /// 401 for basic authentication.
    BasicOff,
    /// 202 with a task monitor for writes.
    TasksForWrites,
    /// As before, and each task ends as a failed one.
    TasksFail,
    /// `InsertMedia` is accepted, and nothing is inserted.
    MediaIgnored,
    /// Errors have `Message` instead of `message`, and one message instead of a list of them.
    ErrorsOldShape,
    /// Errors are HTML.
    ErrorsHtml,
    /// Escape sequences and very long texts in names and messages.
    HostileText,
}

impl Fault {
    /// One of each, for the command line and for tests that walk over all.
    pub fn all() -> Vec<(&'static str, Fault)> {
        let post = Fault::InPost { refuses: Refuses::Writes, lasts: Lasts::Requests(3) };
        let busy = Fault::InPost { refuses: Refuses::Everything, lasts: Lasts::Requests(3) };
        vec![
            ("silent-mode-revert", Fault::SilentModeRevert),
            ("rejects-uefi-mode", Fault::RejectsUefiMode),
            ("once-stays-continuous", Fault::OnceStaysContinuous),
            ("silent-override-ignored", Fault::SilentOverrideIgnored),
            ("override-never-consumed", Fault::OverrideNeverConsumed),
            ("override-lost-in-post", Fault::OverrideLostInPost),
            ("precondition-failed", Fault::PreconditionFailed),
            ("weak-etags", Fault::WeakEtags),
            ("strong-etags-want-weak", Fault::StrongEtagsWantWeak),
            ("etag-required", Fault::EtagRequired),
            ("in-post", post),
            ("busy", busy),
            ("licence", Fault::Licence),
            ("settings-at-sd", Fault::SettingsAtSd),
            ("bios-absent", Fault::BiosAbsent),
            ("bios-501", Fault::Bios501),
            ("bios-silent-revert", Fault::BiosSilentRevert),
            ("bios-refused-in-post", Fault::BiosRefusedInPost),
            ("bios-write-ignored", Fault::BiosWriteIgnored),
            ("order-ignored", Fault::OrderIgnored),
            ("slow", Fault::Slow(Duration::from_secs(2))),
            ("slow-body", Fault::SlowBody(Duration::from_millis(20))),
            ("cut-before-headers", Fault::Cut(Cut::BeforeHeaders)),
            ("cut-in-body", Fault::Cut(Cut::InBody)),
            ("garbage-json", Fault::GarbageJson),
            ("huge-body", Fault::HugeBody(64 << 20)),
            ("redirects-elsewhere", Fault::RedirectsElsewhere),
            ("power-ignored", Fault::PowerIgnored),
            ("graceful-ignored", Fault::GracefulIgnored),
            ("power-slow", Fault::PowerSlow(Duration::from_secs(10))),
            ("password-change-required", Fault::PasswordChangeRequired),
            ("session-limit", Fault::SessionLimit),
            ("sessions-expire", Fault::SessionsExpire),
            ("no-sessions", Fault::NoSessions(404)),
            ("basic-off", Fault::BasicOff),
            ("tasks-for-writes", Fault::TasksForWrites),
            ("tasks-fail", Fault::TasksFail),
            ("media-ignored", Fault::MediaIgnored),
            ("errors-old-shape", Fault::ErrorsOldShape),
            ("errors-html", Fault::ErrorsHtml),
            ("hostile-text", Fault::HostileText),
        ]
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(name: &str) -> Result<Fault, String> {
        let known = Fault::all();
        match known.iter().find(|(known, _)| *known == name) {
            Some((_, fault)) => Ok(fault.clone()),
            None => {
                let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
                Err(format!("no such fault; there are {}", names.join(", ")))
            }
        }
    }
}

/// Requests that a fault is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scope {
    /// Empty: all.
    pub(crate) method: String,
    /// A part of the path; empty: all.
    pub(crate) path: String,
}

#[derive(Debug)]
pub(crate) struct One {
    pub(crate) fault: Fault,
    scope: Scope,
    since: Instant,
    refused: u32,
}

/// The faults that are switched on.
#[derive(Debug, Default)]
pub(crate) struct Active {
    list: Vec<One>,
    /// Of the request that is being answered.
    pub(crate) method: String,
    pub(crate) path: String,
}

impl Active {
    pub(crate) fn add(&mut self, fault: Fault, scope: Scope) {
        self.list.push(One { fault, scope, since: Instant::now(), refused: 0 });
    }

    pub(crate) fn clear(&mut self) {
        self.list.clear();
    }

    /// A fault that has gone by itself.
    pub(crate) fn forget(&mut self, fault: &Fault) {
        self.list.retain(|one| one.fault != *fault);
    }

    /// The first active fault of which `pick` makes something, for the present request.
    pub(crate) fn find<T>(&self, pick: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        self.list.iter().filter(|one| self.concerns(&one.scope)).find_map(|one| pick(&one.fault))
    }

    pub(crate) fn is(&self, fault: &Fault) -> bool {
        self.find(|one| (one == fault).then_some(())).is_some()
    }

    fn concerns(&self, scope: &Scope) -> bool {
        (scope.method.is_empty() || scope.method == self.method) && self.path.contains(&scope.path)
    }

    /// Whether the present request is refused because the machine is in POST; counts the refusals.
    pub(crate) fn refuses_in_post(&mut self, write: bool, post: bool) -> bool {
        let (method, path) = (self.method.clone(), self.path.clone());
        for one in &mut self.list {
            let Fault::InPost { refuses, lasts } = one.fault else { continue };
            let here = (one.scope.method.is_empty() || one.scope.method == method) && path.contains(&one.scope.path);
            let holds = match lasts {
                Lasts::Requests(most) => one.refused < most,
                Lasts::For(time) => one.since.elapsed() < time,
                Lasts::Post => post,
            };
            if here && holds && (write || refuses == Refuses::Everything) {
                one.refused += 1;
                return true;
            }
        }
        false
    }
}
