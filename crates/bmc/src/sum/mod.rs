//! Supermicro Update Manager (SUM), for what a board's Redfish cannot do. The program is Supermicro's and comes from the user.

use std::path::PathBuf;

/// Where the program lies, unpacked with the files that belong beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SumTool {
    pub program: PathBuf,
}
