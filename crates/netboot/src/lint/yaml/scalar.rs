//! What a plain scalar means to PyYAML, which cloud-init and subiquity read with: YAML 1.1 with PyYAML's own limits.
//!
//! In: a scalar without quotes. Out: its value. Nothing fails: what is no number is a text.
//! Source: the implicit resolvers of PyYAML 6; a test compares with PyYAML itself.

use super::tree::Value;

/// The value of a plain scalar.
pub(super) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Value::Bool(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return Value::Bool(false),
        _ => {}
    }
    // Only these begin a number or a date: nearly every scalar ends here.
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.')) {
        return Value::Text(text.to_owned());
    }
    float(text)
        .map(Value::Float)
        .or_else(|| integer(text).map(Value::Int))
        .or_else(|| timestamp(text).then(|| Value::Timestamp(text.to_owned())))
        .unwrap_or_else(|| Value::Text(text.to_owned()))
}

fn signed(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || b == b'_')
}

/// A digit, then digits and '_'.
fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit()) && is_digits(text)
}

/// `59`, `5`: a part of a base 60 number after the first one.
fn is_sixtieth(text: &str) -> bool {
    matches!(text.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9'])
}

/// Decimal, 0b binary, 0x hexadecimal, octal by a leading 0, base 60 by ':'. Too large ones are cut to the largest.
fn integer(text: &str) -> Option<i128> {
    let (negative, body) = signed(text);
    let radix = |digits: &str, radix: u32| {
        let digits = digits.replace('_', "");
        i128::from_str_radix(&digits, radix).unwrap_or(if digits.is_empty() { 0 } else { i128::MAX })
    };
    let of = |digits: &str, valid: fn(u8) -> bool| !digits.is_empty() && digits.bytes().all(|b| valid(b) || b == b'_');
    let value = if let Some(digits) = body.strip_prefix("0b").filter(|d| of(d, |b| matches!(b, b'0' | b'1'))) {
        radix(digits, 2)
    } else if let Some(digits) = body.strip_prefix("0x").filter(|d| of(d, |b| b.is_ascii_hexdigit())) {
        radix(digits, 16)
    } else if body == "0" {
        0
    } else if let Some(digits) = body.strip_prefix('0').filter(|d| of(d, |b| matches!(b, b'0'..=b'7'))) {
        radix(digits, 8)
    } else if body.starts_with('0') {
        return None;
    } else if is_number(body) {
        radix(body, 10)
    } else {
        let (first, rest) = body.split_once(':')?;
        if !is_number(first) || !rest.split(':').all(is_sixtieth) {
            return None;
        }
        rest.split(':').fold(radix(first, 10), |sum, part| sum.saturating_mul(60).saturating_add(radix(part, 10)))
    };
    Some(if negative { value.saturating_neg() } else { value })
}

/// With a point; an exponent needs its sign. Base 60 by ':'.
fn float(text: &str) -> Option<f64> {
    let (negative, body) = signed(text);
    let sign = if negative { -1.0 } else { 1.0 };
    match body {
        ".inf" | ".Inf" | ".INF" => return Some(sign * f64::INFINITY),
        ".nan" | ".NaN" | ".NAN" if body == text => return Some(f64::NAN),
        _ => {}
    }
    let (whole, rest) = body.split_once('.')?;
    if let Some((first, sixtieths)) = whole.split_once(':') {
        let fits = is_number(first) && sixtieths.split(':').all(is_sixtieth) && is_digits(rest);
        let value = |part: &str| part.replace('_', "").parse::<f64>().unwrap_or(0.0);
        return fits.then(|| {
            let whole = sixtieths.split(':').fold(value(first), |sum, part| sum * 60.0 + value(part));
            sign * (whole + value(&format!("0.{rest}")))
        });
    }
    let (fraction, exponent) = match rest.split_once(['e', 'E']) {
        Some((fraction, exponent)) => (fraction, Some(exponent)),
        None => (rest, None),
    };
    let exponent_fits = exponent.is_none_or(|exponent| {
        exponent.strip_prefix(['-', '+']).is_some_and(|e| !e.is_empty() && e.bytes().all(|b| b.is_ascii_digit()))
    });
    let whole_fits = match whole {
        // Without a whole part PyYAML takes no sign either.
        "" => body == text && is_number(fraction),
        _ => is_number(whole) && is_digits(fraction),
    };
    (whole_fits && exponent_fits).then(|| sign * body.replace('_', "").parse::<f64>().unwrap_or(0.0))
}

/// `2001-12-14`, or with a time of day.
fn timestamp(text: &str) -> bool {
    let digits = |text: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
    };
    let mut parts = text.splitn(3, '-');
    let (Some(year), Some(month), Some(rest)) = (parts.next(), parts.next(), parts.next()) else { return false };
    let day = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (day, rest) = rest.split_at(day);
    if rest.is_empty() {
        return digits(year, 4..=4) && digits(month, 2..=2) && digits(day, 2..=2);
    }
    let time = rest.strip_prefix(['T', 't']).unwrap_or_else(|| rest.trim_start_matches([' ', '\t']));
    if time.len() == rest.len() || !digits(year, 4..=4) || !digits(month, 1..=2) || !digits(day, 1..=2) {
        return false;
    }
    let mut fields = time.splitn(3, ':');
    let (Some(hour), Some(minute), Some(rest)) = (fields.next(), fields.next(), fields.next()) else { return false };
    if !digits(hour, 1..=2) || !digits(minute, 2..=2) || !rest.get(..2).is_some_and(|s| digits(s, 2..=2)) {
        return false;
    }
    let rest = &rest[2..];
    let rest = rest.strip_prefix('.').map_or(rest, |f| f.trim_start_matches(|c: char| c.is_ascii_digit()));
    let zone = rest.trim_start_matches([' ', '\t']);
    match zone.strip_prefix(['-', '+']) {
        None => rest.is_empty() || zone == "Z",
        Some(zone) => match zone.split_once(':') {
            Some((hour, minute)) => digits(hour, 1..=2) && digits(minute, 2..=2),
            None => digits(zone, 1..=2),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each with what PyYAML 6.0 makes of it.
    #[test]
    fn plain_scalars_are_what_pyyaml_says() {
        let text = |text: &str| Value::Text(text.to_owned());
        for (plain, value) in [
            ("yes", Value::Bool(true)),
            ("Off", Value::Bool(false)),
            ("y", text("y")),
            ("oN", text("oN")),
            ("~", Value::Null),
            ("nULL", text("nULL")),
            ("0", Value::Int(0)),
            ("-12", Value::Int(-12)),
            ("1_000", Value::Int(1000)),
            ("010", Value::Int(8)),
            ("08", text("08")),
            ("0o7", text("0o7")),
            ("0x1F", Value::Int(31)),
            ("0b101", Value::Int(5)),
            ("190:20:30", Value::Int(685_230)),
            ("52:54:00:12:34:56", Value::Int(41_135_085_296)),
            ("52:54:00:ab:34:56", text("52:54:00:ab:34:56")),
            ("52:54:00:12:34:60", text("52:54:00:12:34:60")),
            ("1.5", Value::Float(1.5)),
            ("1.", Value::Float(1.0)),
            (".5", Value::Float(0.5)),
            ("-.5", text("-.5")),
            ("1e3", text("1e3")),
            ("1.0e3", text("1.0e3")),
            ("1.0e+3", Value::Float(1000.0)),
            ("-.inf", Value::Float(f64::NEG_INFINITY)),
            ("20:30.15", Value::Float(1230.15)),
            ("22.04", Value::Float(22.04)),
            ("22.04.1", text("22.04.1")),
            ("10.10.1.21", text("10.10.1.21")),
            ("2001-12-14", Value::Timestamp("2001-12-14".to_owned())),
            ("2001-12-14t21:59:43.10-05:00", Value::Timestamp("2001-12-14t21:59:43.10-05:00".to_owned())),
            ("2001-1-1", text("2001-1-1")),
            ("-", text("-")),
            (".", text(".")),
            ("+", text("+")),
        ] {
            assert_eq!(resolve(plain), value, "{plain}");
        }
    }
}
