//! Which machines can boot from the network, and what each is given first.
//!
//! In: a machine's "client system architecture" (DHCP option 93). Out: the loader, or that there is none. The numbers are
//! those of RFC 4578, section 2.1, with the errata that swap 7 and 9, and of IANA's registry "Processor Architecture Types"
//! after it.
//!
//! ```text
//! BIOS                     undionly.kpxe by TFTP ─┐
//! UEFI                     snponly.efi by TFTP   ─┼─ iPXE ── boot.ipxe ── nodes/MAC.ipxe
//! UEFI, HTTP boot          snponly.efi by HTTP   ─┘
//! UEFI, Secure Boot        shimx64.efi, grubx64.efi by TFTP ─┐
//! the same, HTTP boot      shimx64.efi, grubx64.efi by HTTP ─┴─ GRUB ── grub/grub.cfg ── grub/nodes/MAC.cfg
//! ```

/// A machine's kind, as its firmware names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Architecture {
    pub number: u16,
    pub name: &'static str,
    /// `None` where nothing here runs on it.
    pub way: Option<Way>,
}

/// How a machine's own firmware boots from a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Bios,
    Uefi,
    /// UEFI HTTP boot: the boot file is a URL.
    UefiHttp,
}

/// Every architecture that the registry has for machines of a data centre.
pub const ARCHITECTURES: [Architecture; 12] = [
    Architecture { number: 0, name: "x86 BIOS", way: Some(Way::Bios) },
    Architecture { number: 7, name: "x64 UEFI", way: Some(Way::Uefi) },
    // Firmware that reads the unamended RFC 4578 sends this number for x64.
    Architecture { number: 9, name: "x64 UEFI", way: Some(Way::Uefi) },
    Architecture { number: 16, name: "x64 UEFI HTTP boot", way: Some(Way::UefiHttp) },
    Architecture { number: 6, name: "x86 UEFI", way: None },
    Architecture { number: 10, name: "ARM 32 UEFI", way: None },
    Architecture { number: 11, name: "ARM 64 UEFI", way: None },
    Architecture { number: 15, name: "x86 UEFI HTTP boot", way: None },
    Architecture { number: 18, name: "ARM 32 UEFI HTTP boot", way: None },
    Architecture { number: 19, name: "ARM 64 UEFI HTTP boot", way: None },
    Architecture { number: 27, name: "RISC-V 64 UEFI", way: None },
    Architecture { number: 39, name: "LoongArch 64 UEFI", way: None },
];

/// iPXE for BIOS: uses the network card through the firmware's driver (UNDI).
pub const IPXE_BIOS: &str = "undionly.kpxe";
/// iPXE for UEFI: uses the network card through the firmware's driver (SNP).
pub const IPXE_UEFI: &str = "snponly.efi";
/// The signed shim. It loads [`GRUB`] from the place that it came from.
pub const SHIM: &str = "shimx64.efi";
/// The signed network GRUB, by the name that is built into shim.
pub const GRUB: &str = "grubx64.efi";
/// shim's key manager, by the name that is built into shim.
pub const MOK_MANAGER: &str = "mmx64.efi";

impl Way {
    /// Every way.
    pub const ALL: [Way; 3] = [Way::Bios, Way::Uefi, Way::UefiHttp];

    /// Tag of such machines in dnsmasq's configuration.
    pub fn tag(self) -> &'static str {
        match self {
            Way::Bios => "bios",
            Way::Uefi => "efi",
            Way::UefiHttp => "http",
        }
    }

    /// The first file of a machine that is not iPXE yet. A BIOS knows no Secure Boot.
    pub fn loader(self, secure_boot: bool) -> &'static str {
        match self {
            Way::Bios => IPXE_BIOS,
            Way::Uefi | Way::UefiHttp if secure_boot => SHIM,
            Way::Uefi | Way::UefiHttp => IPXE_UEFI,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_number_stands_once_and_every_way_is_used() {
        let numbers: BTreeSet<u16> = ARCHITECTURES.iter().map(|architecture| architecture.number).collect();
        assert_eq!(numbers.len(), ARCHITECTURES.len());
        for way in Way::ALL {
            assert!(ARCHITECTURES.iter().any(|architecture| architecture.way == Some(way)), "{way:?}");
        }
        let served = |number| ARCHITECTURES.iter().find(|a| a.number == number).and_then(|a| a.way);
        assert_eq!([0, 7, 9, 16].map(served), [Way::Bios, Way::Uefi, Way::Uefi, Way::UefiHttp].map(Some));
        assert_eq!([6, 10, 11, 15].map(served), [None; 4]);
    }
}
