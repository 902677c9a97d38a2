//! Where BMCs differ from the standard, as data: a row for each difference, with where it is known from.
//!
//! In: kind (nodes.toml), vendor, model and firmware (the BMC). Out: [`Quirks`]. Nothing else in this crate asks for a vendor.

use netboot::BmcKind;

/// One difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Quirk {
    /// Names of BIOS attributes end in `_` and four hexadecimal digits.
    SuffixedAttributes,
    /// The persistent boot order is the resource `Oem/Supermicro/FixedBootOrder` of the system.
    FixedBootOrder,
    /// `BootSourceOverrideMode` is refused or ignored: the override goes without it.
    NoOverrideMode,
}

/// What a row is about; an empty text matches everything.
struct Row {
    kind: Option<BmcKind>,
    /// Beginning of the model's name.
    model: &'static str,
    /// Beginning of the BMC's firmware version.
    firmware: &'static str,
    quirk: Quirk,
    /// Where it is known from.
    source: &'static str,
}

const ROWS: &[Row] = &[Row {
    kind: Some(BmcKind::Supermicro),
    model: "",
    firmware: "",
    quirk: Quirk::SuffixedAttributes,
    source: "Supermicro, Redfish reference guide, Bios.Attributes",
}];

/// The differences of one BMC.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Quirks(Vec<Quirk>);

impl Quirks {
    pub(crate) fn of(kind: BmcKind, model: &str, firmware: &str) -> Self {
        let fits = |row: &&Row| {
            row.kind.is_none_or(|of| of == kind) && model.starts_with(row.model) && firmware.starts_with(row.firmware)
        };
        Quirks(ROWS.iter().filter(fits).map(|row| row.quirk).collect())
    }

    pub(crate) fn has(&self, quirk: Quirk) -> bool {
        self.0.contains(&quirk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_says_where_it_is_known_from() {
        assert!(ROWS.iter().all(|row| row.source.len() > 10));
    }
}
