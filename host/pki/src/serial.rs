//! Serial numbers: 127 random bits, so that none repeats and none can be foreseen (RFC 5280 §4.1.2.2; BR §7.1).

use crate::digest::hex;
use crate::key::KeyError;
use aws_lc_rs::rand;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// A serial number of ours: 16 bytes, positive, the first not zero, so that it has one text everywhere.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SerialNumber([u8; 16]);

/// A text or bytes that are no serial number of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a serial number has 32 hexadecimal digits, of which the first two are 01 to 7f")]
pub struct InvalidSerial;

impl SerialNumber {
    /// Draws one.
    ///
    /// # Errors
    /// [`KeyError::Failed`]: the system gives no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        loop {
            let mut bytes = [0; 16];
            rand::fill(&mut bytes).map_err(|_| KeyError::Failed)?;
            bytes[0] &= 0x7f;
            // One in 128 is drawn again.
            if let Ok(serial) = Self::from_bytes(bytes) {
                return Ok(serial);
            }
        }
    }

    /// From bytes, high first.
    ///
    /// # Errors
    /// [`InvalidSerial`] if the first byte isn't 1 to 127.
    pub fn from_bytes(bytes: [u8; 16]) -> Result<Self, InvalidSerial> {
        if (1..0x80).contains(&bytes[0]) { Ok(Self(bytes)) } else { Err(InvalidSerial) }
    }

    /// The bytes, high first: the content of the DER integer.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SerialNumber({self})")
    }
}

impl FromStr for SerialNumber {
    type Err = InvalidSerial;

    /// 32 hexadecimal digits of either case.
    fn from_str(text: &str) -> Result<Self, InvalidSerial> {
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(InvalidSerial);
        }
        let number = u128::from_str_radix(text, 16).map_err(|_| InvalidSerial)?;
        Self::from_bytes(number.to_be_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn serials_differ_and_have_one_text() {
        let serials: HashSet<SerialNumber> = (0..10_000).map(|_| SerialNumber::generate().unwrap()).collect();
        assert_eq!(serials.len(), 10_000);
        for serial in serials.iter().take(100) {
            assert_eq!(serial.to_string().len(), 32);
            assert_eq!(serial.to_string().to_uppercase().parse(), Ok(*serial));
        }
        for text in
            ["", "00000000000000000000000000000001", "80000000000000000000000000000001", &"1".repeat(33)]
        {
            assert_eq!(text.parse::<SerialNumber>(), Err(InvalidSerial), "{text}");
        }
        assert!("+1000000000000000000000000000001".parse::<SerialNumber>().is_err());
    }
}
