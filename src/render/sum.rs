//! Supermicro's SUM inside the image: `/usr/lib/provbuild/sum/`, as the user's archive has it.
//!
//! Its name is that of coreutils' `sum`, so it lies in a directory of its own that no search path names. It is no part of the
//! boot tree: nodes and other servers never get it.

use netboot::SUM_PROGRAM;

use super::Fault;
use super::canvas::Canvas;
use crate::tree::{Change, Kind, Tree};
use crate::vocab::ImagePath;

pub(super) fn render(canvas: &mut Canvas<'_>, files: &Tree) {
    let Some(home) = ImagePath::literal(SUM_PROGRAM).parent() else { return };
    for (path, node) in files.iter().filter(|(_, node)| matches!(node.kind, Kind::File(_))) {
        match home.join(path.relative()) {
            Ok(path) => canvas.overlay.change(path, Change::Replace(node.clone())),
            Err(error) => canvas.faults.push(Fault::Unreadable { path: path.clone(), reason: error.to_string() }),
        }
    }
}
