//! An older JSON inventory -> the text of a nodes.toml.
//!
//! In: a list of nodes, or an object with `nodes` and `ssh_keys`. Out: commented TOML that `provbuild check` accepts, and
//! a warning for everything that is written otherwise or left out, so that nothing gets lost silently. No node gets an
//! `install`: nothing that was imported can be installed before somebody says so.
//!
//! | JSON | nodes.toml |
//! |---|---|
//! | `os_hostname`, else `hostname` | `hostname` |
//! | `os_mac`, else `mac` | `mac` |
//! | `os_ip`, else `ip` | `address` |
//! | `console_ip`, `console_mac` | `bmc.address`, `bmc.mac` |
//! | `ceph_ip` | `addresses.ceph` |
//! | `ssh_keys` | a comment, for the profile |

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;

use netboot::{Hostname, MacAddr};

use super::fault::{Fault, Faults, Warnings};
use super::identities::Identities;
use super::json;
use super::reader::{At, Decoding};
use super::secrets;
use super::source::{Sources, Span};
use super::suggest;
use super::value::{Table, Value, ValueKind};
use super::word::{SshKey, Word, respelled};

/// A converted inventory.
#[derive(Debug, Clone)]
pub struct Imported {
    /// Text of nodes.toml.
    pub nodes: String,
    /// How many nodes it has.
    pub count: usize,
    /// How many of them have a BMC: without `kind` and `credentials`, which the older form does not know.
    pub bmcs: usize,
    /// What is written otherwise or left out.
    pub warnings: Warnings,
}

/// Fields that a node may have.
const FIELDS: [&str; 9] =
    ["hostname", "os_hostname", "os_mac", "os_ip", "console_ip", "console_mac", "ceph_ip", "mac", "ip"];

/// One node as it is written out.
struct Node {
    hostname: Hostname,
    mac: MacAddr,
    address: Ipv4Addr,
    ceph: Option<Ipv4Addr>,
    bmc: Option<(Ipv4Addr, Option<MacAddr>)>,
    /// Without the leading `# `.
    comments: Vec<String>,
}

/// Converts the text of `path`, which is for messages only.
///
/// # Errors
/// Everything at once that keeps a node from being known: fields that are missing or are not what they should be,
/// identities that two nodes share.
pub fn import(path: &Path, text: &str) -> Result<Imported, Faults> {
    // Some editors put a byte order mark before the text; it means nothing in UTF-8.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut sources = Sources::default();
    let file = sources.add(path.to_owned(), text.to_owned());
    let mut cx = Decoding::default();
    let (nodes, keys) = match json::parse(file, text) {
        Ok(root) => read(&mut cx, &mut sources, &root),
        Err(faults) => {
            cx.faults = faults;
            secrets::in_broken_text(file, text).into_iter().for_each(|span| sources.hide(span));
            Default::default()
        }
    };
    if !cx.faults.is_empty() {
        return Err(Faults::new(cx.faults, sources).with_warnings(cx.warnings));
    }
    Ok(Imported {
        nodes: written(path, &nodes, &keys),
        count: nodes.len(),
        bmcs: nodes.iter().filter(|node| node.bmc.is_some()).count(),
        warnings: Warnings::new(cx.warnings, sources),
    })
}

fn read(cx: &mut Decoding, sources: &mut Sources, root: &Value) -> (Vec<Node>, Vec<String>) {
    let (list, keys) = match &root.kind {
        ValueKind::List { .. } => (Some(root), Vec::new()),
        ValueKind::Table(table) => {
            for (name, entry) in &table.entries {
                if !matches!(name.as_str(), "nodes" | "ssh_keys") {
                    unknown(cx, sources, name, entry.key, &entry.value, &["nodes", "ssh_keys"], "");
                }
            }
            let keys =
                table.entries.get("ssh_keys").map(|entry| ssh_keys(cx, sources, &entry.value)).unwrap_or_default();
            (table.entries.get("nodes").map(|entry| &entry.value), keys)
        }
        _ => (None, Vec::new()),
    };
    let Some(Value { kind: ValueKind::List { items, .. }, .. }) = list else {
        let fault = Fault::at(list.unwrap_or(root).span, "there is no list of nodes");
        cx.fault(fault.help("a list, or an object with the list as `nodes`, is what can be converted"));
        return (Vec::new(), keys);
    };
    let mut identities = Identities::default();
    let nodes = items.iter().enumerate();
    let nodes = nodes.filter_map(|(index, item)| node(cx, sources, &mut identities, index + 1, item)).collect();
    (nodes, keys)
}

/// What is left out, with a remark. Its value is not shown where it may be a secret.
fn unknown(
    cx: &mut Decoding,
    sources: &mut Sources,
    name: &str,
    key: Span,
    value: &Value,
    known: &[&str],
    place: &str,
) {
    let mut hidden = Vec::new();
    secrets::inside(name, value, &mut hidden);
    hidden.into_iter().for_each(|span| sources.hide(span));
    let warning = Fault::at(key, format!("the field '{}'{place} is left out", name.escape_debug()));
    let near = suggest::nearest(&name.to_lowercase(), known.iter().copied());
    // A password is no misspelt address.
    let near = near.filter(|_| !secrets::is_secret(name));
    cx.warn(warning.maybe_help(near.map(|near| format!("did you mean \"{near}\"?"))));
}

fn ssh_keys(cx: &mut Decoding, sources: &mut Sources, value: &Value) -> Vec<String> {
    let items = match &value.kind {
        ValueKind::List { items, .. } => items.as_slice(),
        ValueKind::Foreign("null") => &[],
        _ => std::slice::from_ref(value),
    };
    let mut keys = Vec::new();
    for item in items {
        let ValueKind::Text(text) = &item.kind else {
            let mut hidden = Vec::new();
            secrets::inside("", item, &mut hidden);
            hidden.into_iter().for_each(|span| sources.hide(span));
            let fault = Fault::at(item.span, format!("an ssh key must be a text, and is {}", item.type_name()));
            cx.fault(fault.help("write the one line of a .pub file"));
            continue;
        };
        if secrets::is_private_key(text) {
            sources.hide(item.span);
            let warning = Fault::at(item.span, "an ssh key is left out: this is a private key");
            cx.warn(warning.help("paste the one line of the file that ends in .pub"));
            continue;
        }
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            match SshKey::parse(line) {
                Ok(key) => keys.push(key.0),
                Err(complaint) => {
                    let warning = Fault::at(item.span, format!("an ssh key is left out: {}", complaint.message));
                    cx.warn(warning.maybe_help(complaint.help));
                }
            }
        }
    }
    keys
}

/// One entry of the list, with what is said about it.
struct Entry<'a, 'b> {
    cx: &'a mut Decoding,
    table: &'b Table,
    /// "entry 3"
    place: String,
    comments: Vec<String>,
}

impl Entry<'_, '_> {
    /// A field's text; null and the empty text are none.
    fn text(&mut self, field: &str) -> Option<At<String>> {
        let value = &self.table.entries.get(field)?.value;
        match &value.kind {
            ValueKind::Text(text) if text.trim().is_empty() => None,
            ValueKind::Text(text) => Some(At { value: text.trim().to_owned(), span: value.span }),
            ValueKind::Foreign("null") => None,
            _ => {
                let message = format!("`{field}` of {} must be a text, and is {}", self.place, value.type_name());
                let help = match &value.kind {
                    ValueKind::List { items, .. } if items.is_empty() => "leave it out, or write one text",
                    ValueKind::List { .. } => "write one text, without [ ]: a node has one of it",
                    ValueKind::Table(_) => "write one text, without { }",
                    _ => "write it in quotes",
                };
                self.cx.fault(Fault::at(value.span, message).help(help));
                None
            }
        }
    }

    /// Whether the field was given and refused: then it is not missing.
    fn refused(&self, field: &str) -> bool {
        self.table.entries.get(field).is_some_and(|entry| match &entry.value.kind {
            ValueKind::Text(text) => !text.trim().is_empty(),
            ValueKind::Foreign("null") => false,
            _ => true,
        })
    }

    fn bad(&mut self, at: &At<String>, field: &str, what: &str, help: &str) {
        let message = format!("`{field}` of {} is not {what}: '{}'", self.place, at.value.escape_debug());
        self.cx.fault(Fault::at(at.span, message).help(help));
    }

    /// A host name: the first label, in lowercase. What had to be changed is remarked.
    fn hostname(&mut self, field: &str) -> Option<At<Hostname>> {
        let at = self.text(field)?;
        let label = at.value.split('.').next().unwrap_or("").to_ascii_lowercase().replace(['_', ' '], "-");
        let Ok(hostname) = label.parse::<Hostname>() else {
            let help = match label.as_str() {
                "localhost" => "'localhost' is every machine's name for itself: write another",
                _ => "use letters, digits and inner '-', as in \"node1\"",
            };
            self.bad(&at, field, "a host name", help);
            return None;
        };
        if at.value != hostname.as_str() {
            let was = at.value.escape_debug();
            self.cx.warn(Fault::at(at.span, format!("the host name '{was}' becomes '{hostname}'")));
            self.comments.push(format!("{field} was {was}"));
        }
        Some(At { value: hostname, span: at.span })
    }

    /// A MAC address, however its digits are separated.
    fn mac(&mut self, field: &str) -> Option<At<MacAddr>> {
        let at = self.text(field)?;
        let mac = respelled(&at.value);
        if mac.is_none() {
            self.bad(&at, field, "the MAC address of an interface", "write it as in \"52:54:00:12:34:56\"");
        }
        mac.map(|mac| At { value: mac, span: at.span })
    }

    /// An address; the length of its subnet's prefix stands in the profile.
    fn address(&mut self, field: &str) -> Option<At<Ipv4Addr>> {
        let at = self.text(field)?;
        let (address, prefix) = at.value.split_once('/').map_or((at.value.as_str(), None), |(a, p)| (a, Some(p)));
        let prefix_ok = prefix.is_none_or(|p| p.parse::<u8>().is_ok_and(|p| p <= 32) || p.parse::<Ipv4Addr>().is_ok());
        match address.trim().parse::<Ipv4Addr>() {
            Ok(address) if prefix_ok => {
                if prefix.is_some() {
                    let was = at.value.escape_debug();
                    let message = format!("`{field}` of {} becomes '{address}': it was '{was}'", self.place);
                    let warning = Fault::at(at.span, message);
                    self.cx.warn(warning.help("how large a subnet is stands once, in the profile"));
                    self.comments.push(format!("{field} was {was}"));
                }
                Some(At { value: address, span: at.span })
            }
            _ => {
                self.bad(&at, field, "an IPv4 address", "write it as in \"10.10.1.21\"");
                None
            }
        }
    }

    /// The newer field, else the older one, which says nothing new where both are there and agree.
    fn either<T: PartialEq + std::fmt::Display>(
        &mut self,
        [newer, older]: [&str; 2],
        read: impl Fn(&mut Self, &str) -> Option<At<T>>,
    ) -> Option<At<T>> {
        let (new, old) = (read(self, newer), read(self, older));
        match (new, old) {
            (Some(new), Some(old)) => {
                if new.value != old.value {
                    let warning = Fault::at(old.span, format!("`{older}` of {} is left out", self.place));
                    self.cx.warn(warning.label(new.span, format!("`{newer}` is taken")));
                    self.comments.push(format!("{older} was {}", old.value));
                }
                Some(new)
            }
            (new, old) => new.or(old),
        }
    }
}

fn node(
    cx: &mut Decoding,
    sources: &mut Sources,
    identities: &mut Identities,
    number: usize,
    item: &Value,
) -> Option<Node> {
    let ValueKind::Table(table) = &item.kind else {
        let message = format!("entry {number} must be an object with fields, and is {}", item.type_name());
        cx.fault(
            Fault::at(item.span, message).help("write it as in {\"hostname\": \"node1\", \"mac\": ..., \"ip\": ...}"),
        );
        return None;
    };
    let mut comments = Vec::new();
    for (name, field) in &table.entries {
        if !FIELDS.contains(&name.as_str()) {
            unknown(cx, sources, name, field.key, &field.value, &FIELDS, &format!(" of entry {number}"));
            comments.push(format!("not imported: {}", name.escape_debug()));
        }
    }
    let mut entry = Entry { cx, table, place: format!("entry {number}"), comments };
    let machine = entry.hostname("hostname");
    let hostname = entry.hostname("os_hostname");
    if let (Some(machine), Some(hostname)) = (&machine, &hostname)
        && machine.value != hostname.value
    {
        // The console keeps an address of its own, under the name that follows from the node's.
        entry.comments.push(format!("hostname was {}; its BMC is now {}-bmc", machine.value, hostname.value));
    }
    let hostname = hostname.or(machine);
    let mac = entry.either(["os_mac", "mac"], Entry::mac);
    let address = entry.either(["os_ip", "ip"], Entry::address);
    let ceph = entry.address("ceph_ip");
    let console_ip = entry.address("console_ip");
    let console_mac = entry.mac("console_mac");
    if let (None, Some(mac)) = (&console_ip, &console_mac)
        && !entry.refused("console_ip")
    {
        let warning =
            Fault::at(mac.span, format!("`console_mac` of {} is left out: there is no `console_ip`", entry.place));
        entry.cx.warn(warning.help("a BMC is known by its address"));
        entry.comments.push(format!("console_mac was {}", mac.value));
    }
    for (missing, fields) in [
        (hostname.is_none(), ["os_hostname", "hostname"]),
        (mac.is_none(), ["os_mac", "mac"]),
        (address.is_none(), ["os_ip", "ip"]),
    ] {
        if missing && !fields.iter().any(|field| entry.refused(field)) {
            let message = format!("{} has neither `{}` nor `{}`", entry.place, fields[0], fields[1]);
            let fault = Fault::at(Span { end: item.span.start + 1, ..item.span }, message);
            entry.cx.fault(fault.help(format!("add `{}` to it; a node cannot be known without", fields[0])));
        }
    }
    let Entry { cx, place, comments, .. } = entry;

    let owner = hostname.as_ref().map_or(place, |hostname| format!("the node '{}'", hostname.value));
    let (of_bmc, of_ceph) = (format!("the BMC of {owner}"), format!("the network 'ceph' of {owner}"));
    if let Some(at) = &hostname {
        identities.name(cx, &at.value, at.span, &owner);
        if let Some(bmc) = &console_ip {
            identities.derived_name(cx, &at.value, "bmc", bmc.span, &of_bmc);
        }
        if let Some(ceph) = &ceph {
            identities.derived_name(cx, &at.value, "ceph", ceph.span, &of_ceph);
        }
    }
    let bmc_mac = console_mac.as_ref().filter(|_| console_ip.is_some());
    for (at, owner) in [(mac.as_ref(), &owner), (bmc_mac, &of_bmc)] {
        at.into_iter().for_each(|at| identities.mac(cx, at.value, at.span, owner));
    }
    for (at, owner) in [(&address, &owner), (&console_ip, &of_bmc), (&ceph, &of_ceph)] {
        at.iter().for_each(|at| identities.address(cx, at.value, at.span, owner));
    }
    Some(Node {
        hostname: hostname?.value,
        mac: mac?.value,
        address: address?.value,
        ceph: ceph.map(|at| at.value),
        bmc: console_ip.map(|at| (at.value, console_mac.map(|mac| mac.value))),
        comments,
    })
}

/// A checked text of one line, as a TOML string.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn written(path: &Path, nodes: &[Node], keys: &[String]) -> String {
    let mut text = format!(
        "# Imported from {}.\n\
         # No node can be installed yet: add `install = \"INSTALLER\"`, a name of the profile's [installer.*], to each that may be,\n\
         # and `disk = {{ serial = \"...\" }}` to say onto which of its disks.\n",
        path.display().to_string().escape_debug()
    );
    if nodes.iter().any(|node| node.bmc.is_some()) {
        text.push_str(
            "#\n# The BMCs have neither `kind` (\"redfish\" is taken) nor `credentials`: `provbuild node` needs them, as in\n\
             # bmc = { ..., kind = \"supermicro\", credentials = \"file:secrets/NODE\" }\n",
        );
    }
    if !keys.is_empty() {
        text.push_str("#\n# The keys of the former inventory, for the profile:\n# [appliance.users.ops]\n# sudo = true\n# ssh-keys = [\n");
        keys.iter().for_each(|key| {
            let _ = writeln!(text, "#     {},", quoted(key));
        });
        text.push_str("# ]\n");
    }
    for node in nodes {
        text.push('\n');
        node.comments.iter().for_each(|comment| {
            let _ = writeln!(text, "# {comment}");
        });
        let Node { hostname, mac, address, ceph, bmc, .. } = node;
        let _ = writeln!(text, "[[node]]\nhostname = \"{hostname}\"\nmac = \"{mac}\"\naddress = \"{address}\"");
        if let Some(ceph) = ceph {
            let _ = writeln!(text, "addresses = {{ ceph = \"{ceph}\" }}");
        }
        if let Some((address, mac)) = bmc {
            let mac = mac.map(|mac| format!(", mac = \"{mac}\"")).unwrap_or_default();
            let _ = writeln!(text, "bmc = {{ address = \"{address}\"{mac} }}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::tests::load_texts;
    use proptest::prelude::*;

    const PROFILE: &str = r#"
[appliance]
name = "mylab"
[distribution]
name = "ubuntu"
release = "24.04"
[network.provisioning]
address = "10.10.1.1/24"
dhcp.range = "10.10.1.100-10.10.1.199"
"#;

    const OLD: &str = r#"{
  "ssh_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw ops@desk", "ssh-rsa cut"],
  "site": "lab",
  "nodes": [
    {
      "hostname": "console1.example.org",
      "os_hostname": "Node1.example.org",
      "console_ip": "10.10.1.11/24",
      "console_mac": "AC-1F-6B-6C-58-31",
      "console_password": "hunter2",
      "os_ip": "10.10.1.21",
      "os_mac": "AC1F.6B6C.5A76",
      "ip": "10.10.1.99",
      "ceph_ip": "10.20.0.21/16",
      "rack": {"row": 3}
    },
    { "hostname": "node_2", "mac": "ac:1f:6b:6c:5a:80", "ip": "10.10.1.22", "console_ip": null, "console_mac": "ac:1f:6b:6c:58:32" }
  ]
}"#;

    fn imported(text: &str) -> Imported {
        import(Path::new("nodes.json"), text).unwrap_or_else(|faults| panic!("{faults}"))
    }

    fn faults(text: &str) -> Faults {
        import(Path::new("nodes.json"), text).map(drop).unwrap_err()
    }

    #[test]
    fn an_older_inventory_becomes_one_that_check_accepts() {
        let imported = imported(OLD);
        insta::assert_snapshot!("import_nodes", imported.nodes);
        let warnings = imported.warnings.render(false);
        assert!(!warnings.contains("hunter2") && !imported.nodes.contains("hunter2"), "{warnings}");
        insta::assert_snapshot!("import_warnings", warnings);

        let loaded = load_texts(&[("p.toml", PROFILE), ("nodes.toml", &imported.nodes)]);
        let inventory = loaded.unwrap_or_else(|faults| panic!("{faults}")).profile.inventory;
        assert_eq!((imported.count, inventory.nodes.len()), (2, 2));
        let [one, two] = &inventory.nodes[..] else { panic!() };
        assert_eq!((one.hostname.as_str(), one.mac.to_string().as_str()), ("node1", "ac:1f:6b:6c:5a:76"));
        assert_eq!(one.address, Ipv4Addr::new(10, 10, 1, 21));
        assert_eq!(one.addresses["ceph"], Ipv4Addr::new(10, 20, 0, 21));
        let bmc = one.bmc.as_ref().unwrap();
        assert_eq!(bmc.address, Ipv4Addr::new(10, 10, 1, 11));
        assert_eq!(bmc.mac.unwrap().to_string(), "ac:1f:6b:6c:58:31");
        assert_eq!((two.hostname.as_str(), &two.bmc), ("node-2", &None));
        assert!(inventory.nodes.iter().all(|node| node.install.is_none()), "nothing may be installed by an import");
    }

    #[test]
    fn a_bare_list_is_an_inventory_as_well() {
        let list = r#"[{"hostname": "a", "os_mac": "52:54:00:00:00:01", "os_ip": "10.10.1.21", "ceph_ip": ""}]"#;
        let imported = imported(list);
        assert_eq!((imported.count, imported.warnings.count()), (1, 0));
    }

    #[test]
    fn every_fault_is_reported_at_its_place() {
        let text = "[\n  {\"hostname\": \"a\", \"mac\": \"52:54:00:00:00:01\"},\n  {\"mac\": \"no\", \"ip\": \"10.10.1.300\"},\n  \
                    7,\n  {\"hostname\": 12, \"mac\": \"52-54-00-00-00-01\", \"ip\": \"10.10.1.21\"}\n]";
        let faults = faults(text);
        assert_eq!(
            faults.places(),
            ["2", "3", "3", "3", "4", "5", "5"].map(|line| format!("nodes.json:{line}")),
            "{faults}"
        );
        insta::assert_snapshot!("import_faults", faults.render(false));
    }

    #[test]
    fn no_message_shows_a_secret() {
        for field in [
            r#""console_pass": "hunter2""#,
            r#""console_pw": "hunter2""#,
            r#""ipmi": {"user": "ADMIN", "logins": [{"pwd": "hunter2"}]}"#,
            r#""bmc": {"api_key": "hunter2"}"#,
            r#""notes": ["-----BEGIN RSA PRIVATE KEY-----\nhunter2"]"#,
            r#""pw": "hunter2", "pw": "hunter2""#,
            r#""token": "hunter2" "rack": 7"#,
        ] {
            let said = faults(&format!("[{{\"hostname\": \"a\", {field}}}]")).render(false);
            assert!(!said.contains("hunter2"), "{field}: {said}");
            assert!(said.contains("nodes.json:1:") && !said.contains("did you mean"), "{field}: {said}");
        }
        let keys = r#"{"nodes": [], "ssh_keys": ["-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2"]}"#;
        let warnings = imported(keys).warnings.render(false);
        assert!(warnings.contains("this is a private key") && !warnings.contains("hunter2"), "{warnings}");
    }

    #[test]
    fn a_node_that_shares_with_itself_says_which_of_its_parts() {
        let faults = faults(
            "[{\"hostname\": \"a\", \"rack\": 7,\n\"mac\": \"52:54:00:00:00:01\",\n\"ip\": \"10.10.1.21\",\n\
             \"console_ip\": \"10.10.1.21/24\",\n\"console_mac\": \"52:54:00:00:00:01\",\n\"ceph_ip\": \"10.10.1.21\"},\n\
             {\"hostname\": \"localhost\", \"mac\": \"52:54:00:00:00:02\", \"ip\": \"10.10.1.22\"}]",
        );
        assert_eq!((faults.count(), faults.warnings().count()), (4, 2), "{faults}");
        insta::assert_snapshot!("import_shared_within", faults.render(false));
    }

    #[test]
    fn a_byte_order_mark_means_nothing() {
        let list = r#"[{"hostname": "a", "mac": "52:54:00:00:00:01", "ip": "10.10.1.21"}]"#;
        assert_eq!(imported(&format!("\u{feff}{list}")).nodes, imported(list).nodes);
        assert_eq!(faults("\u{feff}[7]").findings().next().unwrap().column, Some(2));
    }

    #[test]
    fn what_is_no_text_is_helped_by_what_it_is() {
        let faults = faults(
            "[{\"hostname\": 12, \"os_mac\": [\"52:54:00:00:00:01\"],\n\"os_ip\": {\"v4\": \"10.10.1.21\"}, \"ceph_ip\": []}]",
        );
        let helps: Vec<_> = faults.findings().map(|fault| fault.help.unwrap().to_owned()).collect();
        assert_eq!(
            helps,
            [
                "write it in quotes",
                "write one text, without [ ]: a node has one of it",
                "write one text, without { }",
                "leave it out, or write one text"
            ]
        );
    }

    #[test]
    fn bmcs_are_counted() {
        let imported = imported(OLD);
        assert_eq!((imported.count, imported.bmcs), (2, 1));
        assert!(imported.nodes.contains("# bmc = { ..., kind = \"supermicro\", credentials ="), "{}", imported.nodes);
    }

    #[test]
    fn what_is_no_inventory_says_so() {
        for bad in ["", "{", "7", "{}", "{\"nodes\": {}}", "[{\"a\": 1, \"a\": 2}]", "[1,]"] {
            assert!(faults(bad).count() > 0, "{bad}");
        }
    }

    fn leaf() -> impl Strategy<Value = serde_json::Value> {
        use serde_json::Value;
        prop_oneof![
            Just(Value::Null),
            any::<i32>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[a-zA-Z0-9._-]{1,12}".prop_map(Value::from),
            "52:54:00:00:00:[0-9a-f]{2}".prop_map(Value::from),
            "10\\.10\\.1\\.[1-9]{1,2}(/24)?".prop_map(Value::from),
            proptest::collection::vec(any::<String>().prop_map(Value::from), 0..3).prop_map(Value::from),
        ]
    }

    proptest! {
        #[test]
        fn no_json_makes_it_panic_and_what_comes_out_is_toml(
            nodes in proptest::collection::vec(
                proptest::collection::btree_map(
                    prop_oneof![
                        proptest::sample::select(FIELDS.to_vec()).prop_map(str::to_owned),
                        any::<String>(),
                    ],
                    leaf(),
                    0..8,
                ),
                0..4,
            ),
            keys in leaf(),
        ) {
            let nodes: Vec<serde_json::Value> = nodes.into_iter().map(|map| map.into_iter().collect()).collect();
            let text = serde_json::json!({ "nodes": nodes, "ssh_keys": keys }).to_string();
            match import(Path::new("nodes.json"), &text) {
                Ok(imported) => {
                    let parsed = imported.nodes.parse::<toml::Table>();
                    prop_assert!(parsed.is_ok(), "{}", imported.nodes);
                    prop_assert_eq!(imported.count, nodes.len());
                    imported.warnings.render(false);
                }
                Err(faults) => drop(faults.render(false)),
            }
        }
    }
}
