//! A tree as text, one line per path: what tests compare and `diff` prints.

use std::fmt;

use super::{Kind, Node, Tree};

impl fmt::Display for Tree {
    /// `TYPE MODE UID:GID PATH [what]`, sorted; names with control characters are escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, node) in self.iter() {
            writeln!(f, "{}", line(path.as_str(), node))?;
        }
        Ok(())
    }
}

fn line(path: &str, node: &Node) -> String {
    let (letter, what) = match &node.kind {
        Kind::Directory => ('d', String::new()),
        Kind::File(content) => ('f', format!(" {} {}", content.size, content.digest.short())),
        Kind::HardLink { target } => ('h', format!(" = {}", target.as_str().escape_debug())),
        Kind::Symlink { target } => ('l', format!(" -> {}", target.escape_debug())),
        Kind::CharDevice { major, minor } => ('c', format!(" {major}:{minor}")),
        Kind::BlockDevice { major, minor } => ('b', format!(" {major}:{minor}")),
        Kind::Fifo => ('p', String::new()),
    };
    let xattrs: String = node.xattrs.iter().map(|(name, value)| format!(" {name}={}", hex::encode(value))).collect();
    let (mode, uid, gid) = (node.mode.bits(), node.owner.uid, node.owner.gid);
    format!("{letter} {mode:04o} {uid}:{gid} {}{what}{xattrs}", path.escape_debug())
}
