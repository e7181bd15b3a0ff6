//! From text to data: the members of the REST contract, and the fields of zone files.
//!
//! Both end in the same function, so that a record means the same whichever way it came.

use super::{InvalidRecord, RecordData, Soa, Token, check, tokens};
use crate::name::{Name, excerpt};
use crate::types::RecordType;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::str::FromStr;

type Fallible<T> = Result<T, InvalidRecord>;

impl RecordData {
    /// Parses the members of a record of the REST contract. `value` is what a zone file would have; of MX and SRV the
    /// numbers may stand in `priority`, `weight` and `port` instead, and of TXT the text stands as it is unless it begins
    /// with a quotation mark.
    ///
    /// # Errors
    /// [`InvalidRecord`] with the member that is wrong.
    pub fn parse(
        record_type: RecordType,
        value: &str,
        priority: Option<u16>,
        weight: Option<u16>,
        port: Option<u16>,
    ) -> Result<Self, InvalidRecord> {
        let numbers = [("priority", priority), ("weight", weight), ("port", port)];
        if record_type == RecordType::TXT && !value.starts_with('"') {
            none_of(&numbers, record_type)?;
            return Ok(Self::Txt(cut(value)?));
        }
        let words = tokens(value).ok_or_else(|| {
            InvalidRecord::value("a quoted string has no end, or a parenthesis is left over")
        })?;
        let wanted: &[(&str, Option<u16>)] = match record_type {
            RecordType::MX if words.len() == 1 => &numbers[..1],
            RecordType::SRV if words.len() == 1 => &numbers,
            _ => &[],
        };
        none_of(&numbers[wanted.len()..], record_type)?;
        let mut all = Vec::with_capacity(words.len() + wanted.len());
        for (field, number) in wanted {
            let reason = || InvalidRecord::new(field, format!("a record of type {record_type} needs it"));
            all.push(Token::word(number.ok_or_else(reason)?.to_string()));
        }
        all.extend(words);
        Self::from_tokens(record_type, &all, &Name::root())
    }

    /// Parses the data of a record of a zone file. Names without a dot at their end are relative to `origin`.
    pub(crate) fn from_tokens(record_type: RecordType, words: &[Token], origin: &Name) -> Fallible<Self> {
        let mut fields = Fields { record_type, words, origin, at: 0 };
        let data = match record_type {
            RecordType::A => Self::A(fields.parsed("an IPv4 address such as 192.0.2.1")?),
            RecordType::AAAA => Self::Aaaa(fields.parsed("an IPv6 address such as 2001:db8::1")?),
            RecordType::CNAME => Self::Cname(fields.name("the target")?),
            RecordType::NS => Self::Ns(fields.name("the name server")?),
            RecordType::TXT => Self::Txt(fields.strings()?),
            RecordType::MX => {
                let preference = fields.number("priority")?;
                Self::Mx { preference, exchange: fields.name("the mail server")? }
            }
            RecordType::SRV => {
                let [priority, weight, port] =
                    [fields.number("priority")?, fields.number("weight")?, fields.number("port")?];
                Self::Srv { priority, weight, port, target: fields.name("the target")? }
            }
            RecordType::CAA => {
                let flags = fields.parsed("flags from 0 to 255")?;
                let tag = fields.word("a tag such as issue")?.text.to_ascii_lowercase();
                Self::Caa { flags, tag, value: fields.string()? }
            }
            RecordType::TLSA => {
                let usage = fields.parsed("a usage from 0 to 3")?;
                let selector = fields.parsed("a selector, 0 or 1")?;
                let matching = fields.parsed("a matching type from 0 to 2")?;
                Self::Tlsa { usage, selector, matching, data: fields.hex()? }
            }
            RecordType::DS => {
                let key_tag = fields.parsed("a key tag from 0 to 65535")?;
                let algorithm = fields.parsed("an algorithm from 0 to 255")?;
                let digest_type = fields.parsed("a digest type from 0 to 255")?;
                Self::Ds { key_tag, algorithm, digest_type, digest: fields.hex()? }
            }
            RecordType::SOA => Self::Soa(fields.soa()?),
            other => {
                let reason = format!(
                    "records of type {other} aren't kept here; there are A, AAAA, CNAME, TXT, MX, SRV, CAA, TLSA, NS, DS \
                     and SOA"
                );
                return Err(InvalidRecord::new("record_type", reason));
            }
        };
        fields.end()?;
        check::data(&data)?;
        Ok(data)
    }
}

fn none_of(numbers: &[(&'static str, Option<u16>)], record_type: RecordType) -> Fallible<()> {
    match numbers.iter().find(|(_, number)| number.is_some()) {
        None => Ok(()),
        Some((field, _)) => {
            let reason = format!("a record of type {record_type} with this value has none");
            Err(InvalidRecord::new(field, reason))
        }
    }
}

/// Cuts a text into strings of the longest length there is.
fn cut(text: &str) -> Fallible<Vec<Vec<u8>>> {
    let strings: Vec<_> = text.as_bytes().chunks(255).map(<[u8]>::to_vec).collect();
    let strings = if strings.is_empty() { vec![Vec::new()] } else { strings };
    check::strings(&strings)?;
    Ok(strings)
}

/// The fields of a record, taken from left to right.
struct Fields<'a> {
    record_type: RecordType,
    words: &'a [Token],
    origin: &'a Name,
    at: usize,
}

impl<'a> Fields<'a> {
    fn word(&mut self, what: &str) -> Fallible<&'a Token> {
        let missing = || InvalidRecord::value(format!("{} needs {what} here", self.record_type));
        let word = self.words.get(self.at).ok_or_else(missing)?;
        self.at += 1;
        Ok(word)
    }

    fn parsed<T: FromStr>(&mut self, what: &str) -> Fallible<T> {
        let word = self.word(what)?;
        word.text
            .parse()
            .map_err(|_| InvalidRecord::value(format!("`{}` is not {what}", excerpt(&word.text))))
    }

    fn number(&mut self, field: &'static str) -> Fallible<u16> {
        let word = self.word(&format!("a {field}"))?;
        let wrong =
            |_| InvalidRecord::new(field, format!("`{}` is no number up to 65535", excerpt(&word.text)));
        word.text.parse().map_err(wrong)
    }

    fn name(&mut self, what: &str) -> Fallible<Name> {
        let word = self.word(what)?;
        Name::parse_in(&word.text, self.origin)
            .map_err(|error| InvalidRecord::value(format!("{what} is no domain name: {error}")))
    }

    fn string(&mut self) -> Fallible<Vec<u8>> {
        self.word("a string")?.octets().map_err(|error| InvalidRecord::value(error.to_string()))
    }

    fn strings(&mut self) -> Fallible<Vec<Vec<u8>>> {
        let mut strings = vec![self.string()?];
        while self.at < self.words.len() {
            strings.push(self.string()?);
        }
        Ok(strings)
    }

    fn rest(&mut self) -> String {
        let text = self.words[self.at..].iter().map(|word| word.text.as_str()).collect();
        self.at = self.words.len();
        text
    }

    fn hex(&mut self) -> Fallible<Vec<u8>> {
        let text = self.rest();
        let digits: Option<Vec<u8>> = text
            .bytes()
            .map(|b| char::from(b).to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect();
        match digits {
            Some(digits) if !digits.is_empty() && digits.len().is_multiple_of(2) => {
                Ok(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
            }
            _ => {
                Err(InvalidRecord::value(format!("`{}` are no octets in hexadecimal digits", excerpt(&text))))
            }
        }
    }

    fn soa(&mut self) -> Fallible<Soa> {
        Ok(Soa {
            primary: self.name("the primary name server")?,
            mailbox: self.name("the mailbox")?,
            serial: self.parsed("a serial number")?,
            refresh: self.seconds("the refresh time")?,
            retry: self.seconds("the retry time")?,
            expire: self.seconds("the expiry time")?,
            minimum: self.seconds("the time for negative answers")?,
        })
    }

    fn seconds(&mut self, what: &str) -> Fallible<u32> {
        let word = self.word(what)?;
        seconds(&word.text)
            .ok_or_else(|| InvalidRecord::value(format!("{what}, `{}`, is no time", excerpt(&word.text))))
    }

    fn end(&self) -> Fallible<()> {
        match self.words.get(self.at) {
            None => Ok(()),
            Some(word) => {
                let reason = format!("`{}` is left over behind a {}", excerpt(&word.text), self.record_type);
                Err(InvalidRecord::value(reason))
            }
        }
    }
}

/// A time in seconds, or in BIND's units: `1h30m`, `2d`, `1w`.
pub(crate) fn seconds(text: &str) -> Option<u32> {
    let mut total: u32 = 0;
    let mut number: Option<u32> = None;
    for c in text.chars() {
        if let Some(digit) = c.to_digit(10) {
            number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(digit)?);
            continue;
        }
        let unit = match c.to_ascii_lowercase() {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(number.take()?.checked_mul(unit)?)?;
    }
    match number {
        Some(rest) => total.checked_add(rest),
        None => (!text.is_empty()).then_some(total),
    }
}

/// Octets written in base64, as keys are.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Octets in base64.
pub(crate) fn to_base64(octets: &[u8]) -> String {
    STANDARD.encode(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(kind: &str, value: &str) -> Fallible<RecordData> {
        RecordData::parse(kind.parse().unwrap(), value, None, None, None)
    }

    #[test]
    fn every_type_is_read_and_written_back() {
        for (kind, value) in [
            ("A", "192.0.2.1"),
            ("AAAA", "2001:db8::1"),
            ("CNAME", "www.example.org."),
            ("TXT", "v=spf1 -all"),
            ("TXT", "\"two\" \"strings \\\" and \\\\\""),
            ("CAA", "0 issue \"ca.example.net; policy=ev\""),
            ("TLSA", "3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
            ("NS", "ns.example.org."),
            ("DS", "12345 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
            ("SOA", "ns.example.org. admin.example.org. 1 7200 900 1209600 300"),
        ] {
            let data = parse(kind, value).unwrap();
            assert_eq!(data.value(), value, "{kind}");
            assert_eq!(parse(kind, &data.value()), Ok(data), "{kind}");
        }
    }

    #[test]
    fn numbers_of_mx_and_srv_stand_in_members_or_in_the_value() {
        let mx = RecordData::parse(RecordType::MX, "mail.example.org", Some(10), None, None).unwrap();
        assert_eq!(parse("MX", "10 mail.example.org."), Ok(mx.clone()));
        assert_eq!((mx.value().as_str(), mx.priority()), ("mail.example.org.", Some(10)));
        let srv = RecordData::parse(RecordType::SRV, "host.example.org", Some(1), Some(2), Some(3)).unwrap();
        assert_eq!(parse("SRV", "1 2 3 host.example.org"), Ok(srv.clone()));
        assert_eq!((srv.priority(), srv.weight(), srv.port()), (Some(1), Some(2), Some(3)));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_field() {
        let digest = "00".repeat(31);
        for (kind, value, field, reason) in [
            ("A", "1.2.3", "value", "IPv4"),
            ("A", "1.2.3.4 5", "value", "left over"),
            ("AAAA", "1.2.3.4", "value", "IPv6"),
            ("CNAME", "a..b", "value", "empty label"),
            ("MX", "mail.example.org", "priority", "needs it"),
            ("MX", "65536 mail.example.org", "priority", "65535"),
            ("MX", "10 under_score.example.org", "value", "host"),
            ("SRV", "host.example.org", "priority", "needs it"),
            ("CAA", "0 is-sue x", "value", "tag"),
            ("CAA", "7 issue x", "value", "flags"),
            ("TLSA", "4 1 1 00", "value", "usage"),
            ("TLSA", &format!("3 1 1 {digest}"), "value", "32"),
            ("TLSA", "3 1 0 xyz", "value", "hexadecimal"),
            ("NS", "192.0.2.1", "value", "address"),
            ("SOA", "ns.example.org.", "value", "mailbox"),
            ("TXT", "\"open", "value", "no end"),
            ("NSEC", "a.", "record_type", "aren't kept"),
        ] {
            let error = parse(kind, value).unwrap_err();
            assert!(error.field == field && error.reason.contains(reason), "{kind} {value}: {error}");
        }
        let error = RecordData::parse(RecordType::A, "192.0.2.1", Some(1), None, None).unwrap_err();
        assert_eq!(error.field, "priority");
    }

    #[test]
    fn times_have_units() {
        assert_eq!(seconds("1h30m"), Some(5400));
        assert_eq!(seconds("300"), Some(300));
        assert_eq!(seconds("2w"), Some(1_209_600));
        for wrong in ["", "h", "1y", "99999999999", "7102w1w1w1w"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
