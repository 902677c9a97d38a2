//! The files that `provbuild init` writes: short, commented, sound as they are.

use super::fault::{Fault, Faults};
use super::source::Sources;
use super::word::{Name, Word};

const PROFILE: &str = include_str!("init/profile.toml");
const NODES: &str = include_str!("init/nodes.toml");

/// Texts of profile.toml and nodes.toml for a new appliance.
///
/// # Errors
/// The name is not one that an appliance can have.
pub fn init(name: &str) -> Result<(String, String), Faults> {
    match Name::parse(name) {
        Ok(_) => Ok((PROFILE.replace("@NAME@", name), NODES.replace("@NAME@", name))),
        Err(complaint) => {
            Err(Faults::new(vec![Fault::new(complaint.message).maybe_help(complaint.help)], Sources::default()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::tests::load_texts;

    #[test]
    fn the_templates_are_sound_also_with_every_example_uncommented() {
        let (profile, nodes) = init("mylab").unwrap();
        let loaded =
            load_texts(&[("profile.toml", &profile), ("nodes.toml", &nodes)]).unwrap_or_else(|f| panic!("{f}"));
        assert_eq!(loaded.profile.name, "mylab");
        assert!(loaded.profile.inventory.nodes.is_empty());

        let (profile, nodes) = (uncommented(&profile), uncommented(&nodes));
        let sum = ("sum_2.14.0_Linux_x86_64_20240215.tar.gz", "");
        let loaded =
            load_texts(&[("profile.toml", &profile), ("nodes.toml", &nodes), sum]).unwrap_or_else(|f| panic!("{f}"));
        assert_eq!(loaded.profile.bios.len(), 1);
        assert_eq!(loaded.profile.inventory.nodes.len(), 2);
        assert_eq!(loaded.profile.appliance.users.len(), 1);
        // The example's medium is fetched by the appliance. What it needs stands in the list, though it would be added.
        assert_eq!(loaded.profile.installers["ubuntu-24-04"].media, crate::profile::Media::Fetch);
        for package in ["curl", "libarchive-tools", "sudo"] {
            assert!(loaded.profile.distribution.packages.contains(package), "{package}");
            assert!(profile.contains(&format!("\"{package}\",")), "{package}");
        }
    }

    /// Examples are written `#key = value`, remarks `# Words`.
    fn uncommented(text: &str) -> String {
        let line = |line: &str| match line.strip_prefix('#') {
            Some(example) if !example.starts_with(' ') => format!("{example}\n"),
            _ => format!("{line}\n"),
        };
        text.lines().map(line).collect()
    }

    #[test]
    fn a_name_that_cannot_be_a_path_is_refused() {
        for bad in ["", "../x", "My Lab", "-x"] {
            assert_eq!(init(bad).unwrap_err().count(), 1, "{bad}");
        }
    }
}
