//! References: `registry/repository:tag`, `registry/repository@sha256:…`.
//!
//! The grammar is the distribution project's (distribution/reference), less what would be guessed: the registry must be
//! named. A short name such as `busybox` means another place for every tool, and for a node that pulls code it must mean
//! one. Nothing of a reference reaches a URL unchecked.

use hypermesh_model::BlobDigest;
use std::fmt;
use std::net::IpAddr;
use thiserror::Error;

/// Longest repository, in characters (distribution/reference).
const MAX_REPOSITORY: usize = 255;
/// Longest tag, in characters (OCI Distribution Specification 1.1, "Pulling manifests").
const MAX_TAG: usize = 128;
/// Longest registry, in characters: a domain name (RFC 1035, 2.3.4) and a port.
const MAX_REGISTRY: usize = 261;

/// Where an artifact is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    registry: String,
    repository: String,
    target: Option<Target>,
}

/// Which artifact of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// What this tag points to now.
    Tag(String),
    /// The manifest with this SHA-256.
    Digest(BlobDigest),
}

/// A text that is no reference.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is no reference: {why}; write registry/repository:tag, e.g. ghcr.io/acme/hash-files:1.2.0")]
pub struct InvalidReference {
    /// What was given, cut to 80 characters.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Reference {
    /// Parses a reference. With tag and digest the digest counts, as everywhere.
    ///
    /// # Errors
    /// [`InvalidReference`].
    pub fn parse(text: &str) -> Result<Self, InvalidReference> {
        let wrong = |why| InvalidReference { text: text.chars().take(80).collect(), why };
        let (registry, rest) = text.split_once('/').ok_or_else(|| wrong("it names no registry"))?;
        if !is_registry(registry) {
            return Err(wrong("it does not begin with the name of a registry"));
        }
        let (rest, digest) = match rest.split_once('@') {
            None => (rest, None),
            Some((rest, digest)) => {
                let hex = digest.strip_prefix("sha256:").and_then(|hex| BlobDigest::parse(hex).ok());
                (rest, Some(hex.ok_or_else(|| wrong("its digest is no sha256:…"))?))
            }
        };
        let (repository, tag) = rest.split_once(':').map_or((rest, None), |(r, tag)| (r, Some(tag)));
        if repository.len() > MAX_REPOSITORY || !repository.split('/').all(is_path_component) {
            return Err(wrong("its repository is not of a-z, 0-9, '.', '_' and '-' between slashes"));
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(wrong("its tag is not of letters, digits, '.', '_' and '-'"));
        }
        let target = digest.map(Target::Digest).or_else(|| tag.map(|tag| Target::Tag(tag.to_owned())));
        Ok(Self { registry: registry.to_ascii_lowercase(), repository: repository.to_owned(), target })
    }

    /// The registry, with its port where it was given.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository below the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// `registry/repository`, without tag or digest.
    pub fn place(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Which artifact; `None` when the reference does not say.
    pub fn target(&self) -> Option<&Target> {
        self.target.as_ref()
    }

    /// The same repository, and there this artifact.
    #[must_use]
    pub fn with_target(&self, target: Target) -> Self {
        Self { target: Some(target), ..self.clone() }
    }

    /// Whether the registry is on this machine: a loopback address, or `localhost`, which is one (RFC 6761, 6.3).
    pub fn is_loopback(&self) -> bool {
        is_loopback(host_of(&self.registry))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        match &self.target {
            None => Ok(()),
            Some(Target::Tag(tag)) => write!(f, ":{tag}"),
            Some(Target::Digest(digest)) => write!(f, "@sha256:{digest}"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => write!(f, "sha256:{digest}"),
        }
    }
}

/// Whether a host is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// A registry without its port.
fn host_of(registry: &str) -> &str {
    match registry.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => registry,
    }
}

/// `host[:port]`, where the host has a dot or a port or is `localhost`: what tells it from a path.
pub(crate) fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_port =
        |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|n| n > 0);
    let v6 = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let is_label = |label: &str| {
        let bytes = label.as_bytes();
        !label.is_empty()
            && label.len() <= 63
            && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_host = match v6 {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(is_label),
    };
    let is_named = host.contains('.') || v6.is_some() || port.is_some() || host == "localhost";
    text.len() <= MAX_REGISTRY && is_host && is_named && port.is_none_or(is_port)
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_component(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = text.bytes().next().is_some_and(is_word) && text.bytes().next_back().is_some_and(is_word);
    let separators = text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    ends && separators
        .filter(|s| !s.is_empty())
        .all(|s| matches!(s, "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
}

pub(crate) fn is_tag(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=MAX_TAG).contains(&text.len())
        && text.bytes().next().is_some_and(is_word)
        && text.bytes().all(|b| is_word(b) || b == b'.' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_tools_write_is_read() {
        let parse = |text: &str| Reference::parse(text).unwrap();
        let full = parse("ghcr.io/acme/hash-files:1.2.0-rc.1");
        assert_eq!((full.registry(), full.repository()), ("ghcr.io", "acme/hash-files"));
        assert_eq!(full.target(), Some(&Target::Tag("1.2.0-rc.1".into())));
        assert_eq!(parse("localhost:5000/a").target(), None);
        let digest = "0".repeat(64);
        let both = parse(&format!("R.example:443/a__b/c:latest@sha256:{digest}"));
        assert_eq!(both.to_string(), format!("r.example:443/a__b/c@sha256:{digest}"));
        assert!(parse("127.0.0.1:5000/a").is_loopback() && parse("[::1]:5000/a").is_loopback());
        assert!(parse("localhost/a").is_loopback());
        assert!(!parse("localhost.example/a").is_loopback() && !parse("10.0.0.1/a").is_loopback());
    }

    #[test]
    fn what_would_be_guessed_or_escapes_is_refused() {
        for bad in [
            "",
            "busybox",
            "library/busybox",
            "/a",
            "a.b/",
            "a.b//c",
            "a.b/../c",
            "a.b/A",
            "a.b/a:",
            "a.b/a@sha256:0",
            "a.b/a@md5:0",
            "a.b/a b",
            "a.b/a?x=1",
            "a.b/a#x",
            "http://a.b/c",
            "user@a.b/c",
            "a.b:0/c",
            "a.b:99999/c",
            "a.b:+80/c",
            "-a.b/c",
            "a..b/c",
            "[::1/c",
            "a.b/c%2f",
            "a.b/.c",
            "a.b/c-",
            "a.b/a:.x",
            "a.b/a___b",
        ] {
            assert!(Reference::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_what_is_read_reads_again(text in "[a-z0-9.:/@_\\[\\]-]{0,40}|\\PC{0,40}") {
            if let Ok(reference) = Reference::parse(&text) {
                prop_assert_eq!(Reference::parse(&reference.to_string()), Ok(reference));
            }
        }

        #[test]
        fn the_grammar_is_taken(
            host in "[a-z0-9]{1,8}\\.[a-z]{2,5}(:[1-9][0-9]{0,3})?",
            path in "[a-z0-9]{1,5}(([._]|__|-{1,3})[a-z0-9]{1,5}){0,2}(/[a-z0-9]{1,5}){0,2}",
            tag in "[A-Za-z0-9_][A-Za-z0-9._-]{0,20}",
        ) {
            let text = format!("{host}/{path}:{tag}");
            prop_assert_eq!(Reference::parse(&text).unwrap().to_string(), text);
        }
    }
}
