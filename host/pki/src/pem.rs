//! PEM (RFC 7468): one block, or several of one kind, with text around them ignored.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;
use zeroize::Zeroizing;

/// Characters a line (RFC 7468 §2).
const LINE: usize = 64;

/// Why a text is no PEM of what was expected.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PemError {
    /// Nothing of this kind is in the text.
    #[error("there is no `-----BEGIN {0}-----` in it")]
    Missing(&'static str),
    /// One was asked for.
    #[error("there are {1} `{0}` blocks in it, and one is expected")]
    Several(&'static str, usize),
    /// A block has no end, or something else than base64 in it.
    #[error("the `{0}` block has no end or is no base64")]
    Broken(&'static str),
}

/// The block of these bytes.
pub(crate) fn encode(label: &str, der: &[u8]) -> String {
    let body = Zeroizing::new(STANDARD.encode(der));
    // Exact, so that a private key leaves no copy behind as the text grows.
    let mut text = String::with_capacity(body.len() + body.len() / LINE + 2 * label.len() + 40);
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(LINE.min(rest.len()));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

/// The bytes of the one block of this kind.
pub(crate) fn decode(label: &'static str, text: &str) -> Result<Zeroizing<Vec<u8>>, PemError> {
    let mut blocks = decode_all(label, text)?;
    match (blocks.pop(), blocks.len()) {
        (Some(block), 0) => Ok(block),
        (Some(_), more) => Err(PemError::Several(label, more + 1)),
        (None, _) => Err(PemError::Missing(label)),
    }
}

/// The bytes of every block of this kind, in order; blocks of other kinds are passed over.
pub(crate) fn decode_all(label: &'static str, text: &str) -> Result<Vec<Zeroizing<Vec<u8>>>, PemError> {
    let begin = format!("-----BEGIN {label}-----");
    let end = format!("-----END {label}-----");
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(&begin) {
        let (body, next) = after.split_once(&end).ok_or(PemError::Broken(label))?;
        let mut digits = Zeroizing::new(String::with_capacity(body.len()));
        digits.extend(body.chars().filter(|character| !character.is_ascii_whitespace()));
        let bytes = STANDARD.decode(digits.as_bytes()).map_err(|_| PemError::Broken(label))?;
        blocks.push(Zeroizing::new(bytes));
        rest = next;
    }
    Ok(blocks)
}

/// The block that holds a revocation list, as `openssl crl` reads it.
pub fn crl_pem(der: &[u8]) -> String {
    encode("X509 CRL", der)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_text_without_the_block_with_two_or_with_half_of_one_is_refused() {
        let block = encode("CERTIFICATE", b"x");
        assert_eq!(decode("CERTIFICATE", "text"), Err(PemError::Missing("CERTIFICATE")));
        assert_eq!(
            decode("CERTIFICATE", &format!("{block}{block}")),
            Err(PemError::Several("CERTIFICATE", 2))
        );
        assert_eq!(decode("CERTIFICATE", &block[..40]), Err(PemError::Broken("CERTIFICATE")));
        assert_eq!(
            decode("CERTIFICATE", &block.replace("eA==", "e?==")),
            Err(PemError::Broken("CERTIFICATE"))
        );
    }

    proptest! {
        #[test]
        fn bytes_come_back_with_text_around_them(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let text = format!("Certificate:\r\n{}{}", encode("OTHER", b"y"), encode("THING", &bytes)).replace('\n', "\r\n");
            prop_assert_eq!(&*decode("THING", &text).unwrap(), &bytes);
            prop_assert!(text.lines().all(|line| line.len() <= LINE));
        }
    }
}
