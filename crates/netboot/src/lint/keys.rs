//! The sections of an autoinstall document and the form of each, as the installer of Ubuntu 24.04 checks them.
//!
//! Source: "Autoinstall configuration reference manual" (subiquity). A test compares this table with the installer's own
//! JSON schema, document by document.

use super::shape::{Key, Keys, Others, Shape, key, required};

/// Every section. What an unknown one means is said by `document`.
pub(super) const SECTIONS: Keys = Keys {
    known: &[
        required("version", Shape::Int),
        key("interactive-sections", Shape::ListOf(&Shape::Text)),
        key("early-commands", COMMANDS),
        key("locale", Shape::Text),
        key("refresh-installer", Shape::Keys(&REFRESH)),
        key("keyboard", Shape::Keys(&KEYBOARD)),
        key("source", Shape::Keys(&SOURCE)),
        // Its two forms are the business of `network`.
        key("network", Shape::Mapping),
        key("proxy", Shape::TextOrNull),
        key("apt", Shape::Keys(&APT)),
        key("storage", Shape::Mapping),
        key("identity", Shape::Keys(&IDENTITY)),
        key("active-directory", Shape::Keys(&ACTIVE_DIRECTORY)),
        key("ubuntu-pro", Shape::Keys(&PRO)),
        key("ubuntu-advantage", Shape::Keys(&PRO)),
        key("ssh", Shape::Keys(&SSH)),
        key("codecs", Shape::Keys(&INSTALL)),
        key("drivers", Shape::Keys(&INSTALL)),
        key("oem", Shape::Keys(&OEM)),
        key("snaps", Shape::ListOf(&Shape::Keys(&SNAP))),
        key("debconf-selections", Shape::Text),
        key("packages", Shape::ListOf(&Shape::Text)),
        key("kernel", Shape::Keys(&KERNEL)),
        key("timezone", Shape::Text),
        key("updates", Shape::Choice(&["security", "all"])),
        key("shutdown", Shape::Choice(&["reboot", "poweroff"])),
        key("late-commands", COMMANDS),
        key("error-commands", COMMANDS),
        key("reporting", Shape::Named(&Shape::Keys(&REPORTER))),
        key("user-data", Shape::Mapping),
    ],
    others: Others::Passed,
};

/// Sections that have no meaning to cloud-init, so that they are misplaced beside `autoinstall`.
pub(super) const MISPLACED: &[&str] = &[
    "interactive-sections",
    "early-commands",
    "late-commands",
    "error-commands",
    "refresh-installer",
    "storage",
    "identity",
    "active-directory",
    "codecs",
    "drivers",
    "oem",
    "snaps",
    "debconf-selections",
    "kernel",
    "shutdown",
    "user-data",
];

/// Sections that installers newer than 24.04's know.
pub(super) const LATER: &[&str] = &["kernel-crash-dumps", "zdevs"];

const INSTALLER: &str = "the installer";

const COMMANDS: Shape = Shape::ListOf(&Shape::Command);

const REFRESH: Keys =
    Keys { known: &[key("update", Shape::Bool), key("channel", Shape::Text)], others: Others::Refused(INSTALLER) };

const KEYBOARD: Keys = Keys {
    known: &[required("layout", Shape::Text), key("variant", Shape::Text), key("toggle", Shape::TextOrNull)],
    others: Others::Refused(INSTALLER),
};

const SOURCE: Keys =
    Keys { known: &[key("search_drivers", Shape::Bool), key("id", Shape::Text)], others: Others::Ignored };

const APT: Keys = Keys {
    known: &[
        key("preserve_sources_list", Shape::Bool),
        key("primary", Shape::List),
        key("mirror-selection", Shape::Keys(&MIRROR_SELECTION)),
        key("geoip", Shape::Bool),
        key("sources", Shape::Mapping),
        key("disable_components", Shape::ListOf(&Shape::Choice(COMPONENTS))),
        key("preferences", Shape::ListOf(&Shape::Keys(&PREFERENCE))),
        key("fallback", Shape::Choice(&["abort", "continue-anyway", "offline-install"])),
    ],
    // The rest is curtin's.
    others: Others::Passed,
};

const COMPONENTS: &[&str] = &["universe", "multiverse", "restricted", "contrib", "non-free"];

const MIRROR_SELECTION: Keys = Keys {
    // Mirrors have two forms: `installer` looks at them.
    known: &[key("primary", Shape::List)],
    others: Others::Ignored,
};

/// One entry of apt's mirror-selection, where it is no word.
pub(super) const MIRROR: Keys = Keys {
    known: &[required("uri", Shape::Text), key("arches", Shape::ListOf(&Shape::Text))],
    others: Others::Ignored,
};

const PREFERENCE: Keys = Keys {
    known: &[required("package", Shape::Text), required("pin", Shape::Text), required("pin-priority", Shape::Int)],
    others: Others::Passed,
};

const IDENTITY: Keys = Keys {
    known: &[
        key("realname", Shape::Text),
        required("username", Shape::Text),
        required("hostname", Shape::Text),
        required("password", Shape::Text),
        // Newer installers know it; `account` says that these do not.
        key("groups", Shape::Any),
    ],
    others: Others::Refused(INSTALLER),
};

const ACTIVE_DIRECTORY: Keys = Keys {
    known: &[key("admin-name", Shape::Text), key("domain-name", Shape::Text)],
    others: Others::Refused(INSTALLER),
};

const PRO: Keys = Keys { known: &[key("token", Shape::Text)], others: Others::Ignored };

const SSH: Keys = Keys {
    known: &[
        key("install-server", Shape::Bool),
        key("authorized-keys", Shape::ListOf(&Shape::Text)),
        key("allow-pw", Shape::Bool),
    ],
    others: Others::Ignored,
};

const INSTALL: Keys = Keys { known: &[key("install", Shape::Bool)], others: Others::Ignored };

const OEM: Keys = Keys { known: &[required("install", Shape::BoolOr("auto"))], others: Others::Ignored };

const SNAP: Keys = Keys {
    known: &[required("name", Shape::Text), key("channel", Shape::Text), key("classic", Shape::Bool)],
    others: Others::Refused(INSTALLER),
};

const KERNEL: Keys =
    Keys { known: &[key("package", Shape::Text), key("flavor", Shape::Text)], others: Others::Ignored };

/// What each of them takes is the business of `installer`.
const REPORTER: Keys = Keys {
    known: &[required("type", Shape::Choice(&["webhook", "log", "print", "journald"]))],
    others: Others::Passed,
};

/// curtin's handlers of `reporting`, with what each takes beside `type`. Source: curtin/reporter/handlers.py.
pub(super) const HANDLERS: &[(&str, &[&str])] = &[
    (
        "webhook",
        &["endpoint", "level", "retries", "timeout", "consumer_key", "consumer_secret", "token_key", "token_secret"],
    ),
    ("log", &["level"]),
    ("print", &[]),
    ("journald", &["level", "identifier"]),
];

/// The names of a table.
pub(super) fn names(keys: &'static [Key]) -> Vec<&'static str> {
    keys.iter().map(|key| key.name).collect()
}
