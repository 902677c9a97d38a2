//! The BIOS of the stub: settings in menus, as an X11 board has them.
//!
//! Output: [`Bios::x11`]; [`Bios::refusal`] judges what a file asks for. Invariant: a setting is known by its menus, name and order
//! together, since names alone are not unique.

use serde::{Deserialize, Serialize};

use super::Wish;

/// What a setting may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Constraint {
    Option(Vec<String>),
    CheckBox,
    Numeric {
        min: u64,
        max: u64,
        step: u64,
    },
    String {
        min: usize,
        max: usize,
    },
    /// Never shown, never compared.
    Password,
}

impl Constraint {
    /// The XML attribute `type`.
    pub fn kind(&self) -> &'static str {
        match self {
            Constraint::Option(_) => "Option",
            Constraint::CheckBox => "CheckBox",
            Constraint::Numeric { .. } => "Numeric",
            Constraint::String { .. } => "String",
            Constraint::Password => "Password",
        }
    }

    fn allows(&self, value: &str) -> bool {
        match self {
            Constraint::Option(options) => options.iter().any(|option| option == value),
            Constraint::CheckBox => ["Checked", "Unchecked"].contains(&value),
            Constraint::Numeric { min, max, step } => value
                .parse::<u64>()
                .is_ok_and(|number| number >= *min && number <= *max && (*step == 0 || (number - min) % step == 0)),
            Constraint::String { min, max } => (*min..=*max).contains(&value.chars().count()),
            Constraint::Password => true,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    pub menu: Vec<String>,
    pub name: String,
    pub order: Option<u32>,
    pub constraint: Constraint,
    pub value: String,
    pub default: String,
    pub help: String,
    pub work_if: Option<String>,
}

impl Setting {
    /// Menus, name and order in one text.
    pub fn key(&self) -> String {
        key(&self.menu, &self.name, self.order)
    }
}

fn key(menu: &[String], name: &str, order: Option<u32>) -> String {
    let order = order.map(|order| format!("@{order}")).unwrap_or_default();
    format!("{}|{name}{order}", menu.join("|"))
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bios {
    pub board: String,
    pub settings: Vec<Setting>,
}

/// Why a wish is not granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    Unknown(String),
    Value(String),
}

impl Bios {
    pub fn value(&self, menu: &[&str], name: &str, order: Option<u32>) -> Option<&str> {
        let menu: Vec<String> = menu.iter().map(|one| one.to_string()).collect();
        self.settings.iter().find(|one| one.key() == key(&menu, name, order)).map(|one| one.value.as_str())
    }

    /// The setting that a wish is for, if the wish can be granted.
    pub fn check(&self, wish: &Wish) -> Result<&Setting, Refusal> {
        let wanted = key(&wish.menu, &wish.name, wish.order);
        let Some(setting) = self.settings.iter().find(|one| one.key() == wanted) else {
            return Err(Refusal::Unknown(wanted));
        };
        let same_kind = wish.kind.as_deref().is_none_or(|kind| kind == setting.constraint.kind());
        match same_kind && setting.constraint.allows(&wish.value) {
            true => Ok(setting),
            false => Err(Refusal::Value(wanted)),
        }
    }

    /// A board of the X11 family, cut short.
    pub fn x11() -> Bios {
        let on_off = || Constraint::Option(vec!["Disabled".into(), "Enabled".into()]);
        let option = |list: &[&str]| Constraint::Option(list.iter().map(|one| one.to_string()).collect());
        let feature = ["Advanced", "Boot Feature"];
        let cpu = ["Advanced", "CPU Configuration"];
        let boots = || {
            option(&[
                "UEFI Hard Disk:ubuntu (SATA,Port:0)",
                "UEFI Network:(B2/D0/F0) UEFI PXE IPv4 Intel(R) I210 - AC1F6B6C5A76",
                "UEFI USB Key",
                "Disabled",
            ])
        };
        let mut settings = vec![
            setting(&feature, "Fast Boot", Some(1), on_off(), "Disabled"),
            setting(&feature, "Fast Boot", Some(2), on_off(), "Enabled"),
            setting(&feature, "Quiet Boot", None, Constraint::CheckBox, "Checked"),
            setting(&feature, "Re-try Boot", None, option(&["Disabled", "Legacy Boot", "EFI Boot"]), "Disabled"),
            setting(
                &feature,
                "Restore on AC Power Loss",
                None,
                option(&["Stay Off", "Power On", "Last State"]),
                "Last State",
            ),
            setting(&cpu, "Hyper-threading", None, on_off(), "Enabled"),
            setting(&cpu, "C states", None, on_off(), "Enabled"),
            setting(&cpu, "  Power Limit Value", None, Constraint::Numeric { min: 0, max: 4095, step: 0 }, "0"),
            setting(
                &cpu,
                "Correctable Error Threshold",
                None,
                Constraint::Numeric { min: 0, max: 32000, step: 10 },
                "100",
            ),
            setting(
                &["Advanced", "System Label \"A\" & more"],
                "Label",
                None,
                Constraint::String { min: 0, max: 20 },
                "rack-1",
            ),
            setting(&["Security", "SMC Secure Boot Configuration"], "Secure Boot", None, on_off(), "Disabled"),
            setting(&["Security"], "Administrator Password", None, Constraint::Password, ""),
            setting(&["Boot"], "Boot mode select", None, option(&["LEGACY", "UEFI", "DUAL"]), "DUAL"),
            setting(&["Boot"], "LEGACY to EFI support", None, on_off(), "Disabled"),
            setting(&["Boot"], "Boot Option #1", Some(1), boots(), "UEFI Hard Disk:ubuntu (SATA,Port:0)"),
            setting(
                &["Boot"],
                "Boot Option #2",
                Some(1),
                boots(),
                "UEFI Network:(B2/D0/F0) UEFI PXE IPv4 Intel(R) I210 - AC1F6B6C5A76",
            ),
            setting(&["Boot"], "Boot Option #3", Some(1), boots(), "Disabled"),
        ];
        settings[2].help = "Shows the maker's logo caf\u{e9} instead of messages".into();
        settings[7].work_if = Some("( C states != 0 )".into());
        Bios { board: "X11SCL-F".into(), settings }
    }
}

fn setting(menu: &[&str], name: &str, order: Option<u32>, constraint: Constraint, value: &str) -> Setting {
    Setting {
        menu: menu.iter().map(|one| one.to_string()).collect(),
        name: name.into(),
        order,
        constraint,
        value: value.into(),
        default: value.into(),
        help: String::new(),
        work_if: None,
    }
}
