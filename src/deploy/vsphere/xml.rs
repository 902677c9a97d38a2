//! A small document model for SOAP: elements, their type, their text.
//!
//! In: what a server sent, or elements to send. Out: elements, or XML. Names lose their prefixes; of the attributes only two are kept, the
//! schema's `type` (of a value) and the plain `type` (of a reference), which differ by their namespace alone. Invariants: bytes, depth and
//! number of elements are bounded; a document type is refused.

use roxmltree::{Document, Node, ParsingOptions};

/// Of an answer. A property of ten thousand entities is about 4 MiB.
pub(super) const LONGEST: usize = 32 << 20;
const DEEPEST: usize = 64;
/// Elements and texts of an answer.
const MOST: u32 = 1_000_000;

const SCHEMA_INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";
const SCHEMA: &str = "http://www.w3.org/2001/XMLSchema";

/// One element with what is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) name: String,
    /// `xsi:type`: the value's own type. "xsd:" stands before those of XML Schema.
    pub(super) kind: Option<String>,
    /// `type`: of the object that a reference refers to.
    pub(super) object: Option<String>,
    pub(super) text: String,
    pub(super) children: Vec<Element>,
}

impl Element {
    pub(super) fn new(name: &str) -> Self {
        Element { name: name.to_owned(), ..Element::default() }
    }

    pub(super) fn typed(name: &str, kind: &str) -> Self {
        Element { kind: Some(kind.to_owned()), ..Element::new(name) }
    }

    #[must_use]
    pub(super) fn with(mut self, child: Element) -> Self {
        self.children.push(child);
        self
    }

    #[must_use]
    pub(super) fn with_all(mut self, children: impl IntoIterator<Item = Element>) -> Self {
        self.children.extend(children);
        self
    }

    /// With a child that is only text.
    #[must_use]
    pub(super) fn leaf(self, name: &str, text: impl ToString) -> Self {
        self.with(Element { text: text.to_string(), ..Element::new(name) })
    }

    pub(super) fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// Down a path of names: `at(&["backing", "port"])`.
    pub(super) fn at(&self, path: &[&str]) -> Option<&Element> {
        path.iter().try_fold(self, |element, name| element.child(name))
    }

    /// The text of a child, where there is any.
    pub(super) fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.trim()).filter(|text| !text.is_empty())
    }

    pub(super) fn number_of(&self, name: &str) -> Option<i64> {
        self.text_of(name)?.parse().ok()
    }

    pub(super) fn flag_of(&self, name: &str) -> bool {
        matches!(self.text_of(name), Some("true" | "1"))
    }

    /// Appends it as XML; the prefixes `xsi` and `xsd` are the envelope's.
    pub(super) fn write(&self, out: &mut String) {
        out.push('<');
        out.push_str(&self.name);
        for (attribute, value) in [("xsi:type", &self.kind), ("type", &self.object)] {
            if let Some(value) = value {
                out.push(' ');
                out.push_str(attribute);
                out.push_str("=\"");
                escape(value, out);
                out.push('"');
            }
        }
        out.push('>');
        escape(&self.text, out);
        self.children.iter().for_each(|child| child.write(out));
        out.push_str("</");
        out.push_str(&self.name);
        out.push('>');
    }
}

/// What XML 1.0 cannot hold becomes `?`.
pub(super) fn escape(text: &str, out: &mut String) {
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            '\n' | '\t' => out.push(letter),
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => out.push('?'),
            letter => out.push(letter),
        }
    }
}

/// # Errors
/// Why it cannot be read.
pub(super) fn parse(text: &str) -> Result<Element, String> {
    if text.len() > LONGEST {
        return Err("it is too long".to_owned());
    }
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MOST, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).map_err(|error| match error {
        roxmltree::Error::DtdDetected => "a document type".to_owned(),
        roxmltree::Error::NodesLimitReached => "it is too long".to_owned(),
        other => format!("no XML that can be read: {other}"),
    })?;
    element(document.root_element(), DEEPEST)
}

/// An element, with at most so many around what is in it.
fn element(node: Node<'_, '_>, depth: usize) -> Result<Element, String> {
    let inner = depth.checked_sub(1).ok_or("it is too deep")?;
    let mut element = Element::new(node.tag_name().name());
    // The library takes a name without a namespace for that name in any.
    let plain = node.attributes().find(|attribute| attribute.name() == "type" && attribute.namespace().is_none());
    element.object = plain.map(|attribute| attribute.value().to_owned());
    element.kind = node.attribute((SCHEMA_INSTANCE, "type")).map(|kind| match kind.split_once(':') {
        Some((prefix, local)) if node.lookup_namespace_uri(Some(prefix)) == Some(SCHEMA) => format!("xsd:{local}"),
        Some((_, local)) => local.to_owned(),
        None => kind.to_owned(),
    });
    for child in node.children() {
        if child.is_element() {
            element.children.push(self::element(child, inner)?);
        } else if child.is_text() {
            element.text.push_str(child.text().unwrap_or_default());
        }
    }
    Ok(element)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_two_types_are_told_apart_whatever_their_prefix() {
        // As vcsim writes it: a prefix of its own, declared where it is used.
        let text = r#"<a xmlns:x="http://www.w3.org/2001/XMLSchema-instance" xmlns:s="http://www.w3.org/2001/XMLSchema"><v x:type="ManagedObjectReference" type="VirtualMachine">vm-90</v><n x:type="s:int">7</n><o/></a>"#;
        let root = parse(text).unwrap();
        let value = root.child("v").unwrap();
        assert_eq!(
            (value.kind.as_deref(), value.object.as_deref()),
            (Some("ManagedObjectReference"), Some("VirtualMachine"))
        );
        assert_eq!(root.child("n").unwrap().kind.as_deref(), Some("xsd:int"));
        assert_eq!(root.child("o").unwrap().kind, None);
        let mut out = String::new();
        root.write(&mut out);
        insta::assert_snapshot!(out, @r#"<a><v xsi:type="ManagedObjectReference" type="VirtualMachine">vm-90</v><n xsi:type="xsd:int">7</n><o></o></a>"#);
    }

    #[test]
    fn entities_document_types_and_depth_are_refused() {
        assert_eq!(parse("<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>").unwrap_err(), "a document type");
        assert!(parse("<a>&x;</a>").is_err());
        assert_eq!(parse(&format!("{}{}", "<a>".repeat(100), "</a>".repeat(100))).unwrap_err(), "it is too deep");
        assert!(parse(&format!("<a>{}</a>", "<b/>".repeat(MOST as usize))).unwrap_err().contains("too long"));
        assert!(parse("<a>").is_err() && parse("").is_err() && parse("<a/><b/>").is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(text in "[ -~\u{a0}-\u{2ff}\n\t]{0,40}|a]]>b<&\"'\r", kind in proptest::option::of("[A-Z][a-z]{0,8}")) {
            let root = Element { text, ..Element::new("a") };
            let root = Element::new("r").with(Element { kind, ..root });
            let mut out = String::from("<e xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">");
            root.write(&mut out);
            out.push_str("</e>");
            prop_assert_eq!(&parse(&out).unwrap().children[0], &root);
        }

        #[test]
        fn nothing_makes_the_reader_panic(text in "[<>/a&;:= \"x!\\[\\]-]{0,60}") {
            let _ = parse(&text);
        }
    }
}
