//! The XML format of newer boards (X11 and later): reading all of it, writing a part.
//!
//! ```text
//! <BiosCfg><Menu name="Boot"><Setting name="Fast Boot" order="1" selectedOption="Disabled" type="Option">
//!   <Information>AvailableOptions, MinValue, ...</Information>   (for people: what it may be)
//! </Setting></Menu></BiosCfg>
//! ```
//! Source: SUM User's Guide, "BIOS Settings XML File Format". Invariant: a document type, and whatever is deep or endless, is refused.

use roxmltree::{Document, Node, ParsingOptions};

use super::config::{Encoding, Kind, LONGEST_NAME, MOST, Named, Setting};

/// Menus within menus.
const DEEPEST: usize = 48;
/// Elements and texts of a file.
const MOST_NODES: u32 = 1_000_000;

pub(super) fn parse(bytes: &[u8]) -> Result<(Encoding, Vec<Setting>), String> {
    let encoding = declared_encoding(bytes)?;
    let text = match encoding {
        Encoding::Latin1 => bytes.iter().map(|byte| char::from(*byte)).collect(),
        Encoding::Utf8 => String::from_utf8(bytes.to_vec()).map_err(|_| "it is not UTF-8".to_owned())?,
    };
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(&text, options).map_err(|error| match error {
        roxmltree::Error::DtdDetected => "a document type".to_owned(),
        roxmltree::Error::NodesLimitReached => "it is too long".to_owned(),
        other => format!("no XML that can be read: {other}"),
    })?;
    let root = document.root_element();
    if !root.has_tag_name("BiosCfg") {
        return Err("its root is no BiosCfg".to_owned());
    }
    let mut settings = Vec::new();
    for menu in all(root, "Menu") {
        collect(menu, &mut Vec::new(), &mut settings)?;
    }
    Ok((encoding, settings))
}

/// By its declaration: `<?xml version="1.0" encoding="ISO-8859-1"?>`.
fn declared_encoding(bytes: &[u8]) -> Result<Encoding, String> {
    let end = bytes.windows(2).take(300).position(|pair| pair == b"?>");
    let Some(declaration) = end.map(|end| String::from_utf8_lossy(&bytes[..end])).filter(|d| d.starts_with("<?xml"))
    else {
        return Ok(Encoding::Utf8);
    };
    let Some((_, rest)) = declaration.split_once("encoding") else { return Ok(Encoding::Utf8) };
    let name = rest.split(['"', '\'']).nth(1).unwrap_or_default().to_ascii_uppercase();
    match name.as_str() {
        "ISO-8859-1" | "LATIN1" | "US-ASCII" => Ok(Encoding::Latin1),
        "UTF-8" => Ok(Encoding::Utf8),
        _ => Err("its encoding is neither ISO-8859-1 nor UTF-8".to_owned()),
    }
}

fn all<'a, 'i>(node: Node<'a, 'i>, name: &'static str) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(move |child| child.has_tag_name(name))
}

fn child<'a, 'i>(node: Node<'a, 'i>, name: &'static str) -> Option<Node<'a, 'i>> {
    all(node, name).next()
}

/// What stands right in it: a text may be in pieces, with references and CDATA sections.
fn text(node: Node<'_, '_>) -> String {
    node.children().filter(Node::is_text).filter_map(|piece| piece.text()).collect()
}

fn named(node: Node<'_, '_>) -> Result<Named, String> {
    let name = node.attribute("name").ok_or_else(|| format!("a {} without name", node.tag_name().name()))?.to_owned();
    if name.len() > LONGEST_NAME {
        return Err(format!("a name of more than {LONGEST_NAME} bytes"));
    }
    let order = match node.attribute("order") {
        Some(order) => Some(order.parse().map_err(|_| format!("'{}' has no number as its order", name.trim()))?),
        None => None,
    };
    Ok(Named { name, order })
}

/// All settings of a menu and of those in it, in the file's order.
fn collect(menu: Node<'_, '_>, menus: &mut Vec<Named>, settings: &mut Vec<Setting>) -> Result<(), String> {
    if menus.len() >= DEEPEST {
        return Err("too deep".to_owned());
    }
    menus.push(named(menu)?);
    for part in menu.children() {
        match part.tag_name().name() {
            "Menu" => collect(part, menus, settings)?,
            "Setting" => {
                if settings.len() >= MOST {
                    return Err(format!("more than {MOST} settings"));
                }
                // A kind that is not known is nothing that could be changed.
                if let Some(kind) = kind(part)? {
                    settings.push(Setting { menus: menus.clone(), name: named(part)?, kind });
                }
            }
            _ => {}
        }
    }
    menus.pop();
    Ok(())
}

fn kind(setting: Node<'_, '_>) -> Result<Option<Kind>, String> {
    let about = child(setting, "Information");
    let told = |name: &'static str| about.and_then(|about| child(about, name)).map(text);
    let number = |name: &'static str| told(name).and_then(|text| text.trim().parse::<u64>().ok());
    let value =
        |name: &str| setting.attribute(name).ok_or_else(|| format!("a setting without {name}")).map(str::to_owned);
    Ok(Some(match setting.attribute("type").unwrap_or_default() {
        "Option" => Kind::Choice {
            selected: value("selectedOption")?,
            options: about
                .and_then(|about| child(about, "AvailableOptions"))
                .map_or_else(Vec::new, |options| all(options, "Option").map(text).collect()),
            default: told("DefaultOption"),
        },
        "CheckBox" => {
            let status = value("checkedStatus")?;
            let is = [true, false].into_iter().find(|is| checked(*is).eq_ignore_ascii_case(&status));
            Kind::CheckBox { checked: is.ok_or("a check box in no known state")?, default: told("DefaultStatus") }
        }
        "Numeric" => Kind::Number {
            value: value("numericValue")?.trim().parse().map_err(|_| "a number that is none")?,
            lower: number("MinValue"),
            upper: number("MaxValue"),
            step: number("StepSize"),
            default: told("DefaultValue"),
        },
        "String" => Kind::Text {
            value: child(setting, "StringValue").map(text).unwrap_or_default(),
            shortest: number("MinSize"),
            longest: number("MaxSize"),
            default: told("DefaultString"),
        },
        "Password" => Kind::Password,
        _ => return Ok(None),
    }))
}

pub(super) fn checked(is: bool) -> &'static str {
    if is { "Checked" } else { "Unchecked" }
}

/// A file with these settings, which are in the order of the file that they were read from.
pub(super) fn write(settings: &[Setting], encoding: Encoding) -> Vec<u8> {
    let name = match encoding {
        Encoding::Latin1 => "ISO-8859-1",
        Encoding::Utf8 => "UTF-8",
    };
    let mut file = format!("<?xml version=\"1.0\" encoding=\"{name}\" standalone=\"yes\"?>\n<BiosCfg>\n");
    let mut open: &[Named] = &[];
    for setting in settings {
        let kept = open.iter().zip(&setting.menus).take_while(|(a, b)| a == b).count();
        file += &"</Menu>\n".repeat(open.len() - kept);
        for menu in &setting.menus[kept..] {
            file += &format!("<Menu{}>\n", identity(menu));
        }
        open = &setting.menus;
        file += &line(setting);
    }
    file += &"</Menu>\n".repeat(open.len());
    file += "</BiosCfg>\n";
    match encoding {
        // What Latin-1 does not have is a reference in attributes already; the plan lets nothing else of it into texts.
        Encoding::Latin1 => file.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap_or(b'?')).collect(),
        Encoding::Utf8 => file.into_bytes(),
    }
}

fn line(setting: &Setting) -> String {
    let begin = format!("<Setting{}", identity(&setting.name));
    let with = |attribute: &str, value: &str| {
        format!("{begin} {attribute}=\"{}\" type=\"{}\"/>\n", escaped(value), setting.kind.title())
    };
    match &setting.kind {
        Kind::Choice { selected, .. } => with("selectedOption", selected),
        Kind::CheckBox { checked: is, .. } => with("checkedStatus", checked(*is)),
        Kind::Number { value, .. } => with("numericValue", &value.to_string()),
        Kind::Text { value, .. } => {
            // The end of a CDATA section in its text is split over two.
            let text = value.replace("]]>", "]]]]><![CDATA[>");
            format!("{begin} type=\"String\"><StringValue><![CDATA[{text}]]></StringValue></Setting>\n")
        }
        // Neither is ever changed in this format.
        Kind::Password | Kind::Digits { .. } => String::new(),
    }
}

fn identity(named: &Named) -> String {
    let order = named.order.map(|order| format!(" order=\"{order}\"")).unwrap_or_default();
    format!(" name=\"{}\"{order}", escaped(&named.name))
}

/// As an attribute's value, in ASCII; blanks that a reader would turn into others are references too.
fn escaped(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => clean += "&amp;",
            '<' => clean += "&lt;",
            '>' => clean += "&gt;",
            '"' => clean += "&quot;",
            ' '..='~' => clean.push(letter),
            other => clean += &format!("&#{};", u32::from(other)),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DUMP: &str = include_str!("dump_test.xml");

    #[test]
    fn every_kind_of_setting_is_read() {
        let (encoding, settings) = parse(DUMP.as_bytes()).unwrap();
        assert_eq!(encoding, Encoding::Latin1);
        let titles: Vec<_> = settings.iter().map(|setting| setting.kind.title()).collect();
        assert_eq!(titles, ["CheckBox", "Numeric", "Numeric", "Password", "String", "Option", "Option", "Option"]);
        let label = &settings[4];
        assert_eq!(label.name.name, "Label \"A\"");
        assert!(matches!(&label.kind, Kind::Text { value, longest: Some(20), .. } if value == "rack <1>"));
        assert!(matches!(&settings[2].kind, Kind::Number { upper: Some(u64::MAX), .. }));
    }

    #[test]
    fn latin_1_and_utf_8_are_told_apart_by_the_declaration() {
        let body = |encoding: &str, name: &[u8]| {
            let mut file =
                format!("<?xml version=\"1.0\" encoding=\"{encoding}\"?><BiosCfg><Menu name=\"").into_bytes();
            file.extend_from_slice(name);
            file.extend_from_slice(
                b"\"><Setting name=\"a\" checkedStatus=\"Checked\" type=\"CheckBox\"/></Menu></BiosCfg>",
            );
            file
        };
        let menu = |file: &[u8]| parse(file).unwrap().1[0].menus[0].name.clone();
        assert_eq!(menu(&body("ISO-8859-1", b"\xe9t\xe9")), "été");
        assert_eq!(menu(&body("UTF-8", "été".as_bytes())), "été");
        assert!(parse(&body("UTF-8", b"\xe9t\xe9")).is_err());
        assert!(parse(&body("UTF-16", b"x")).is_err());
    }

    #[test]
    fn entities_document_types_and_depth_are_refused() {
        let bomb =
            "<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY x \"xxxxxxxx\">]><BiosCfg><Menu name=\"&x;\"/></BiosCfg>";
        assert_eq!(parse(bomb.as_bytes()).unwrap_err(), "a document type");
        for file in ["<BiosCfg><Menu name=\"&x;\"/></BiosCfg>", "<BiosCfg>&x;</BiosCfg>"] {
            assert!(parse(file.as_bytes()).is_err(), "{file}");
        }
        let deep = format!("<BiosCfg>{}{}</BiosCfg>", "<Menu name=\"a\">".repeat(100), "</Menu>".repeat(100));
        assert!(parse(deep.as_bytes()).unwrap_err().starts_with("too deep"));
        assert!(parse(b"<BiosCfg><Menu name=\"a\">").is_err());
        assert!(parse(b"<Other/>").is_err());
    }

    fn named() -> impl Strategy<Value = Named> {
        ("[ -~\u{a0}-\u{ff}]{1,12}", proptest::option::of(0_u32..9)).prop_map(|(name, order)| Named { name, order })
    }

    fn any_kind() -> impl Strategy<Value = Kind> {
        let text = || "[ -~\u{a0}-\u{ff}]{0,16}|a]]>b<&\"";
        prop_oneof![
            text().prop_map(|selected| Kind::Choice { selected, options: Vec::new(), default: None }),
            any::<bool>().prop_map(|checked| Kind::CheckBox { checked, default: None }),
            any::<u64>().prop_map(|value| Kind::Number { value, lower: None, upper: None, step: None, default: None }),
            text().prop_map(|value| Kind::Text { value, shortest: None, longest: None, default: None }),
        ]
    }

    fn setting() -> impl Strategy<Value = Setting> {
        (proptest::collection::vec(named(), 1..4), named(), any_kind()).prop_map(|(menus, name, kind)| Setting {
            menus,
            name,
            kind,
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(settings in proptest::collection::vec(setting(), 1..12), latin in any::<bool>()) {
            let encoding = if latin { Encoding::Latin1 } else { Encoding::Utf8 };
            prop_assert_eq!(parse(&write(&settings, encoding)), Ok((encoding, settings)));
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn no_damage_makes_the_reader_panic(at in 0..DUMP.len(), bytes in proptest::collection::vec(any::<u8>(), 0..8)) {
            let mut file = DUMP.as_bytes().to_vec();
            let end = (at + bytes.len()).min(file.len());
            file.splice(at..end, bytes);
            let _ = parse(&file);
        }
    }
}
