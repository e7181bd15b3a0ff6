//! What a registry asks for with a 401 (RFC 9110, 11.6.1; the distribution project's "token authentication").

/// What a registry wants to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// Name and password.
    Basic,
    /// A token that somebody else gives.
    Bearer {
        /// Who: a URL.
        realm: String,
        /// For whom.
        service: Option<String>,
        /// For what.
        scope: Option<String>,
    },
}

/// Reads a `www-authenticate`; `None` for what is not understood. Where there are both, the token is taken.
pub(crate) fn parse(header: &str) -> Option<Challenge> {
    let lower = header.to_ascii_lowercase();
    if let Some(at) = lower.find("bearer ") {
        let parameters = parameters(&header[at + "bearer ".len()..]);
        let get = |name: &str| {
            parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
        };
        return Some(Challenge::Bearer {
            realm: get("realm")?,
            service: get("service"),
            scope: get("scope"),
        });
    }
    lower.trim_start().starts_with("basic").then_some(Challenge::Basic)
}

/// `name="value",name=value`; values have no escapes that mean anything here.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches(|c: char| c == ',' || c.is_whitespace()).to_owned();
        let after = after.trim_start();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        found.push((name, value.trim().to_owned()));
        rest = next;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_registries_ask_for_is_understood() {
        let asked = parse(
            r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#,
        );
        let wanted = Challenge::Bearer {
            realm: "https://auth.docker.io/token".into(),
            service: Some("registry.docker.io".into()),
            scope: Some("repository:a/b:pull,push".into()),
        };
        assert_eq!(asked, Some(wanted));
        assert_eq!(parse("basic realm=\"r\""), Some(Challenge::Basic));
        assert!(
            matches!(parse("Basic realm=\"x\", Bearer realm=y"), Some(Challenge::Bearer { realm, .. }) if realm == "y")
        );
        assert_eq!(parse("Bearer service=\"x\""), None);
        assert_eq!(parse("Negotiate"), None);
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(text in "\\PC{0,80}|[Bb]earer [a-z=\",]{0,60}") {
            let _ = parse(&text);
        }
    }
}
