//! The XML form of a BIOS configuration, ISO-8859-1.
//!
//! Input: bytes of a file or settings; output: wishes or bytes. Invariant: whatever stands inside `Information` is not read, as with SUM.

use std::fmt::Write as _;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::{Bios, Constraint, Setting, Wish};

const PROLOG: &str = "<?xml version=\"1.0\" encoding=\"ISO-8859-1\" standalone=\"yes\"?>\n";

/// The whole configuration, in the menus' order.
pub fn write(bios: &Bios) -> Vec<u8> {
    let mut xml = String::from(PROLOG);
    xml.push_str("<BiosCfg>\n  <!--Supermicro Update Manager 2.14.0 (2024/02/15) STUB-->\n");
    xml.push_str("  <!--File generated at 2026-01-01_00:00:00-->\n");
    let _ = writeln!(
        xml,
        "  <Menu name=\"Main\">\n    <Information/>\n    <Subtitle>Supermicro {}</Subtitle>\n  </Menu>",
        bios.board
    );
    let mut open: Vec<String> = Vec::new();
    for setting in &bios.settings {
        let shared = open.iter().zip(&setting.menu).take_while(|(one, other)| one == other).count();
        close(&mut xml, &mut open, shared);
        for menu in &setting.menu[shared..] {
            open.push(menu.clone());
            let pad = "  ".repeat(open.len());
            let _ = writeln!(xml, "{pad}<Menu name=\"{}\">\n{pad}  <Information/>", escaped(menu));
        }
        element(&mut xml, setting, &"  ".repeat(open.len() + 1));
    }
    close(&mut xml, &mut open, 0);
    xml.push_str("</BiosCfg>\n");
    xml.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
}

fn close(xml: &mut String, open: &mut Vec<String>, keep: usize) {
    while open.len() > keep {
        let _ = writeln!(xml, "{}</Menu>", "  ".repeat(open.len()));
        open.pop();
    }
}

fn element(xml: &mut String, setting: &Setting, pad: &str) {
    let order = setting.order.map(|order| format!(" order=\"{order}\"")).unwrap_or_default();
    let value = escaped(&setting.value);
    let (attribute, child, limits) = match &setting.constraint {
        Constraint::Option(options) => {
            let list: String = options
                .iter()
                .enumerate()
                .map(|(index, option)| format!("<Option value=\"{index}\">{}</Option>", escaped(option)))
                .collect();
            let default = escaped(&setting.default);
            let limits = format!("<AvailableOptions>{list}</AvailableOptions><DefaultOption>{default}</DefaultOption>");
            (format!(" selectedOption=\"{value}\""), String::new(), limits)
        }
        Constraint::CheckBox => {
            let limits = format!("<DefaultStatus>{}</DefaultStatus>", setting.default);
            (format!(" checkedStatus=\"{value}\""), "<!--Checked/Unchecked-->".into(), limits)
        }
        Constraint::Numeric { min, max, step } => {
            let limits = format!(
                "<MaxValue>{max}</MaxValue><MinValue>{min}</MinValue><StepSize>{step}</StepSize><DefaultValue>{}</DefaultValue>",
                setting.default
            );
            (format!(" numericValue=\"{value}\""), String::new(), limits)
        }
        Constraint::String { min, max } => {
            let limits = format!(
                "<MinSize>{min}</MinSize><MaxSize>{max}</MaxSize><DefaultString></DefaultString><AllowingMultipleLine>False</AllowingMultipleLine>"
            );
            (String::new(), format!("<StringValue><![CDATA[{}]]></StringValue>", setting.value), limits)
        }
        Constraint::Password => {
            let child = "<NewPassword><![CDATA[]]></NewPassword><ConfirmNewPassword><![CDATA[]]></ConfirmNewPassword>";
            let limits = "<MinSize>3</MinSize><MaxSize>20</MaxSize><HasPassword>False</HasPassword>";
            (String::new(), child.into(), limits.into())
        }
    };
    let work_if =
        setting.work_if.as_ref().map(|text| format!("<WorkIf><![CDATA[ {text} ]]></WorkIf>")).unwrap_or_default();
    let _ = writeln!(
        xml,
        "{pad}<Setting name=\"{}\"{order}{attribute} type=\"{}\">\n{pad}  {child}<Information>{limits}<Help><![CDATA[{}]]></Help>{work_if}</Information>\n{pad}</Setting>",
        escaped(&setting.name),
        setting.constraint.kind(),
        setting.help,
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// What a file asks for. Password settings are passed over unless they hold one.
///
/// # Errors
/// Text for a person, where the file is not such a one.
pub fn read(bytes: &[u8]) -> Result<Vec<Wish>, String> {
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    let mut reader = Reader::from_str(&text);
    let mut walk = Walk::default();
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Start(start) => walk.open(&start, false)?,
            Event::Empty(start) => walk.open(&start, true)?,
            Event::CData(data) => walk.text(&data),
            Event::Text(data) => walk.text(&data),
            Event::End(_) => walk.close(),
            Event::Eof => break,
            _ => {}
        }
    }
    if !walk.path.is_empty() || !walk.seen_root {
        return Err("the file ends too early".into());
    }
    Ok(walk.wishes)
}

#[derive(Default)]
struct Walk {
    seen_root: bool,
    path: Vec<String>,
    menu: Vec<String>,
    setting: Option<Wish>,
    wishes: Vec<Wish>,
}

impl Walk {
    fn inside_information(&self) -> bool {
        self.path.iter().any(|name| name == "Information")
    }

    fn open(&mut self, start: &BytesStart<'_>, empty: bool) -> Result<(), String> {
        let name = start.name().as_ref().to_string();
        match (name.as_str(), self.path.is_empty()) {
            ("BiosCfg", true) => self.seen_root = true,
            (_, true) => return Err(format!("the root is {name}, not BiosCfg")),
            ("Menu", _) if !self.inside_information() => {
                self.menu.push(attribute(start, "name")?.ok_or("a menu has no name")?);
            }
            ("Setting", _) if !self.inside_information() => {
                let order = attribute(start, "order")?;
                self.setting = Some(Wish {
                    menu: self.menu.clone(),
                    name: attribute(start, "name")?.ok_or("a setting has no name")?,
                    order: order.map(|order| order.parse().map_err(|_| "order is no number")).transpose()?,
                    value: value(start)?.unwrap_or_default(),
                    kind: attribute(start, "type")?,
                });
            }
            _ => {}
        }
        self.path.push(name);
        if empty {
            self.close();
        }
        Ok(())
    }

    fn text(&mut self, text: &str) {
        let holds = self.path.last().is_some_and(|name| ["StringValue", "NewPassword"].contains(&name.as_str()));
        if let Some(setting) = self.setting.as_mut().filter(|_| holds) {
            setting.value.push_str(text);
        }
    }

    fn close(&mut self) {
        let Some(name) = self.path.pop() else { return };
        if self.inside_information() {
            return;
        }
        match name.as_str() {
            "Menu" => {
                self.menu.pop();
            }
            "Setting" => {
                let empty_password = |wish: &Wish| wish.kind.as_deref() == Some("Password") && wish.value.is_empty();
                self.wishes.extend(self.setting.take().filter(|wish| !empty_password(wish)));
            }
            _ => {}
        }
    }
}

fn value(start: &BytesStart<'_>) -> Result<Option<String>, String> {
    for name in ["selectedOption", "checkedStatus", "numericValue"] {
        if let Some(value) = attribute(start, name)? {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

fn attribute(start: &BytesStart<'_>, name: &str) -> Result<Option<String>, String> {
    let found = start.try_get_attribute(name).map_err(|error| error.to_string())?;
    let raw = found.map(|found| found.value.into_owned());
    raw.map(|raw| quick_xml::escape::unescape(&raw).map(|text| text.into_owned()).map_err(|error| error.to_string()))
        .transpose()
}
