//! A zone file's entries: lines, or several of them in parentheses, without their comments.

use crate::record::{Token, token};

/// One entry.
pub(super) struct Entry {
    /// Where it begins, from 1.
    pub(super) line: usize,
    /// Whether it begins with white space: its owner is the one before.
    pub(super) continued: bool,
    pub(super) words: Vec<Token>,
}

pub(super) struct Entries<'t> {
    rest: &'t str,
    line: usize,
}

impl<'t> Entries<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { rest: text, line: 1 }
    }

    /// The next entry that has words; the line and the reason where there is none to be made out.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, (usize, &'static str)> {
        loop {
            if self.rest.is_empty() {
                return Ok(None);
            }
            let entry = self.entry()?;
            if !entry.words.is_empty() {
                return Ok(Some(entry));
            }
        }
    }

    fn entry(&mut self) -> Result<Entry, (usize, &'static str)> {
        let line = self.line;
        let mut entry = Entry { line, continued: self.rest.starts_with([' ', '\t']), words: Vec::new() };
        let mut depth = 0_usize;
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\x0c']);
            let Some(c) = self.rest.chars().next() else { break };
            match c {
                '\n' => {
                    self.rest = &self.rest[1..];
                    self.line += 1;
                    if depth == 0 {
                        return Ok(entry);
                    }
                }
                ';' => {
                    let end = self.rest.find('\n').unwrap_or(self.rest.len());
                    self.rest = &self.rest[end..];
                }
                '(' => {
                    depth += 1;
                    self.rest = &self.rest[1..];
                }
                ')' => {
                    depth =
                        depth.checked_sub(1).ok_or((line, "a parenthesis is closed that wasn't opened"))?;
                    self.rest = &self.rest[1..];
                }
                _ => {
                    let (word, after) = token(self.rest).ok_or((line, "a quoted string has no end"))?;
                    if word.text.contains('\n') {
                        return Err((line, "a quoted string has no end in its line"));
                    }
                    entry.words.push(word);
                    self.rest = after;
                }
            }
        }
        if depth > 0 {
            return Err((line, "a parenthesis is never closed"));
        }
        Ok(entry)
    }
}
