//! Reading a zone file: entry by entry, with owner, time to live and origin carried along.

use super::MAX_FILE;
use super::lines::{Entries, Entry};
use crate::name::{Name, excerpt};
use crate::record::{Record, RecordData, Token, seconds};
use crate::types::RecordType;
use crate::zone::MAX_RECORDS;
use thiserror::Error;

/// A zone file that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {reason}")]
pub struct ImportError {
    /// The line that the entry begins in, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// Reads a zone file. Relative names are below `origin` until the file says otherwise. The records come in their order, the
/// SOA among them; whether they make a zone is [`Zone::build`](crate::Zone::build)'s to say.
///
/// # Errors
/// [`ImportError`] of the first entry that can't be read, has a type that isn't kept here, or includes another file.
pub fn import(text: &str, origin: &Name) -> Result<Vec<Record>, ImportError> {
    if text.len() > MAX_FILE {
        return Err(ImportError { line: 1, reason: format!("the file is longer than {MAX_FILE} octets") });
    }
    let mut entries = Entries::new(text);
    let mut reading = Reading { origin: origin.clone(), owner: None, default: None, last: None };
    let mut records = Vec::new();
    while let Some(entry) =
        entries.next().map_err(|(line, reason)| ImportError { line, reason: reason.to_owned() })?
    {
        let line = entry.line;
        records.extend(reading.entry(&entry).map_err(|reason| ImportError { line, reason })?);
        if records.len() > MAX_RECORDS {
            return Err(ImportError { line, reason: format!("there are more than {MAX_RECORDS} records") });
        }
    }
    Ok(records)
}

struct Reading {
    origin: Name,
    owner: Option<Name>,
    /// What `$TTL` says.
    default: Option<u32>,
    /// The time to live of the record before.
    last: Option<u32>,
}

impl Reading {
    fn entry(&mut self, entry: &Entry) -> Result<Option<Record>, String> {
        let Some((first, rest)) = entry.words.split_first() else { return Ok(None) };
        if !entry.continued && !first.quoted && first.text.starts_with('$') {
            return self.directive(&first.text, rest).map(|()| None);
        }
        let fields = if entry.continued {
            &entry.words[..]
        } else {
            let owner = Name::parse_in(&first.text, &self.origin).map_err(|error| error.to_string())?;
            self.owner = Some(owner);
            rest
        };
        let owner = self.owner.clone().ok_or("the first record needs an owner")?;
        self.record(owner, fields).map(Some)
    }

    fn directive(&mut self, directive: &str, words: &[Token]) -> Result<(), String> {
        let [word] = words else { return Err(format!("{} takes one value", excerpt(directive))) };
        match directive.to_ascii_uppercase().as_str() {
            "$ORIGIN" => {
                self.origin = Name::parse_in(&word.text, &self.origin).map_err(|error| error.to_string())?;
                Ok(())
            }
            "$TTL" => {
                let ttl =
                    seconds(&word.text).ok_or_else(|| format!("`{}` is no time", excerpt(&word.text)))?;
                self.default = Some(ttl);
                Ok(())
            }
            _ => Err(format!("{} is not read here; $ORIGIN and $TTL are", excerpt(directive))),
        }
    }

    /// Time to live and class come in either order before the type, or not at all.
    fn record(&mut self, owner: Name, fields: &[Token]) -> Result<Record, String> {
        let mut rest = fields;
        let mut ttl = None;
        let mut class = false;
        let record_type: RecordType = loop {
            let Some((word, after)) = rest.split_first() else { return Err("the type is missing".into()) };
            rest = after;
            let text = word.text.as_str();
            if !class && text.eq_ignore_ascii_case("IN") {
                class = true;
            } else if ["CH", "HS", "CS"].iter().any(|other| text.eq_ignore_ascii_case(other)) {
                return Err("the class must be IN".into());
            } else if ttl.is_none() && text.starts_with(|c: char| c.is_ascii_digit()) {
                ttl = Some(seconds(text).ok_or_else(|| format!("`{}` is no time", excerpt(text)))?);
            } else {
                break text.parse().map_err(|error: crate::UnknownType| error.to_string())?;
            }
        };
        let data = RecordData::from_tokens(record_type, rest, &self.origin).map_err(|error| error.reason)?;
        // Before RFC 2308 an SOA's minimum was the default, and files without $TTL still mean it so.
        if let RecordData::Soa(soa) = &data {
            self.last = self.last.or(Some(soa.minimum));
        }
        let ttl = ttl.or(self.default).or(self.last);
        let ttl = ttl.ok_or("the time to live is missing: give it here, or by $TTL")?;
        self.last = Some(ttl);
        Record::new(owner, ttl, data).map_err(|error| error.to_string())
    }
}
