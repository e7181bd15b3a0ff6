//! The pieces of a text in the form of zone files: words, and strings in quotes (RFC 1035, 5.1).

use crate::name::{InvalidName, octet};

/// A word or a quoted string, its escapes still in place: names need them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// The text, without the quotes.
    pub(crate) text: String,
    /// Whether it was in quotes.
    pub(crate) quoted: bool,
}

impl Token {
    pub(crate) fn word(text: impl Into<String>) -> Self {
        Self { text: text.into(), quoted: false }
    }

    /// The octets of a string, escapes resolved. Characters outside of ASCII are their UTF-8.
    pub(crate) fn octets(&self) -> Result<Vec<u8>, InvalidName> {
        let mut octets = Vec::with_capacity(self.text.len());
        let mut rest = self.text.as_str();
        while let Some(c) = rest.chars().next() {
            if c.is_ascii() {
                let (octet, after) = octet(rest)?;
                octets.push(octet);
                rest = after;
            } else {
                octets.extend_from_slice(&rest.as_bytes()[..c.len_utf8()]);
                rest = &rest[c.len_utf8()..];
            }
        }
        Ok(octets)
    }
}

/// Takes one token off a text that doesn't begin with white space; the rest follows it. `None` for a string without end.
pub(crate) fn token(text: &str) -> Option<(Token, &str)> {
    let quoted = text.starts_with('"');
    let body = if quoted { &text[1..] } else { text };
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if quoted && c == '"' {
            return Some((Token { text: body[..at].to_owned(), quoted }, &body[at + 1..]));
        } else if !quoted && (c.is_ascii_whitespace() || matches!(c, '"' | ';' | '(' | ')')) {
            return Some((Token { text: body[..at].to_owned(), quoted }, &body[at..]));
        }
    }
    (!quoted).then(|| (Token::word(body), ""))
}

/// The tokens of a single line; `None` where a string has no end, or a parenthesis stands outside of one.
pub(crate) fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut found = Vec::new();
    let mut rest = text.trim_ascii_start();
    while !rest.is_empty() && !rest.starts_with(';') {
        if rest.starts_with(['(', ')']) {
            return None;
        }
        let (next, after) = token(rest)?;
        found.push(next);
        rest = after.trim_ascii_start();
    }
    Some(found)
}
