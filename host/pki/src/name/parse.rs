//! RFC 4514: a distinguished name as text, read and written.

use super::attribute::{Attribute, Value};
use crate::digest::hex;

/// Splits at unescaped separators and undoes escapes: a list of RDNs, each a list of (type, value).
pub(super) fn parse(text: &str) -> Result<Vec<Vec<Attribute>>, String> {
    let mut rest = text.trim_start();
    let mut names = Vec::new();
    if rest.is_empty() {
        return Ok(names);
    }
    loop {
        let mut parts = Vec::new();
        let last = loop {
            let (attribute, end, after) = attribute(rest)?;
            parts.push(attribute);
            rest = after;
            match end {
                Some('+') => {}
                Some(_) => break false,
                None => break true,
            }
        };
        names.push(parts);
        if last {
            return Ok(names);
        }
    }
}

/// The first attribute, the separator that ended it, and what follows.
fn attribute(text: &str) -> Result<(Attribute, Option<char>, &str), String> {
    let shown: String = text.chars().take(40).collect();
    let (name, rest) = text.split_once('=').ok_or_else(|| format!("`{shown}` is no `type=value`"))?;
    let name = name.trim();
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte)) {
        return Err(format!("`{shown}` is no `type=value`"));
    }
    let rest = rest.trim_start_matches(' ');
    if rest.starts_with('#') {
        return Err(format!("the value of `{name}` is hexadecimal, which is not read; write its text"));
    }
    let (value, end, after) = value(rest)?;
    Ok((Attribute::new(name, &value)?, end, after))
}

fn value(text: &str) -> Result<(String, Option<char>, &str), String> {
    let mut bytes = Vec::new();
    // Spaces at the end are part of it only if they are escaped.
    let mut kept = 0;
    let mut characters = text.char_indices();
    let mut end = None;
    let mut after = "";
    while let Some((at, character)) = characters.next() {
        match character {
            ',' | '+' | ';' => {
                end = Some(character);
                after = &text[at + 1..];
                break;
            }
            '\\' => {
                bytes.extend_from_slice(&escaped(&mut characters)?);
                kept = bytes.len();
            }
            '"' | '<' | '>' => return Err(format!("`{character}` must be escaped with a backslash")),
            _ => {
                bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                if character != ' ' {
                    kept = bytes.len();
                }
            }
        }
    }
    bytes.truncate(kept);
    let value = String::from_utf8(bytes).map_err(|_| "an escaped value is no UTF-8".to_owned())?;
    Ok((value, end, after))
}

/// What follows a backslash: two hexadecimal digits, or a character that means itself.
fn escaped(characters: &mut std::str::CharIndices<'_>) -> Result<Vec<u8>, String> {
    let (_, first) = characters.next().ok_or("a backslash ends the name")?;
    if let Some(high) = first.to_digit(16) {
        let low = characters.next().and_then(|(_, low)| low.to_digit(16));
        let low = low.ok_or("a backslash is followed by half a byte")?;
        return Ok(vec![u8::try_from(high * 16 + low).unwrap_or(0)]);
    }
    if " \"#+,;<=>\\".contains(first) {
        return Ok(vec![u8::try_from(first).unwrap_or(0)]);
    }
    Err(format!("`\\{first}` is no escape"))
}

/// Writes the names, the last first (RFC 4514 §2.1).
pub(super) fn print(names: &[Vec<Attribute>]) -> String {
    let rdn = |parts: &Vec<Attribute>| parts.iter().map(print_attribute).collect::<Vec<_>>().join("+");
    names.iter().rev().map(rdn).collect::<Vec<_>>().join(",")
}

fn print_attribute(attribute: &Attribute) -> String {
    let name = attribute.name();
    match &attribute.value {
        Value::Text(text) => format!("{name}={}", escape(text)),
        Value::Other(der) => format!("{name}=#{}", hex(der)),
    }
}

fn escape(text: &str) -> String {
    let last = text.chars().count().saturating_sub(1);
    let mut escaped = String::with_capacity(text.len());
    for (at, character) in text.chars().enumerate() {
        let special = "\"+,;<>\\".contains(character)
            || (at == 0 && character == '#')
            || ((at == 0 || at == last) && character == ' ');
        if special {
            escaped.push('\\');
        }
        if character.is_control() {
            let mut bytes = [0; 4];
            for byte in character.encode_utf8(&mut bytes).bytes() {
                escaped.push_str(&format!("\\{byte:02x}"));
            }
        } else {
            escaped.push(character);
        }
    }
    escaped
}
