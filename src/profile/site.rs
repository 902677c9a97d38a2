//! The network around the nodes, as the profile has it.

use netboot::Site;

use super::Profile;

impl Profile {
    /// What a node's installer must know of its surroundings.
    pub fn site(&self) -> Site<'_> {
        let provisioning = &self.network.provisioning;
        Site {
            server: provisioning.address.addr(),
            subnet: provisioning.address.trunc(),
            domain: &provisioning.domain,
            gateway: provisioning.gateway,
        }
    }
}
