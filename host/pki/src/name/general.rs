//! Alternative names (RFC 5280 §4.2.1.6): DNS names, addresses, URIs and mailboxes, checked before they are certified.
//!
//! DNS names are lower-case A-labels by letters, digits and hyphens; `*` may be the whole first label and nothing else
//! (RFC 9525 §6.3). Names are unique and bounded in number. Whether somebody may have a name is left to others.

use crate::der::{DerError, Reader, Writer, tag};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use thiserror::Error;

/// Most names of one certificate: what public CAs allow, and a bound on what a client must compare.
pub const MAX_NAMES: usize = 100;

/// Why names can't be certified.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    /// More than [`MAX_NAMES`].
    #[error("there are {0} names; at most {MAX_NAMES} are allowed")]
    TooMany(usize),
    /// Not a DNS name.
    #[error("`{name}` is no DNS name: {why}")]
    Dns {
        /// As it was given, cut.
        name: String,
        /// What is wrong.
        why: &'static str,
    },
    /// Not an absolute URI.
    #[error("`{0}` is no absolute URI in ASCII")]
    Uri(String),
    /// Not a mailbox.
    #[error("`{0}` is no mailbox (`name@host`) in ASCII")]
    Email(String),
}

/// The names of a certificate, each kind in the order given, without repetitions.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Names {
    dns: Vec<String>,
    ips: Vec<IpAddr>,
    uris: Vec<String>,
    emails: Vec<String>,
}

impl Names {
    /// Checks names. DNS names and the hosts of mailboxes become lower case.
    ///
    /// # Errors
    /// [`NameError`] for the first that can't be certified.
    pub fn new(
        dns: Vec<String>,
        ips: Vec<IpAddr>,
        uris: Vec<String>,
        emails: Vec<String>,
    ) -> Result<Self, NameError> {
        let count = dns.len() + ips.len() + uris.len() + emails.len();
        if count > MAX_NAMES {
            return Err(NameError::TooMany(count));
        }
        let dns: Vec<String> = dns.into_iter().map(|name| name.to_ascii_lowercase()).collect();
        let emails: Vec<String> = emails.into_iter().map(lower_host).collect();
        for name in &dns {
            check_dns(name).map_err(|why| NameError::Dns { name: cut(name), why })?;
        }
        if let Some(uri) = uris.iter().find(|uri| !is_uri(uri)) {
            return Err(NameError::Uri(cut(uri)));
        }
        if let Some(email) = emails.iter().find(|email| !is_email(email)) {
            return Err(NameError::Email(cut(email)));
        }
        Ok(Self { dns: unique(dns), ips: unique(ips), uris: unique(uris), emails: unique(emails) })
    }

    /// DNS names alone.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn of_dns<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Result<Self, NameError> {
        Self::new(names.into_iter().map(Into::into).collect(), Vec::new(), Vec::new(), Vec::new())
    }

    /// DNS names: lower case, A-labels, perhaps with a leading `*.`.
    pub fn dns(&self) -> &[String] {
        &self.dns
    }

    /// Addresses.
    pub fn ips(&self) -> &[IpAddr] {
        &self.ips
    }

    /// URIs, e.g. `spiffe://domain/node/7`.
    pub fn uris(&self) -> &[String] {
        &self.uris
    }

    /// Mailboxes.
    pub fn emails(&self) -> &[String] {
        &self.emails
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.dns.len() + self.ips.len() + self.uris.len() + self.emails.len()
    }

    /// Each name as text.
    pub fn texts(&self) -> impl Iterator<Item = String> + '_ {
        let ips = self.ips.iter().map(ToString::to_string);
        self.dns
            .iter()
            .cloned()
            .chain(ips)
            .chain(self.uris.iter().cloned())
            .chain(self.emails.iter().cloned())
    }

    /// The GeneralNames of the extension.
    pub(crate) fn write(&self, w: &mut Writer) {
        w.sequence(|w| {
            self.emails.iter().for_each(|it| w.element(tag::context(1), it.as_bytes()));
            self.dns.iter().for_each(|it| w.element(tag::context(2), it.as_bytes()));
            self.uris.iter().for_each(|it| w.element(tag::context(6), it.as_bytes()));
            for ip in &self.ips {
                match ip {
                    IpAddr::V4(ip) => w.element(tag::context(7), &ip.octets()),
                    IpAddr::V6(ip) => w.element(tag::context(7), &ip.octets()),
                }
            }
        });
    }

    /// Reads GeneralNames as they are, with the number of names of kinds that are not known here.
    pub(crate) fn read(der: &[u8]) -> Result<(Self, usize), DerError> {
        let mut reader = Reader::only(der, tag::SEQUENCE)?;
        let mut names = Self::default();
        let mut others = 0;
        while !reader.is_empty() {
            let element = reader.element()?;
            let text = || {
                let text = std::str::from_utf8(element.content).ok().filter(|text| text.is_ascii());
                text.map(str::to_owned).ok_or(DerError::Value("an alternative name is no ASCII"))
            };
            match element.tag & 0x1f {
                1 if element.tag == tag::context(1) => names.emails.push(text()?),
                2 if element.tag == tag::context(2) => names.dns.push(text()?.to_ascii_lowercase()),
                6 if element.tag == tag::context(6) => names.uris.push(text()?),
                7 if element.tag == tag::context(7) => names.ips.push(address(element.content)?),
                0 | 3 | 4 | 5 | 8 if element.tag & 0xc0 == 0x80 => others += 1,
                _ => return Err(DerError::Value("an alternative name is of no kind that exists")),
            }
        }
        if names.is_empty() && others == 0 {
            return Err(DerError::Value("the alternative names are none"));
        }
        Ok((names, others))
    }
}

fn address(bytes: &[u8]) -> Result<IpAddr, DerError> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|it| IpAddr::V4(Ipv4Addr::from(it)));
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|it| IpAddr::V6(Ipv6Addr::from(it))))
        .map_err(|_| DerError::Value("an address has neither 4 nor 16 bytes"))
}

fn unique<T: Clone + Ord>(values: Vec<T>) -> Vec<T> {
    let mut seen = BTreeSet::new();
    values.into_iter().filter(|value| seen.insert(value.clone())).collect()
}

/// What of a bad name goes into a message.
fn cut(name: &str) -> String {
    name.chars().take(80).collect()
}

/// Whether it is a DNS name that may be certified, in lower case.
pub(crate) fn is_dns_name(name: &str) -> bool {
    check_dns(name).is_ok()
}

fn check_dns(name: &str) -> Result<(), &'static str> {
    if !name.is_ascii() {
        return Err("write it in A-labels (`xn--…`)");
    }
    if name.is_empty() || name.len() > 253 {
        return Err("it has none or more than 253 characters");
    }
    let host = name.strip_prefix("*.").unwrap_or(name);
    if host.contains('*') {
        return Err("`*` may be the whole first label and nothing else");
    }
    if host.len() < name.len() && !host.contains('.') {
        return Err("a wildcard needs two labels after it");
    }
    for label in host.split('.') {
        if label.is_empty() || label.len() > 63 {
            return Err("a label has none or more than 63 characters");
        }
        if !label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
            return Err("labels have letters, digits and hyphens");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err("a label begins or ends with a hyphen");
        }
        if label.get(2..4) == Some("--") && !label.starts_with("xn--") {
            return Err("hyphens in third and fourth place are reserved");
        }
    }
    if host.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err("its last label is a number, as an address has");
    }
    Ok(())
}

fn is_uri(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else { return false };
    let of_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    uri.len() <= 2048
        && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(of_scheme)
        && !rest.is_empty()
        && rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte))
}

fn lower_host(email: String) -> String {
    match email.rsplit_once('@') {
        Some((local, host)) => format!("{local}@{}", host.to_ascii_lowercase()),
        None => email,
    }
}

fn is_email(email: &str) -> bool {
    let Some((local, host)) = email.rsplit_once('@') else { return false };
    let of_local = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte);
    (1..=64).contains(&local.len())
        && local.bytes().all(of_local)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && !host.starts_with('*')
        && is_dns_name(host)
}

/// Whether a certificate's DNS name stands for a host (RFC 9525 §6.3): the same, or `*` for its first label.
pub(crate) fn host_matches(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(base) => host.split_once('.').is_some_and(|(first, rest)| !first.is_empty() && rest == base),
        None => pattern == host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der::to_vec;
    use proptest::prelude::*;

    #[test]
    fn names_that_clients_compare_differently_are_refused() {
        for name in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "-a.b",
            "a-.b",
            "a_b.c",
            "bücher.example",
            "a b.c",
            "*",
            "*.com",
            "a.*.b.c",
            "a*.b.c",
            "*.*.b.c",
            "1.2.3.4",
            "a.1",
            "ab--c.d",
            "a\0b.c",
        ] {
            assert!(Names::of_dns([name]).is_err(), "{name}");
        }
        assert!(Names::of_dns([format!("{}.example", "a".repeat(64))]).is_err());
        assert!(Names::of_dns([["a"; 128].join(".")]).is_err());
        let good =
            Names::of_dns(["A.example", "a.EXAMPLE", "*.n.example", "xn--bcher-kva.example", "localhost"]);
        assert_eq!(good.unwrap().dns(), ["a.example", "*.n.example", "xn--bcher-kva.example", "localhost"]);
    }

    #[test]
    fn uris_mailboxes_and_the_number_of_names_are_checked() {
        let uri = |uri: &str| Names::new(vec![], vec![], vec![uri.into()], vec![]);
        assert!(uri("spiffe://mesh.example/node/7").is_ok());
        for bad in ["", "node", ":x", "1a:b", "spiffe:", "http://ü", "http://a b"] {
            assert!(uri(bad).is_err(), "{bad}");
        }
        let email = |email: &str| Names::new(vec![], vec![], vec![], vec![email.into()]);
        assert_eq!(email("A.b@Example.ORG").unwrap().emails(), ["A.b@example.org"]);
        for bad in ["", "@a.b", "a@", "a b@c.d", "a@*.b.c", "a..b@c.d", "ä@b.c"] {
            assert!(email(bad).is_err(), "{bad}");
        }
        let many = (0..101).map(|number| format!("n{number}.example"));
        assert_eq!(Names::of_dns(many), Err(NameError::TooMany(101)));
    }

    #[test]
    fn a_wildcard_stands_for_one_label() {
        assert!(host_matches("*.a.example", "x.a.example"));
        for host in ["a.example", "x.y.a.example", ".a.example", "xa.example"] {
            assert!(!host_matches("*.a.example", host), "{host}");
        }
        assert!(host_matches("a.example", "a.example") && !host_matches("a.example", "x.a.example"));
    }

    proptest! {
        #[test]
        fn names_come_back(
            labels in proptest::collection::btree_set("[a-z][a-z0-9]{0,9}(\\.[a-z][a-z0-9]{0,9}){0,3}", 1..20),
            v4: [u8; 4], v6: [u8; 16]
        ) {
            let ips = vec![IpAddr::V4(v4.into()), IpAddr::V6(v6.into())];
            let uris = vec!["spiffe://a/b".to_owned()];
            let names = Names::new(labels.into_iter().collect(), ips, uris, vec!["a@b.c".into()]).unwrap();
            prop_assert_eq!(Names::read(&to_vec(|w| names.write(w))), Ok((names, 0)));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Names::read(&bytes);
        }
    }
}
