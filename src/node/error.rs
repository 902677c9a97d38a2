//! Why a node's verb was not carried out, or not to its end.

use netboot::SecretRef;

use super::appliance::ApplianceError;
use crate::secrets::SecretError;
use crate::vocab::Remedy;

#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error("{0}")]
    Bmc(#[from] bmc::Error),
    #[error("{0}")]
    Appliance(#[from] ApplianceError),
    #[error("{0}")]
    Secret(#[from] SecretError),
    #[error("{reference}: {reason}")]
    Credentials { reference: SecretRef, reason: bmc::BadCredentials },
    /// Found in the profile or in nodes.toml before anything was sent.
    #[error("{message}")]
    Declared { message: String, help: Option<String> },
    #[error("interrupted before anything was changed")]
    Interrupted,
    /// Somebody asked twice to end.
    #[error("left in the middle of '{step}'")]
    Left { step: String },
    /// The installation did not end well, or nobody knows how.
    #[error("{message}")]
    Installation { message: String, help: Option<String> },
    /// Something was done before the failure; `how` says how it is now.
    #[error("{error}; {how}")]
    After { error: Box<NodeError>, how: String, help: Option<String> },
    /// Ctrl-C while the installation goes on.
    #[error("interrupted; {how}")]
    Stopped { how: String, help: Option<String> },
}

/// What kind of failure it is: an exit code each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Profile, nodes.toml or arguments.
    Input,
    Surroundings,
    Unreachable,
    Trust,
    Refused,
    NotApplied,
    Installation,
    Interrupted,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Input => "input",
            Kind::Surroundings => "surroundings",
            Kind::Unreachable => "unreachable",
            Kind::Trust => "trust",
            Kind::Refused => "refused",
            Kind::NotApplied => "not-applied",
            Kind::Installation => "installation",
            Kind::Interrupted => "interrupted",
        }
    }
}

impl NodeError {
    pub(super) fn declared(message: impl Into<String>, help: impl Into<String>) -> Self {
        NodeError::Declared { message: message.into(), help: Some(help.into()) }
    }

    pub(super) fn after(self, how: impl Into<String>, help: Option<String>) -> Self {
        NodeError::After { error: Box::new(self), how: how.into(), help }
    }

    pub fn kind(&self) -> Kind {
        match self {
            NodeError::Bmc(error) => match error.kind() {
                bmc::Kind::Input => Kind::Input,
                bmc::Kind::Unreachable => Kind::Unreachable,
                bmc::Kind::Trust => Kind::Trust,
                bmc::Kind::Refused => Kind::Refused,
                bmc::Kind::NotApplied => Kind::NotApplied,
                bmc::Kind::Surroundings => Kind::Surroundings,
            },
            NodeError::Appliance(error) => error.kind(),
            NodeError::Secret(_) | NodeError::Credentials { .. } => Kind::Surroundings,
            NodeError::Declared { .. } => Kind::Input,
            NodeError::Interrupted | NodeError::Left { .. } | NodeError::Stopped { .. } => Kind::Interrupted,
            NodeError::Installation { .. } => Kind::Installation,
            NodeError::After { error, .. } => error.kind(),
        }
    }
}

impl NodeError {
    /// What to do about it, as it is typed for this node.
    pub fn help(&self, node: &str) -> Option<String> {
        match self {
            NodeError::Bmc(error @ bmc::Error::CertificateChanged { .. }) => {
                error.help().map(|help| format!("{help}: provbuild node trust {node} --forget"))
            }
            NodeError::Bmc(error) => error.help().map(|help| match help.strip_suffix("power on") {
                // The crate does not know whose command line it is.
                Some(before) => format!("{before}provbuild node power on {node}"),
                None => help,
            }),
            NodeError::Appliance(error) => error.help(),
            NodeError::Secret(error) => error.help(),
            NodeError::Credentials { .. } => Some("it holds one line, USER:PASSWORD".to_owned()),
            NodeError::Declared { help, .. }
            | NodeError::Installation { help, .. }
            | NodeError::Stopped { help, .. } => help.clone(),
            NodeError::Interrupted => None,
            NodeError::Left { .. } => Some("ask for its status: it may have been done".to_owned()),
            NodeError::After { error, help, .. } => match (error.help(node), help) {
                (Some(first), Some(second)) => Some(format!("{first}; {second}")),
                (first, second) => first.or_else(|| second.clone()),
            },
        }
    }
}
