//! Which values each DHCP option takes, how they are written for dnsmasq, and the words of every refusal.

use proptest::prelude::*;

use super::*;

fn words(option: &str, value: &str) -> String {
    let option: DhcpOption = option.parse().unwrap_or_else(|bad| panic!("{option}: {bad}"));
    let value = option.value(value).unwrap_or_else(|bad| panic!("{option}: {bad}"));
    option.words(&value)
}

fn refusal(option: &str, value: &str) -> String {
    let bad = match option.parse::<DhcpOption>() {
        Err(bad) => bad,
        Ok(option) => option.value(value).expect_err(&format!("{option} = {value:?}")),
    };
    format!("{option} = {value:?}\n  {bad}\n  help: {}\n", bad.help)
}

#[test]
fn the_table_is_in_order_and_names_are_unique() {
    assert!(TABLE.windows(2).all(|pair| pair[0].0 < pair[1].0));
    let mut names: Vec<_> = TABLE.iter().map(|row| row.1).filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn values_as_dnsmasq_takes_them() {
    let cases = [
        ("ntp-server", "10.10.1.254"),
        ("42", "10.10.1.1, 10.10.1.2"),
        ("1", "255.255.240.0"),
        ("time-offset", "-3600"),
        ("mtu", "9000"),
        ("T1", "600"),
        ("netbios-nodetype", "8"),
        ("ip-forward-enable", "1"),
        ("root-path", "iscsi:10.10.1.2::::iqn.2026-01.example:\"a\\b\", # c"),
        ("domain-name", "lab.internal"),
        ("domain-search", "lab.internal, example.org"),
        ("sip-server", "10.10.1.9"),
        ("sip-server", "sip.example.org"),
        ("static-route", "10.20.0.1,10.10.1.254"),
        ("classless-static-route", "0.0.0.0/0,10.10.1.1,10.20.0.0/16,10.10.1.254"),
        ("vendor-encap", "01:04:0A:0a"),
        ("24", "600"),
        ("30", "1"),
        ("114", "https://portal.example/api"),
        ("224", "7"),
        ("224", "300"),
        ("224", "70000"),
        ("224", "10.10.1.1,10.10.1.2"),
        ("224", "de:ad"),
        ("224", "http://10.10.1.1/x"),
    ];
    let lines: Vec<_> = cases.into_iter().map(|(option, value)| words(option, value)).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn what_is_refused_and_how() {
    let cases = [
        ("ntp-servr", "10.10.1.254"),
        ("frobnicate", "1"),
        ("0", "1"),
        ("255", "1"),
        ("router", "not-an-ip"),
        ("42", "nonsense"),
        ("1", "x"),
        ("netmask", "24"),
        ("netmask", "255.0.255.0"),
        ("ntp-server", "a,b"),
        ("ntp-server", "10.10.1.1,"),
        ("dns-server", "10.10.1.300"),
        ("boot-file-name", "x"),
        ("bootfile-name", "x"),
        ("hostname", "a b"),
        ("lease-time", "1"),
        ("53", "1"),
        ("66", "\"q"),
        ("82", "x"),
        ("175", "x"),
        ("mtu", "abc"),
        ("mtu", "70000"),
        ("mtu", "9000s"),
        ("43", "01:04:zz"),
        ("43", "01"),
        ("ip-forward-enable", "yes"),
        ("netbios-nodetype", "3"),
        ("static-route", "10.20.0.1"),
        ("classless-static-route", "10.20.0.0/16"),
        ("classless-static-route", "10.20.0.1/16,10.10.1.254"),
        ("domain-search", "lab_internal"),
        ("root-path", "é"),
        ("224", "10.10.1.300"),
        ("224", "01:04:zz"),
        ("224", "4294967296"),
    ];
    insta::assert_snapshot!(cases.into_iter().map(|(option, value)| refusal(option, value)).collect::<String>());
    let many = vec!["10.10.1.1"; MOST_ADDRESSES + 1].join(",");
    assert!("router".parse::<DhcpOption>().unwrap().value(&many).is_err());
    assert!("17".parse::<DhcpOption>().unwrap().value(&"x".repeat(LONGEST + 1)).is_err());
}

proptest! {
    /// One line, that fits into dnsmasq's buffer: nothing of a value can be read as something else.
    #[test]
    fn no_value_leaves_its_line(number in 1..=254_u8, text in ".{0,300}") {
        let Ok(option) = number.to_string().parse::<DhcpOption>() else { return Ok(()) };
        prop_assert_eq!(option.to_string().parse::<DhcpOption>(), Ok(option));
        if let Ok(value) = option.value(&text) {
            let words = option.words(&value);
            prop_assert!(words.len() < 800 && words.bytes().all(|b| (b' '..=b'~').contains(&b)), "{}", words);
        }
    }
}
