//! Text -> events of granit-parser -> tree, by a stack of our own.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::rc::Rc;

use granit_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::scalar::resolve;
use super::tree::{Entry, Node, Value};
use crate::lint::report::Report;

/// Levels of lists and mappings; the deepest sound document has about eight.
const DEEPEST: usize = 48;
/// Values, with every alias followed.
const MOST_VALUES: usize = 200_000;

/// Reads the one document of a text. `None` where a fault left nothing to look at; the report then says why.
pub(in crate::lint) fn read<'t>(text: &'t str, report: &mut Report<'t>) -> Option<Rc<Node>> {
    if let Some((at, letter)) = text.char_indices().find(|(_, letter)| !is_printable(*letter)) {
        report
            .error(
                &(at..at + letter.len_utf8()),
                format!("the control character {} is not allowed in YAML", letter.escape_unicode()),
            )
            .help("remove it, or write it as an escape in double quotes");
        return None;
    }
    let options = granit_parser::options! {
        // As PyYAML does.
        block_scalar_eof_without_line_feed: true,
        emit_unresolved_aliases: true,
        emit_anchor_events: true,
        // The size of the text bounds them.
        max_buffered_comment_events: usize::MAX,
    };
    let mut reader = Reader::new(text, report);
    for next in Parser::new_from_str_with_options(text, options) {
        match next {
            Ok((event, span)) => reader.take(&event, span)?,
            Err(error) => {
                let at = error.marker().byte_offset().unwrap_or(text.len()).min(text.len());
                // A fault on the line of a tab, or on the one after it, is most often the tab's.
                let tab = reader.look_for_tabs(at);
                if tab.is_some_and(|tab| reader.report.line(at) <= reader.report.line(tab) + 1) {
                    return None;
                }
                let message = error.kind().to_string();
                reader.report.error(&(at..at), format!("not YAML: {message}")).maybe_help(syntax_help(&message));
                return None;
            }
        }
    }
    reader.look_for_tabs(text.len());
    if reader.root.is_none() {
        reader.report.error(&(0..0), "the document is empty").help("write 'autoinstall:' and its sections below it");
    }
    reader.root
}

/// PyYAML's reader stops at anything else.
fn is_printable(letter: char) -> bool {
    matches!(letter, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
}

fn syntax_help(message: &str) -> Option<&'static str> {
    let message = message.to_lowercase();
    if message.contains("mapping values") {
        Some("a text that has ': ' in it needs quotes")
    } else if message.contains("found a tab") {
        Some("write spaces")
    } else if message.contains("recursion limit") {
        Some("lists and mappings are nested too deeply")
    } else if message.contains("block collection") || message.contains("indent") || message.contains("block mapping") {
        Some("check the indentation of this line and of the one before it")
    } else {
        None
    }
}

/// A list or mapping whose end is not read yet.
enum Open {
    List { items: Vec<Rc<Node>>, start: Range<usize>, anchor: usize },
    Map { pairs: Vec<Entry>, key: Option<Rc<Node>>, start: Range<usize>, anchor: usize },
}

struct Reader<'r, 't> {
    text: &'t str,
    report: &'r mut Report<'t>,
    open: Vec<Open>,
    anchors: HashMap<usize, Rc<Node>>,
    names: HashSet<String>,
    root: Option<Rc<Node>>,
    documents: usize,
    values: usize,
    /// Where a tab is content: quoted and block scalars, comments.
    covered: Vec<Range<usize>>,
    /// A block scalar covers what follows it up to the next token.
    block: Option<usize>,
}

impl<'r, 't> Reader<'r, 't> {
    fn new(text: &'t str, report: &'r mut Report<'t>) -> Self {
        Reader {
            text,
            report,
            open: Vec::new(),
            anchors: HashMap::new(),
            names: HashSet::new(),
            root: None,
            documents: 0,
            values: 0,
            covered: Vec::new(),
            block: None,
        }
    }

    fn range(&self, span: Span) -> Range<usize> {
        let start = span.start.byte_offset().unwrap_or(0).min(self.text.len());
        let end = span.end.byte_offset().unwrap_or(start).min(self.text.len());
        start..end.max(start)
    }

    /// `None` ends the reading: nothing after it can be trusted or is worth its cost.
    fn take(&mut self, event: &Event<'_>, span: Span) -> Option<()> {
        let range = self.range(span);
        if let Some(start) = self.block.filter(|_| !range.is_empty() || matches!(event, Event::StreamEnd)) {
            self.covered.push(start..range.start.max(start));
            self.block = None;
        }
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.report
                        .error(&range, "a second YAML document begins here: cloud-init refuses the file")
                        .help("write one document; several cloud-configs need a MIME archive");
                    return None;
                }
            }
            Event::Comment(..) => self.covered.push(range),
            Event::Anchor(_, name) if !self.names.insert(name.to_string()) => {
                self.report
                    .error(&range, format!("the anchor '&{}' is defined twice: PyYAML refuses it", name.escape_debug()))
                    .help("give each anchor its own name");
            }
            Event::Alias(id) => {
                let target = self.anchors.get(id).cloned();
                if target.is_none() {
                    self.report
                        .error(&range, "this alias stands inside the value that it names")
                        .help("write the value out");
                    return None;
                }
                self.push(target?);
            }
            Event::UnresolvedAlias(name) => {
                self.report
                    .error(&range, format!("there is no anchor '&{}' before this alias", name.escape_debug()))
                    .help("a text that begins with '*' needs quotes");
                let node = self.node(Value::Null, range, true)?;
                self.push(node);
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = *style == ScalarStyle::Plain;
                match style {
                    ScalarStyle::Literal | ScalarStyle::Folded => self.block = Some(range.start),
                    ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => self.covered.push(range.clone()),
                    _ => {}
                }
                let is_key = matches!(self.open.last(), Some(Open::Map { key: None, .. }));
                if is_key && plain && range.is_empty() && tag.is_none() {
                    self.report.error(&range, "there is no key before ':'").help("write the key, or remove the ':'");
                }
                if !is_key && plain && text == "<<" {
                    self.report.error(&range, "PyYAML refuses a plain '<<' that is no key").help("put it in quotes");
                }
                let value = self.scalar(text, plain && !range.is_empty(), plain, tag.as_deref(), &range);
                let node = self.node(value, range, plain)?;
                self.anchor(*anchor, &node);
                self.push(node);
            }
            Event::SequenceStart(..) | Event::MappingStart(..) if self.open.len() >= DEEPEST => {
                self.report.error(&range, format!("lists and mappings are nested deeper than {DEEPEST} levels"));
                return None;
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.collection_tag(tag.as_deref(), &["seq", "omap", "pairs"], &range);
                self.open.push(Open::List { items: Vec::new(), start: range, anchor: *anchor });
            }
            Event::MappingStart(_, anchor, tag) => {
                self.collection_tag(tag.as_deref(), &["map", "set"], &range);
                self.open.push(Open::Map { pairs: Vec::new(), key: None, start: range, anchor: *anchor });
            }
            Event::SequenceEnd | Event::MappingEnd => self.close()?,
            _ => {}
        }
        Some(())
    }

    fn anchor(&mut self, id: usize, node: &Rc<Node>) {
        if id > 0 {
            self.anchors.insert(id, Rc::clone(node));
        }
    }

    fn scalar(&mut self, text: &str, written: bool, plain: bool, tag: Option<&Tag>, range: &Range<usize>) -> Value {
        let Some(tag) = tag else {
            return match plain {
                true if text == "=" => {
                    self.report.error(range, "PyYAML refuses a plain '='").help("put it in quotes");
                    Value::Text("=".to_owned())
                }
                // An empty value comes as '~'.
                true if !written => Value::Null,
                true => resolve(text),
                false => Value::Text(text.to_owned()),
            };
        };
        let of_tag = |wanted: fn(&Value) -> bool| Some(resolve(text)).filter(wanted);
        let value = match tag.core_suffix() {
            Some("str") => Some(Value::Text(if plain && !written { String::new() } else { text.to_owned() })),
            Some("int") => of_tag(|value| matches!(value, Value::Int(_))),
            Some("float") => of_tag(|value| matches!(value, Value::Int(_) | Value::Float(_))),
            Some("bool") => of_tag(|value| matches!(value, Value::Bool(_))),
            Some("null") => Some(Value::Null),
            Some("timestamp") => of_tag(|value| matches!(value, Value::Timestamp(_))),
            Some("binary") => Some(Value::Binary),
            None if tag.original() == "!" => Some(Value::Text(text.to_owned())),
            _ => None,
        };
        value.unwrap_or_else(|| {
            self.bad_tag(tag, range);
            Value::Text(text.to_owned())
        })
    }

    fn collection_tag(&mut self, tag: Option<&Tag>, known: &[&str], range: &Range<usize>) {
        if let Some(tag) = tag
            && !tag.core_suffix().is_some_and(|suffix| known.contains(&suffix))
            && tag.original() != "!"
        {
            self.bad_tag(tag, range);
        }
    }

    fn bad_tag(&mut self, tag: &Tag, range: &Range<usize>) {
        self.report
            .error(range, format!("PyYAML's safe loader refuses the tag '{}' here", tag.original().escape_debug()))
            .help("write the value without a tag; quotes make it a text");
    }

    fn node(&mut self, value: Value, range: Range<usize>, plain: bool) -> Option<Rc<Node>> {
        let (weight, depth) = match &value {
            Value::List(items) => items
                .iter()
                .fold((1, 1), |(weight, depth), item| (item.weight.saturating_add(weight), depth.max(item.depth + 1))),
            Value::Map(entries) => entries.iter().fold((1, 1), |(weight, depth), entry| {
                let both = entry.key.weight.saturating_add(entry.value.weight);
                (both.saturating_add(weight), depth.max(entry.key.depth.max(entry.value.depth) + 1))
            }),
            _ => (1, 0),
        };
        self.count(1, &range)?;
        if depth > DEEPEST {
            self.report.error(&range, format!("lists and mappings are nested deeper than {DEEPEST} levels"));
            return None;
        }
        if weight > MOST_VALUES {
            self.report.error(&range, format!("the aliases in it expand to more than {MOST_VALUES} values"));
            return None;
        }
        Some(Rc::new(Node { value, range, plain, weight, depth }))
    }

    fn count(&mut self, more: usize, range: &Range<usize>) -> Option<()> {
        self.values += more;
        if self.values > MOST_VALUES {
            self.report.error(range, format!("the document has more than {MOST_VALUES} values"));
            return None;
        }
        Some(())
    }

    fn push(&mut self, node: Rc<Node>) {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { pairs, key, .. }) => match key.take() {
                None => *key = Some(node),
                Some(key) => pairs.push(Entry { key, value: node }),
            },
        }
    }

    fn close(&mut self) -> Option<()> {
        let (value, range, anchor) = match self.open.pop()? {
            Open::List { items, start, anchor } => {
                let range = items.first().map_or(start, |item| item.range.clone());
                (Value::List(items), range, anchor)
            }
            Open::Map { pairs, start, anchor, .. } => {
                let range = pairs.first().map_or(start, |pair| pair.key.range.clone());
                (Value::Map(self.merged(pairs)?), range, anchor)
            }
        };
        let node = self.node(value, range, false)?;
        self.anchor(anchor, &node);
        self.push(node);
        Some(())
    }

    /// A mapping's own entries, after those that `<<` brings in; of each key the last one.
    fn merged(&mut self, pairs: Vec<Entry>) -> Option<Vec<Entry>> {
        let mut own: Vec<Entry> = Vec::with_capacity(pairs.len());
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut merges = Vec::new();
        for pair in pairs {
            if pair.key.plain && pair.key.text() == Some("<<") {
                merges.push(pair);
                continue;
            }
            let Some(identity) = identity(&pair.key) else {
                self.report
                    .error(&pair.key.range, format!("{} cannot be a key", pair.key.kind()))
                    .help("write a text as the key");
                continue;
            };
            match places.get(&identity) {
                Some(place) => {
                    let line = self.report.line(own[*place].key.range.start);
                    let shown = self.text.get(pair.key.range.clone()).unwrap_or("");
                    self.report
                        .error(
                            &pair.key.range,
                            format!(
                                "the key '{}' is already on line {line}: that value is silently lost",
                                shown.escape_debug()
                            ),
                        )
                        .help("keep one of the two");
                    own[*place] = pair;
                }
                None => {
                    places.insert(identity, own.len());
                    own.push(pair);
                }
            }
        }
        for merge in merges {
            let sources: Vec<Rc<Node>> = match &merge.value.value {
                Value::Map(_) => vec![Rc::clone(&merge.value)],
                Value::List(items) => items.clone(),
                _ => Vec::new(),
            };
            if sources.is_empty() || sources.iter().any(|source| source.map().is_none()) {
                self.report
                    .error(&merge.key.range, "the merge key '<<' needs a mapping or a list of mappings")
                    .help("write an alias of a mapping, as in '<<: *defaults'");
            }
            for entry in sources.iter().filter_map(|source| source.map()).flatten() {
                self.count(1, &merge.key.range)?;
                if let Some(identity) = identity(&entry.key)
                    && !places.contains_key(&identity)
                {
                    places.insert(identity, own.len());
                    own.push(entry.clone());
                }
            }
        }
        Some(own)
    }

    /// PyYAML takes no tab between tokens; granit-parser does. Where the first one is.
    fn look_for_tabs(&mut self, end: usize) -> Option<usize> {
        if let Some(start) = self.block.take() {
            self.covered.push(start..end.max(start));
        }
        self.covered.sort_by_key(|range| range.start);
        let mut from = 0;
        let gaps = self.covered.iter().map(|range| (range.start, range.end)).chain([(end, end)]);
        for (start, after) in gaps {
            let gap = self.text.get(from..start.min(end)).unwrap_or("");
            if let Some(tab) = gap.find('\t') {
                let at = from + tab;
                self.report
                    .error(&(at..at + 1), "a tab stands between two parts of the document: PyYAML refuses the file")
                    .help("write spaces");
                return Some(at);
            }
            from = from.max(after);
        }
        None
    }
}

/// What makes two keys the same; `None` for what Python cannot use as a key.
fn identity(key: &Node) -> Option<String> {
    match &key.value {
        Value::Text(text) => Some(format!("s{text}")),
        Value::List(_) | Value::Map(_) => None,
        other => Some(format!("v{other:?}")),
    }
}
