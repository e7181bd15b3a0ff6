//! Tokens: who may write, and as what.
//!
//! A token is 256 random bits, shown once. What is kept is its SHA-256 (FIPS 180-4): a slow hash would protect guessable
//! secrets, and these are none. What a role allows is the edge's business; here a token is only turned into its holder.
//! The name is the subject of everything that is done with it, so a revoked name that is given out again holds what it
//! held before.

use crate::Mesh;
use crate::error::MeshError;
use hypermesh_model::{InvalidId, Subject, Timestamp};
use hypermesh_store::{ABSENT, Batch, Record, StoreError};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use subtle::ConstantTimeEq;

/// Bytes of randomness: 256 bits.
const TOKEN_BYTES: usize = 32;
/// Tokens of one node: each is compared with at every write that does not come from the node's own.
pub const MAX_TOKENS: usize = 256;
/// Names that mean something already: the holder of the token file, and the node's own doings.
const RESERVED: [&str; 2] = ["admin", "hypermesh"];

/// What the holder of a token may do; the edge has the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Leases, executes, uploads; changes and ends what it holds itself.
    Operator,
    /// Everything.
    Admin,
}

/// A token without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenView {
    /// Who holds it.
    pub name: Subject,
    /// What it allows.
    pub role: Role,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What is kept of a token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TokenRecord {
    name: Subject,
    role: Role,
    /// SHA-256 of the token's text, hexadecimal.
    digest: String,
    created_at: Timestamp,
}

impl Record for TokenRecord {
    const TABLE: &'static str = "tokens";
    type Key = Subject;
    fn key(&self) -> Subject {
        self.name.clone()
    }
}

impl TokenRecord {
    /// In a time that tells nothing of where the two differ.
    fn is_of(&self, digest: &str) -> bool {
        self.digest.as_bytes().ct_eq(digest.as_bytes()).into()
    }

    fn view(self) -> TokenView {
        TokenView { name: self.name, role: self.role, created_at: self.created_at }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn digest(token: &[u8]) -> String {
    hexadecimal(&Sha256::digest(token))
}

/// A name for a token: as an id, and not one that means something already.
fn name(text: &str) -> Result<Subject, MeshError> {
    // Any id's rules: a subject stands in paths and folders as ids do.
    hypermesh_model::AssetId::parse(text).map_err(|InvalidId { .. }| {
        MeshError::invalid("name", "use 1 to 64 of a-z, 0-9, '-', '_', '.', starting with a letter or digit")
    })?;
    if RESERVED.contains(&text) {
        return Err(MeshError::Conflict { detail: format!("the name `{text}` is the node's own") });
    }
    Ok(Subject(text.to_owned()))
}

impl Mesh {
    /// Makes a token and gives its secret, which is nowhere else from then on.
    ///
    /// # Errors
    /// [`MeshError::Invalid`] for a name that is none; [`MeshError::Conflict`] for one that is taken, and where there are
    /// [`MAX_TOKENS`] already.
    pub async fn create_token(&self, text: &str, role: Role) -> Result<(TokenView, String), MeshError> {
        let name = name(text)?;
        if self.tables.tokens.len() >= MAX_TOKENS {
            let detail = format!("there are {MAX_TOKENS} tokens already; revoke one");
            return Err(MeshError::Conflict { detail });
        }
        let mut random = [0_u8; TOKEN_BYTES];
        getrandom::fill(&mut random).map_err(|e| MeshError::internal("making a token")(Box::new(e)))?;
        let token = hexadecimal(&random);
        let record =
            TokenRecord { name, role, digest: digest(token.as_bytes()), created_at: Timestamp::now() };
        let mut batch = Batch::new();
        batch.put_if(&self.tables.tokens, record.clone(), ABSENT);
        match self.store.commit(batch).await {
            Ok(_) => {}
            Err(StoreError::Conflict { .. }) => {
                let detail = format!("there is a token named `{text}` already; revoke it first");
                return Err(MeshError::Conflict { detail });
            }
            Err(error) => return Err(MeshError::internal("recording a token")(Box::new(error))),
        }
        tracing::info!(name = text, ?role, "a token was made");
        Ok((record.view(), token))
    }

    /// All tokens, by name.
    pub fn tokens(&self) -> Vec<TokenView> {
        self.tables.tokens.all().into_iter().map(TokenRecord::view).collect()
    }

    /// Makes a token worthless. What its holder has stays.
    ///
    /// # Errors
    /// [`MeshError::NotFound`].
    pub async fn revoke_token(&self, name: &Subject) -> Result<(), MeshError> {
        if !self.tables.tokens.contains(name) {
            return Err(MeshError::not_found("token", name));
        }
        let mut batch = Batch::new();
        batch.delete(&self.tables.tokens, name);
        self.commit(batch, "removing a token").await?;
        tracing::info!(%name, "a token was revoked");
        Ok(())
    }

    /// Who holds a token; `None` for a text that is none. Every token is compared, whether or not one was found.
    pub fn authenticate(&self, token: &[u8]) -> Option<(Subject, Role)> {
        if self.tables.tokens.is_empty() {
            return None;
        }
        let digest = digest(token);
        let found = self.tables.tokens.filter(|record| record.is_of(&digest)).pop()?;
        Some((found.name, found.role))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_holds_no_secret_and_knows_its_own() {
        let record = TokenRecord {
            name: Subject("ann".into()),
            role: Role::Operator,
            digest: digest(b"s3cret"),
            created_at: Timestamp::from_millis(0),
        };
        assert!(!serde_json::to_string(&record).unwrap().contains("s3cret"));
        assert!(record.is_of(&digest(b"s3cret")));
        assert!(!record.is_of(&digest(b"s3creT")) && !record.is_of("") && !record.is_of("s3cret"));
    }

    #[test]
    fn names_are_ids_and_the_node_s_own_are_taken() {
        assert_eq!(name("ann.b-2").unwrap(), Subject("ann.b-2".into()));
        for bad in ["", "Ann", "../ann", "a b", &"x".repeat(65)] {
            assert!(matches!(name(bad), Err(MeshError::Invalid { .. })), "{bad}");
        }
        assert!(RESERVED.iter().all(|own| matches!(name(own), Err(MeshError::Conflict { .. }))));
    }
}
