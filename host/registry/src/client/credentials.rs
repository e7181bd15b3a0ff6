//! Credentials of registries: from a request, or from a file as `docker login` writes it.
//!
//! They are read when they are needed, never kept, and no `Debug` or error shows them. Programs that the file names
//! (`credHelpers`, `credsStore`) are not run: a node starts no program that a file tells it to.

use crate::error::RegistryError;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Largest file: docker's own are a few KiB.
const MAX_FILE: u64 = 1 << 20;

/// A name and a password or token.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    username: String,
    password: String,
}

impl Credentials {
    /// Wraps them.
    pub fn new(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self { username: username.into(), password: password.into() }
    }

    /// The value of `Authorization` (RFC 7617).
    pub(crate) fn basic(&self) -> String {
        format!("Basic {}", BASE64_STANDARD.encode(format!("{}:{}", self.username, self.password)))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(hidden)")
    }
}

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
}

/// What the file has for a registry.
pub(crate) fn from_file(path: &Path, registry: &str) -> Result<Option<Credentials>, RegistryError> {
    let mut text = String::new();
    let opened = File::open(path).and_then(|file| file.take(MAX_FILE).read_to_string(&mut text));
    opened.map_err(|source| RegistryError::Local { what: "reading the credentials file", source })?;
    find(&text, registry)
}

fn find(text: &str, registry: &str) -> Result<Option<Credentials>, RegistryError> {
    // Not the parser's own error: it may quote what it stumbled over.
    let no_config = || RegistryError::CredentialsFile("it is no JSON of that kind".into());
    let config: DockerConfig = serde_json::from_str(text).map_err(|_| no_config())?;
    let is_for = |key: &str| {
        let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
        let host = bare.split('/').next().unwrap_or_default();
        // What `docker login` writes without a registry.
        host == registry || (registry == "docker.io" && host == "index.docker.io")
    };
    let Some((_, entry)) = config.auths.iter().find(|(key, _)| is_for(key)) else { return Ok(None) };
    if entry.auth.is_empty() {
        let given = !entry.username.is_empty();
        return Ok(given.then(|| Credentials::new(entry.username.clone(), entry.password.clone())));
    }
    let broken = || {
        RegistryError::CredentialsFile(Box::new(io::Error::other("an `auth` is no base64 of name:password")))
    };
    let bytes = BASE64_STANDARD.decode(entry.auth.trim()).map_err(|_| broken())?;
    let pair = String::from_utf8(bytes).map_err(|_| broken())?;
    let (username, password) = pair.split_once(':').ok_or_else(broken)?;
    Ok(Some(Credentials::new(username, password.trim_end_matches('\0'))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_docker_login_wrote_is_found() {
        let text = r#"{"auths":{"r.example:5000":{"auth":"dXNlcjpwYTpzcw=="},
            "https://index.docker.io/v1/":{"username":"u","password":"p"},"empty.example":{}}, "credsStore":"x"}"#;
        let found = |registry: &str| find(text, registry).unwrap();
        assert_eq!(found("r.example:5000"), Some(Credentials::new("user", "pa:ss")));
        assert_eq!(found("docker.io"), Some(Credentials::new("u", "p")));
        assert_eq!(found("empty.example"), None);
        assert_eq!(found("r.example"), None, "another port is another registry");
        assert_eq!(found("r.example:5000").unwrap().basic(), "Basic dXNlcjpwYTpzcw==");
    }

    #[test]
    fn nothing_shows_a_secret() {
        assert_eq!(format!("{:?}", Credentials::new("user", "hunter2")), "Credentials(hidden)");
        for broken in ["{\"auths\":{\"a.b\":{\"auth\":\"hunter2!\"}}}", "hunter2", "{\"auths\":\"hunter2\"}"]
        {
            let error = find(broken, "a.b").unwrap_err();
            assert!(!hypermesh_model::error_chain(&error).contains("hunter2"), "{error:?}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
