//! The nodes' BMCs, from the operator's own machine: one verb on one node, on several or on all.
//!
//! In: the checked profile and its inventory, credentials by reference. Out: an outcome or an error for each node.
