//! What a BMC is given as a CD: a URL as it is, or one of the appliance's own files by a word.

use bmc::{Kind, Verb};
use netboot::{MediaPaths, Node};

use crate::app::Shared;
use crate::store::OperationError;

/// The verb as the BMC gets it: the word `installer` becomes the URL of the node's installer.
pub(super) fn resolved(app: &Shared, node: &Node, verb: &Verb) -> Result<Verb, OperationError> {
    let Verb::MediaInsert { image } = verb else { return Ok(verb.clone()) };
    match image.as_str() {
        "installer" => Ok(Verb::MediaInsert { image: installer(app, node)? }),
        "cidata" => Err(OperationError::new(
            Kind::Refused,
            "this appliance cannot give a BMC a node's seed as a CD",
            Some("install from the network, or make the image with `provbuild cidata` and give its URL".to_owned()),
        )),
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
