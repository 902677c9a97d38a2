//! What a BMC is given as a CD: a URL as it is, or one of the appliance's own files by a word.
//!
//! Invariants: the node's answers go to its BMC at most once for each arming, and whatever fails on the way leaves the node disarmed. Their
//! URL is a secret: nothing that is kept or told has its token.

use std::sync::Arc;

use bmc::{Kind, Media, Outcome, Verb};
use jiff::Timestamp;
use netboot::{MediaPaths, Node};

use super::writing::Work;
use super::{WRITING, machine};
use crate::app::Shared;
use crate::nodes;
use crate::registry::{Actor, CdError, without_tokens};
use crate::state::State;
use crate::store::OperationError;

/// The word for the node's own answers.
pub(super) const CIDATA: &str = "cidata";
/// The word for the ISO of the node's installer.
const INSTALLER: &str = "installer";

/// Whether the image is one of the appliance's own.
pub(super) fn is_word(verb: &Verb) -> bool {
    matches!(verb, Verb::MediaInsert { image } if [CIDATA, INSTALLER].contains(&image.as_str()))
}

/// The verb as the BMC gets it: the word `installer` becomes the URL of the node's installer.
pub(super) fn resolved(app: &Shared, node: &Node, verb: &Verb) -> Result<Verb, OperationError> {
    let Verb::MediaInsert { image } = verb else { return Ok(verb.clone()) };
    match image.as_str() {
        INSTALLER => Ok(Verb::MediaInsert { image: installer(app, node)? }),
        _ => Ok(verb.clone()),
    }
}

fn installer(app: &Shared, node: &Node) -> Result<String, OperationError> {
    let registry = &app.registry;
    let input = |text: String| OperationError::new(Kind::Input, text, None);
    let installer = registry.installable(node.mac).map_err(|error| input(error.to_string()))?;
    let declared = registry.declared();
    let release = declared.installers.get(installer).map(|installer| installer.system.release);
    let iso = release.and_then(|release| MediaPaths::of(installer, release).iso);
    let iso = iso.ok_or_else(|| input(format!("installer '{installer}' has no ISO image")))?;
    Ok(format!("{}/{iso}", declared.site().url()))
}

/// The attempt of a node that is armed.
pub(super) fn armed(app: &Shared, node: &Node) -> Option<u64> {
    let state = app.registry.node(node.mac)?.stored.state;
    matches!(state, State::Armed(_)).then(|| state.attempt().map(|attempt| attempt.number)).flatten()
}

/// Makes the CD with the node's answers, which uses its arming up, and then tells the BMC.
pub(super) async fn insert_cidata(work: &Work) -> Result<Outcome, OperationError> {
    let Work { app, node, machine, .. } = work;
    work.step("making the seed CD");
    let made = {
        let (app, actor, mac) = (Arc::clone(app), work.actor.clone(), node.mac);
        tokio::task::spawn_blocking(move || app.registry.seed_cd(mac, &actor, Timestamp::now())).await
    };
    let token = match made.map_err(|error| OperationError::surroundings(error.to_string()))? {
        Ok(token) => token,
        Err(CdError::Store(error)) => return Err(OperationError::surroundings(error.to_string())),
        Err(error) => return Err(OperationError::new(Kind::Input, error.to_string(), None)),
    };
    let image = format!("{}/seed/{}/{}", app.registry.declared().site().url(), token.reveal(), nodes::CD);
    let insert = Verb::MediaInsert { image };
    machine::run(app, node, machine, &insert, WRITING, &|step| work.step(&without_tokens(&step.to_string()))).await
}

/// Disarms a node whose CD was not inserted, and says so.
pub(super) async fn taken_back(
    app: &Shared,
    node: &Node,
    actor: &Actor,
    attempt: u64,
    error: OperationError,
) -> OperationError {
    let (app, actor, mac) = (Arc::clone(app), actor.clone(), node.mac);
    let withdrawn = tokio::task::spawn_blocking(move || {
        let why = "its seed CD was not inserted";
        app.registry.withdraw_cd(mac, attempt, &actor, why, Timestamp::now())
    });
    let hostname = &node.hostname;
    let said = match withdrawn.await {
        Ok(Ok(true)) => "it is disarmed, and its seed CD is gone".to_owned(),
        Ok(Ok(false)) => format!("its arming is used up otherwise: `provd show {hostname}`"),
        Ok(Err(_)) | Err(_) => format!("it could not be disarmed: `provd disarm {hostname}`"),
    };
    OperationError { text: format!("{}; {said}", error.text), ..error }
}

/// What a BMC has done or refused, without the token of a seed CD that it holds or held.
pub(super) fn shown(result: Result<Outcome, bmc::Error>) -> Result<Outcome, OperationError> {
    let clean = |media: Media| Media {
        image: media.image.as_deref().map(without_tokens),
        ejected: media.ejected.as_deref().map(without_tokens),
        ..media
    };
    match result {
        Ok(Outcome::MediaInsert(media)) => Ok(Outcome::MediaInsert(clean(media))),
        Ok(Outcome::MediaEject(media)) => Ok(Outcome::MediaEject(clean(media))),
        Ok(other) => Ok(other),
        Err(error) => {
            let OperationError { kind, text, help } = error.into();
            Err(OperationError { kind, text: without_tokens(&text), help: help.as_deref().map(without_tokens) })
        }
    }
}
