//! What may be built in, by `deny.toml`: licences, bans and sources.
//!
//! The file is cargo-deny's, which checks more (advisories, texts of licences) where it is installed; what is checked
//! here needs nothing but cargo. Panics when the file doesn't have what is read of it.

use crate::metadata::Licensed;
use spdx::{Expression, ParseMode};
use toml::{Table, Value};

/// The only source of dependencies: what is there can't be changed after the fact.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The rules of `deny.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// SPDX identifiers that may be built in.
    pub licences: Vec<String>,
    /// Packages that may not, each with its reason.
    pub bans: Vec<(String, String)>,
}

impl Policy {
    /// Reads `deny.toml`.
    ///
    /// # Panics
    /// See the module.
    pub fn parse(text: &str) -> Self {
        let table: Table = text.parse().expect("deny.toml is TOML");
        let list = |section: &str, member: &str| {
            let list = table.get(section).and_then(|section| section.get(member)).and_then(Value::as_array);
            list.unwrap_or_else(|| panic!("deny.toml has no list `{section}.{member}`")).clone()
        };
        let ban = |entry: &Value| {
            let text = |member: &str| entry.get(member).and_then(Value::as_str).map(str::to_owned);
            (text("crate").expect("a ban names its crate"), text("reason").expect("a ban has its reason"))
        };
        let licence = |entry: &Value| entry.as_str().expect("a licence is a text").to_owned();
        Self {
            licences: list("licenses", "allow").iter().map(licence).collect(),
            bans: list("bans", "deny").iter().map(ban).collect(),
        }
    }

    /// Packages whose licence can't be met with the allowed ones.
    pub fn unlicensed(&self, packages: &[Licensed]) -> Vec<String> {
        let refused = packages.iter().filter_map(|package| {
            let Some(licence) = &package.licence else {
                return Some(format!("{}: says no licence", package.package));
            };
            (!self.allows(licence))
                .then(|| format!("{}: `{licence}` is not allowed by deny.toml", package.package))
        });
        refused.collect()
    }

    /// Packages that are built and banned.
    pub fn banned(&self, built: &[String]) -> Vec<String> {
        let ban = |name: &String| self.bans.iter().find(|(banned, _)| banned == name);
        let finding = |name: &String| Some(format!("`{name}` is banned: {}", ban(name)?.1));
        built.iter().filter_map(finding).collect()
    }

    /// Packages in a lock file that don't come from crates.io.
    ///
    /// # Panics
    /// When the text isn't a lock file.
    pub fn from_elsewhere(&self, lock: &str) -> Vec<String> {
        let table: Table = lock.parse().expect("Cargo.lock is TOML");
        let packages = table.get("package").and_then(Value::as_array).expect("Cargo.lock has packages");
        let mut findings = Vec::new();
        for package in packages {
            let text = |member: &str| package.get(member).and_then(Value::as_str);
            let name = text("name").unwrap_or_default();
            if let Some(source) = text("source").filter(|source| *source != CRATES_IO) {
                findings.push(format!("Cargo.lock: `{name}` is from {source}, not from crates.io"));
            }
        }
        findings
    }

    fn allows(&self, licence: &str) -> bool {
        // Lax: older manifests write `/` for `OR`.
        let Ok(expression) = Expression::parse_mode(licence, ParseMode::LAX) else { return false };
        expression.evaluate(|requirement| self.licences.contains(&requirement.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        Policy::parse(
            r#"
            licenses.allow = ["MIT", "Apache-2.0 WITH LLVM-exception"]
            bans.deny = [{ crate = "bad", reason = "it is bad" }]
            "#,
        )
    }

    #[test]
    fn an_expression_is_met_or_found() {
        let met = [
            "MIT",
            "GPL-3.0-only OR MIT",
            "GPL-3.0/MIT",
            "Apache-2.0 WITH LLVM-exception",
            "MIT AND (MIT OR ISC)",
        ];
        for licence in met {
            assert!(policy().allows(licence), "{licence}");
        }
        for licence in ["GPL-3.0-only", "MIT AND GPL-3.0-only", "Apache-2.0", "nonsense", ""] {
            assert!(!policy().allows(licence), "{licence}");
        }
        let nothing = Licensed { package: "x 1.0.0".into(), licence: None };
        assert_eq!(policy().unlicensed(&[nothing]), ["x 1.0.0: says no licence"]);
    }

    #[test]
    fn a_ban_and_a_foreign_source_are_found() {
        let lock = format!(
            "[[package]]\nname = \"ours\"\n[[package]]\nname = \"good\"\nsource = \"{CRATES_IO}\"\n\
             [[package]]\nname = \"other\"\nsource = \"git+https://example.org\"\n"
        );
        let findings = policy().from_elsewhere(&lock);
        assert!(findings.len() == 1 && findings[0].contains("example.org"), "{findings:?}");
        let built = ["good", "bad"].map(str::to_owned);
        assert_eq!(policy().banned(&built), ["`bad` is banned: it is bad"]);
    }
}
