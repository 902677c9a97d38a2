//! The verbs as a command line has them: the same for provbuild and for the appliance's provd.

use clap::{Args, Subcommand};

use crate::boot::{BootMode, BootTarget};
use crate::power::PowerAction;
use crate::verb::{Manner, Verb};

/// Which nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Nodes {
    /// Host names.
    #[arg(value_name = "NODE", required_unless_present = "all", conflicts_with = "all")]
    pub nodes: Vec<String>,
    /// Every node that has a BMC.
    #[arg(long)]
    pub all: bool,
}

#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Shows power, health, what boots next, and what the machine is.
    Status(Nodes),
    /// Switches the power, and waits until it shows.
    Power {
        #[arg(value_enum)]
        action: PowerAction,
        #[command(flatten)]
        nodes: Nodes,
        /// Cut the power where the operating system does not end in time.
        #[arg(long)]
        force: bool,
        /// Cut the power at once, without asking the operating system.
        #[arg(long, conflicts_with = "force")]
        now: bool,
    },
    /// What the machine boots.
    #[command(subcommand)]
    Boot(Boot),
    /// The BIOS's settings.
    #[command(subcommand)]
    Bios(Bios),
    /// Shows temperatures, fans, voltages and power.
    Sensors(Nodes),
    /// Shows processors, memory, disks and network interfaces.
    Inventory(Nodes),
    /// The CD that the BMC shows the machine.
    #[command(subcommand)]
    Media(Media),
    /// Prints a Redfish resource as it is.
    #[command(subcommand)]
    Raw(RawCommand),
}

#[derive(Debug, Clone, Subcommand)]
pub enum Boot {
    /// Sets what the next boot starts, once.
    Once {
        #[arg(value_enum)]
        target: BootTarget,
        #[command(flatten)]
        nodes: Nodes,
        /// How the firmware starts it.
        #[arg(long, value_enum, default_value = "uefi")]
        mode: BootMode,
    },
    /// The order for every boot.
    #[command(subcommand)]
    Order(Order),
}

#[derive(Debug, Clone, Subcommand)]
pub enum Order {
    /// Shows it.
    Get(Nodes),
    /// Puts these entries first, in this order.
    Set {
        /// Entries with commas between: references or names as `get` shows them, `pxe` or `disk` for all of a kind, or what
        /// stands before a name's ':'.
        order: String,
        #[command(flatten)]
        nodes: Nodes,
    },
}

#[derive(Debug, Clone, Subcommand)]
pub enum Bios {
    /// Shows the settings.
    Get {
        #[command(flatten)]
        nodes: Nodes,
        /// Only this one; may be given several times.
        #[arg(long = "attribute", value_name = "NAME")]
        attributes: Vec<String>,
    },
    /// Shows what applying the profile's settings would change.
    Plan(Nodes),
    /// Changes what differs from the profile's settings, and nothing else.
    Apply {
        #[command(flatten)]
        nodes: Nodes,
        /// Restart the machine, and wait until the settings are there.
        #[arg(long)]
        restart: bool,
    },
    /// Shows what waits for the next restart.
    Diff(Nodes),
}

#[derive(Debug, Clone, Subcommand)]
pub enum Media {
    /// Inserts an image.
    Insert {
        /// Where the BMC finds it: http(s)://, nfs:// or smb://, or `installer` (the node's own ISO), `cidata` (its seed).
        image: String,
        #[command(flatten)]
        nodes: Nodes,
    },
    /// Takes it out.
    Eject(Nodes),
}

#[derive(Debug, Clone, Subcommand)]
pub enum RawCommand {
    /// Reads it.
    #[command(name = "get", alias = "GET")]
    Get {
        /// As in /redfish/v1/Systems/1
        path: String,
        #[command(flatten)]
        nodes: Nodes,
    },
}

impl Command {
    /// The verb, and which nodes it is for.
    pub fn split(self) -> (Verb, Nodes) {
        match self {
            Command::Status(nodes) => (Verb::Status {}, nodes),
            Command::Power { action, nodes, force, now } => {
                let manner = match (force, now) {
                    (_, true) => Manner::Forced,
                    (true, false) => Manner::ThenForced,
                    (false, false) => Manner::Graceful,
                };
                (Verb::Power { action, manner }, nodes)
            }
            Command::Boot(Boot::Once { target, nodes, mode }) => (Verb::BootOnce { target, mode }, nodes),
            Command::Boot(Boot::Order(Order::Get(nodes))) => (Verb::BootOrderGet {}, nodes),
            Command::Boot(Boot::Order(Order::Set { order, nodes })) => {
                (Verb::BootOrderSet { order: order.split(',').map(str::to_owned).collect() }, nodes)
            }
            Command::Bios(Bios::Get { nodes, attributes }) => (Verb::BiosGet { attributes }, nodes),
            Command::Bios(Bios::Plan(nodes)) => (Verb::BiosPlan {}, nodes),
            Command::Bios(Bios::Apply { nodes, restart }) => (Verb::BiosApply { restart }, nodes),
            Command::Bios(Bios::Diff(nodes)) => (Verb::BiosDiff {}, nodes),
            Command::Sensors(nodes) => (Verb::Sensors {}, nodes),
            Command::Inventory(nodes) => (Verb::Inventory {}, nodes),
            Command::Media(Media::Insert { image, nodes }) => (Verb::MediaInsert { image }, nodes),
            Command::Media(Media::Eject(nodes)) => (Verb::MediaEject {}, nodes),
            Command::Raw(RawCommand::Get { path, nodes }) => (Verb::Raw { path }, nodes),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        command: Command,
    }

    fn split(line: &str) -> Result<(Verb, Nodes), String> {
        let line = Line::try_parse_from(std::iter::once("node").chain(line.split(' ')));
        line.map(|line| line.command.split()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_order_is_one_word_and_nodes_follow_it() {
        let order =
            |names: &[&str]| Verb::BootOrderSet { order: names.iter().map(|name| (*name).to_owned()).collect() };
        let (verb, nodes) = split("boot order set Boot0002,Boot0001 node1 node2").unwrap();
        assert_eq!(verb, order(&["Boot0002", "Boot0001"]));
        assert_eq!(nodes.nodes, ["node1", "node2"]);
        let (verb, nodes) = split("boot order set pxe --all").unwrap();
        assert_eq!((verb, nodes.all), (order(&["pxe"]), true));
        assert!(split("boot order set pxe").is_err());
        assert!(split("status node1 --all").is_err());
    }
}
