//! Signed tree heads (RFC 6962 §3.5), and the same as a checkpoint: a note of c2sp.org/tlog-checkpoint, signed as
//! static-ct-api says. Either can be made from the other without the private key.

use crate::codec::{Reader, put_uint};
use crate::merkle::{Hash, sha256_of};
use crate::sign::{LogKey, SignError, SignatureError, Signer, digitally_signed};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

/// Longest origin, so that a note fits its place on disk.
pub const MAX_ORIGIN_BYTES: usize = 100;

/// `SignatureType` tree_hash.
const TREE_HASH: u8 = 1;

/// The type of note signature that is an RFC 6962 tree head (c2sp.org/signed-note).
const RFC_6962_SIGNATURE: u8 = 0x05;

/// What the log says of itself at some time: how large it is and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedTreeHead {
    /// Entries.
    pub size: u64,
    /// When, in milliseconds since 1970; not before any timestamp of an entry in it.
    pub timestamp_ms: u64,
    /// The root over all entries.
    pub root: Hash,
    /// A `DigitallySigned` over a `TreeHeadSignature`: `tree_head_signature` of `get-sth`.
    pub signature: Vec<u8>,
}

/// Why a text is not a checkpoint of the log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoteError {
    /// An origin that can't be the name of a key.
    #[error("an origin has 1 to {MAX_ORIGIN_BYTES} visible ASCII characters, none of them `+`")]
    BadOrigin,
    /// Not a checkpoint's form.
    #[error("the note is no checkpoint: {0}")]
    Malformed(&'static str),
    /// Another log's.
    #[error("the checkpoint is of `{0}`")]
    OtherOrigin(String),
    /// No signature by this key.
    #[error("the checkpoint has no signature of this log's key")]
    Unsigned,
    /// The signature is wrong.
    #[error("the checkpoint's signature does not hold")]
    Signature(#[source] SignatureError),
}

impl SignedTreeHead {
    /// Signs a head. Only for entries that are on disk.
    pub(crate) fn sign(
        signer: &dyn Signer,
        size: u64,
        timestamp_ms: u64,
        root: Hash,
    ) -> Result<Self, SignError> {
        let signature = digitally_signed(&signer.sign(&message(size, timestamp_ms, &root))?);
        Ok(Self { size, timestamp_ms, root, signature })
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify(&self, key: &LogKey) -> Result<(), SignatureError> {
        key.verify(&message(self.size, self.timestamp_ms, &self.root), &self.signature)
    }

    /// As a checkpoint.
    pub fn to_note(&self, origin: &str, log_id: &Hash) -> String {
        let mut body = key_id(origin, log_id).to_vec();
        put_uint(&mut body, self.timestamp_ms, 8);
        body.extend_from_slice(&self.signature);
        let (root, body) = (STANDARD.encode(self.root), STANDARD.encode(body));
        format!("{origin}\n{}\n{root}\n\n\u{2014} {origin} {body}\n", self.size)
    }

    /// From a checkpoint. Signatures of others below it are skipped, as the specification asks.
    ///
    /// # Errors
    /// [`NoteError`].
    pub fn from_note(note: &str, origin: &str, key: &LogKey) -> Result<Self, NoteError> {
        let (text, signatures) =
            note.split_once("\n\n").ok_or(NoteError::Malformed("it has no signatures"))?;
        let lines: Vec<_> = text.split('\n').collect();
        let [named, size, root] = lines[..] else {
            return Err(NoteError::Malformed("its text has not three lines"));
        };
        if named != origin {
            return Err(NoteError::OtherOrigin(named.chars().take(MAX_ORIGIN_BYTES).collect()));
        }
        let size = decimal(size).ok_or(NoteError::Malformed("its size is no number"))?;
        let root = STANDARD.decode(root).ok().and_then(|root| root.try_into().ok());
        let root = root.ok_or(NoteError::Malformed("its root is no hash"))?;
        let signatures = signatures.strip_suffix('\n').ok_or(NoteError::Malformed("its end is missing"))?;
        let id = key_id(origin, key.id());
        let ours = signatures.split('\n').find_map(|line| signature(line, origin, id));
        let (timestamp_ms, signature) = ours.ok_or(NoteError::Unsigned)?;
        let head = Self { size, timestamp_ms, root, signature };
        head.verify(key).map_err(NoteError::Signature)?;
        Ok(head)
    }
}

/// Whether an origin can be the name of a key in a note, and fits.
pub(crate) fn check_origin(origin: &str) -> Result<(), NoteError> {
    let plain = origin.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'+');
    if plain && (1..=MAX_ORIGIN_BYTES).contains(&origin.len()) { Ok(()) } else { Err(NoteError::BadOrigin) }
}

/// `TreeHeadSignature`: version v1, the type of signature, timestamp, size, root.
fn message(size: u64, timestamp_ms: u64, root: &Hash) -> Vec<u8> {
    let mut message = vec![0, TREE_HASH];
    put_uint(&mut message, timestamp_ms, 8);
    put_uint(&mut message, size, 8);
    message.extend_from_slice(root);
    message
}

fn key_id(origin: &str, log_id: &Hash) -> [u8; 4] {
    let hash = sha256_of(&[origin.as_bytes(), b"\n", &[RFC_6962_SIGNATURE], log_id]);
    [hash[0], hash[1], hash[2], hash[3]]
}

/// Timestamp and `DigitallySigned` of a line, if it is of this name and key.
fn signature(line: &str, origin: &str, id: [u8; 4]) -> Option<(u64, Vec<u8>)> {
    let (name, body) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    let body = STANDARD.decode(body).ok().filter(|_| name == origin)?;
    let mut reader = Reader::new(&body);
    if reader.array()? != id {
        return None;
    }
    Some((reader.uint(8)?, reader.rest().to_vec()))
}

fn decimal(text: &str) -> Option<u64> {
    let number = text.parse::<u64>().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::memory::MemoryKey;

    const ORIGIN: &str = "hypermesh.network/log";

    fn signed(size: u64) -> (SignedTreeHead, LogKey) {
        let signer = MemoryKey::generate();
        let key = LogKey::from_spki_der(signer.spki_der()).unwrap();
        (SignedTreeHead::sign(&signer, size, 1_700_000_000_000, [7; 32]).unwrap(), key)
    }

    #[test]
    fn a_checkpoint_is_read_as_it_was_written() {
        for size in [0, 1, u64::MAX] {
            let (head, key) = signed(size);
            let note = head.to_note(ORIGIN, key.id());
            assert_eq!(SignedTreeHead::from_note(&note, ORIGIN, &key).unwrap(), head);
            let lines: Vec<_> = note.lines().collect();
            assert_eq!(&lines[..2], [ORIGIN, &size.to_string()]);
            assert!(
                lines[3].is_empty()
                    && lines[4].starts_with(&format!("\u{2014} {ORIGIN} "))
                    && note.ends_with('\n')
            );
        }
    }

    #[test]
    fn signatures_of_witnesses_are_skipped() {
        let (head, key) = signed(5);
        let note = head.to_note(ORIGIN, key.id());
        let (text, ours) = note.split_once("\n\n").unwrap();
        let other = "\u{2014} witness.example AAAAAAAA\n\u{2014} junk";
        let both = format!("{text}\n\n{other}\n{ours}");
        assert_eq!(SignedTreeHead::from_note(&both, ORIGIN, &key).unwrap(), head);
        let none = format!("{text}\n\n{other}\n");
        assert_eq!(SignedTreeHead::from_note(&none, ORIGIN, &key), Err(NoteError::Unsigned));
    }

    #[test]
    fn a_checkpoint_is_bound_to_origin_key_and_every_character() {
        let (head, key) = signed(5);
        let note = head.to_note(ORIGIN, key.id());
        for at in 0..note.len() {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1;
            if let Ok(changed) = String::from_utf8(bytes) {
                assert!(SignedTreeHead::from_note(&changed, ORIGIN, &key).is_err(), "at {at}");
            }
            if note.is_char_boundary(at) {
                assert!(SignedTreeHead::from_note(&note[..at], ORIGIN, &key).is_err(), "cut at {at}");
            }
        }
        let other = SignedTreeHead::from_note(&note, "elsewhere", &key);
        assert_eq!(other, Err(NoteError::OtherOrigin(ORIGIN.into())));
        assert_eq!(SignedTreeHead::from_note(&note, ORIGIN, &signed(5).1), Err(NoteError::Unsigned));
        let padded = note.replacen("\n5\n", "\n05\n", 1);
        assert!(matches!(SignedTreeHead::from_note(&padded, ORIGIN, &key), Err(NoteError::Malformed(_))));
    }

    #[test]
    fn origins_that_no_note_can_carry_are_refused() {
        check_origin(ORIGIN).unwrap();
        for origin in ["", "a b", "a+b", "a\nb", "ä", &"a".repeat(MAX_ORIGIN_BYTES + 1)] {
            assert_eq!(check_origin(origin), Err(NoteError::BadOrigin), "{origin:?}");
        }
    }
}
