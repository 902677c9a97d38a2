//! The XML format of newer boards (X11 and later): reading all of it, writing a part.
//!
//! ```text
//! <BiosCfg><Menu name="Boot"><Setting name="Fast Boot" order="1" selectedOption="Disabled" type="Option">
//!   <Information>AvailableOptions, MinValue, ...</Information>   (for people: what it may be)
//! </Setting></Menu></BiosCfg>
//! ```
//! Source: SUM User's Guide, "BIOS Settings XML File Format". Invariant: only the five entities of XML and character references are known; a document
//! type, and whatever is deep or endless, is refused.

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesStart, Event};

use super::config::{Encoding, Kind, LONGEST_NAME, MOST, Named, Setting};

/// Elements within elements.
const DEEPEST: usize = 48;
/// Elements of a file.
const MOST_ELEMENTS: usize = 500_000;

/// An element with what is in it.
#[derive(Default)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    children: Vec<Element>,
    text: String,
}

pub(super) fn parse(bytes: &[u8]) -> Result<(Encoding, Vec<Setting>), String> {
    let encoding = declared_encoding(bytes)?;
    let text = match encoding {
        Encoding::Latin1 => bytes.iter().map(|byte| char::from(*byte)).collect(),
        Encoding::Utf8 => String::from_utf8(bytes.to_vec()).map_err(|_| "it is not UTF-8".to_owned())?,
    };
    let root = document(&text)?;
    if root.name != "BiosCfg" {
        return Err("its root is no BiosCfg".to_owned());
    }
    let mut settings = Vec::new();
    for menu in root.children.iter().filter(|child| child.name == "Menu") {
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

fn document(text: &str) -> Result<Element, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("no XML that can be read: {error}");
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    let mut count = 0;
    loop {
        let done = match reader.read_event().map_err(|error| wrong(&error))? {
            Event::Start(start) => {
                count += 1;
                if open.len() >= DEEPEST || count > MOST_ELEMENTS || root.is_some() {
                    return Err("too deep, too long or more than one document".to_owned());
                }
                open.push(element(&start)?);
                None
            }
            Event::Empty(start) => {
                count += 1;
                if count > MOST_ELEMENTS || root.is_some() {
                    return Err("too long or more than one document".to_owned());
                }
                Some(element(&start)?)
            }
            Event::End(_) => open.pop(),
            Event::Text(part) => {
                add(&mut open, &part.xml10_content());
                None
            }
            Event::CData(part) => {
                add(&mut open, &part.xml10_content());
                None
            }
            Event::GeneralRef(reference) => {
                let letter = reference.resolve_char_ref().map_err(|error| wrong(&error))?;
                match (letter, resolve_xml_entity(&reference)) {
                    (Some(letter), _) => add(&mut open, letter.encode_utf8(&mut [0; 4])),
                    (None, Some(known)) => add(&mut open, known),
                    (None, None) => return Err("an entity that XML does not have".to_owned()),
                }
                None
            }
            Event::DocType(_) => return Err("a document type".to_owned()),
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => None,
            Event::Eof => break,
        };
        if let Some(done) = done {
            match open.last_mut() {
                Some(parent) => parent.children.push(done),
                None => root = Some(done),
            }
        }
    }
    if !open.is_empty() {
        return Err("it ends too early".to_owned());
    }
    root.ok_or_else(|| "no element".to_owned())
}

fn add(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

fn element(start: &BytesStart) -> Result<Element, String> {
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        let value = attribute.normalized_value(XmlVersion::Explicit1_0).map_err(|error| error.to_string())?;
        attributes.push((attribute.key.as_ref().to_string(), value.into_owned()));
    }
    Ok(Element { name: start.name().as_ref().to_string(), attributes, ..Element::default() })
}

impl Element {
    fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    fn named(&self) -> Result<Named, String> {
        let name = self.attribute("name").ok_or_else(|| format!("a {} without name", self.name))?.to_owned();
        if name.len() > LONGEST_NAME {
            return Err(format!("a name of more than {LONGEST_NAME} bytes"));
        }
        let order = match self.attribute("order") {
            Some(order) => Some(order.parse().map_err(|_| format!("'{}' has no number as its order", name.trim()))?),
            None => None,
        };
        Ok(Named { name, order })
    }
}

/// All settings of a menu and of those in it, in the file's order. `DEEPEST` bounds the recursion.
fn collect(menu: &Element, menus: &mut Vec<Named>, settings: &mut Vec<Setting>) -> Result<(), String> {
    menus.push(menu.named()?);
    for child in &menu.children {
        match child.name.as_str() {
            "Menu" => collect(child, menus, settings)?,
            "Setting" => {
                if settings.len() >= MOST {
                    return Err(format!("more than {MOST} settings"));
                }
                // A kind that is not known is nothing that could be changed.
                if let Some(kind) = kind(child)? {
                    settings.push(Setting { menus: menus.clone(), name: child.named()?, kind });
                }
            }
            _ => {}
        }
    }
    menus.pop();
    Ok(())
}

fn kind(setting: &Element) -> Result<Option<Kind>, String> {
    let nothing = Element::default();
    let about = setting.child("Information").unwrap_or(&nothing);
    let text = |name: &str| about.child(name).map(|child| child.text.clone());
    let number = |name: &str| about.child(name).and_then(|child| child.text.trim().parse::<u64>().ok());
    let value =
        |name: &str| setting.attribute(name).ok_or_else(|| format!("a setting without {name}")).map(str::to_owned);
    Ok(Some(match setting.attribute("type").unwrap_or_default() {
        "Option" => {
            let options = about.child("AvailableOptions").map(|all| all.children.as_slice()).unwrap_or_default();
            let options = options.iter().filter(|child| child.name == "Option").map(|option| option.text.clone());
            Kind::Choice {
                selected: value("selectedOption")?,
                options: options.collect(),
                default: text("DefaultOption"),
            }
        }
        "CheckBox" => {
            let status = value("checkedStatus")?;
            let is = [true, false].into_iter().find(|is| checked(*is).eq_ignore_ascii_case(&status));
            Kind::CheckBox { checked: is.ok_or("a check box in no known state")?, default: text("DefaultStatus") }
        }
        "Numeric" => Kind::Number {
            value: value("numericValue")?.trim().parse().map_err(|_| "a number that is none")?,
            lower: number("MinValue"),
            upper: number("MaxValue"),
            step: number("StepSize"),
            default: text("DefaultValue"),
        },
        "String" => Kind::Text {
            value: setting.child("StringValue").map(|child| child.text.clone()).unwrap_or_default(),
            shortest: number("MinSize"),
            longest: number("MaxSize"),
            default: text("DefaultString"),
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
