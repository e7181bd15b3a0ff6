//! Private keys at rest: EncryptedPrivateKeyInfo with PBES2 (RFC 8018 §6.2), scrypt (RFC 7914 §7) and AES-256-CBC.
//!
//! `openssl pkcs8` reads what is written, and so a root key can be taken off the machine with common tools. PBKDF2 is
//! read too, because that is what OpenSSL writes unless told otherwise. The parameters come from the file, so they have
//! limits: a file can't make the node use gigabytes.

use super::KeyError;
use crate::der::{Reader, oid, tag, to_vec};
use aws_lc_rs::cipher::{
    AES_256, AES_256_KEY_LEN, DecryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey,
    UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{pbkdf2, rand};
use std::num::NonZeroU32;
use zeroize::Zeroizing;

/// log2 of scrypt's N, r and p: 16 MiB, the most that OpenSSL takes without being told to.
const SCRYPT: (u8, u32, u32) = (14, 8, 1);
/// The most memory that a file may ask for (128 · r · (N + p)), in bytes, and the most lanes.
const MAX_SCRYPT_BYTES: u64 = 64 << 20;
const MAX_SCRYPT_LANES: u64 = 16;
/// The most rounds of PBKDF2 that a file may ask for; OpenSSL 3 writes 2048.
const MAX_ROUNDS: u64 = 10_000_000;

type Key = Zeroizing<[u8; AES_256_KEY_LEN]>;

/// Encrypts a PKCS #8 key.
pub(super) fn seal(pkcs8: &[u8], passphrase: &[u8]) -> Result<Vec<u8>, KeyError> {
    let mut salt = [0; 16];
    rand::fill(&mut salt).map_err(|_| KeyError::Failed)?;
    let (log_n, r, p) = SCRYPT;
    let key = scrypt_key(passphrase, &salt, log_n, r, p)?;
    let key = UnboundCipherKey::new(&AES_256, &key[..]).and_then(PaddedBlockEncryptingKey::cbc_pkcs7);
    // Exact, so that the plain key isn't left behind when padding makes it grow.
    let mut sealed = Zeroizing::new(Vec::with_capacity(pkcs8.len() + 16));
    sealed.extend_from_slice(pkcs8);
    let context = key.and_then(|key| key.encrypt::<Vec<u8>>(&mut sealed)).map_err(|_| KeyError::Failed)?;
    let iv: &[u8] = (&context).try_into().map_err(|_| KeyError::Failed)?;
    Ok(to_vec(|w| {
        w.sequence(|w| {
            w.sequence(|w| {
                w.oid(oid::PBES2);
                w.sequence(|w| {
                    w.sequence(|w| {
                        w.oid(oid::SCRYPT);
                        w.sequence(|w| {
                            w.element(tag::OCTET_STRING, &salt);
                            w.number(1 << log_n);
                            w.number(r.into());
                            w.number(p.into());
                        });
                    });
                    w.sequence(|w| {
                        w.oid(oid::AES256_CBC);
                        w.element(tag::OCTET_STRING, iv);
                    });
                });
            });
            w.element(tag::OCTET_STRING, &sealed);
        });
    }))
}

/// Decrypts to a PKCS #8 key, or to noise.
pub(super) fn open(sealed: &[u8], passphrase: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let mut reader = Reader::only(sealed, tag::SEQUENCE)?;
    let mut scheme = reader.sequence()?;
    let mut data = Zeroizing::new(reader.expect(tag::OCTET_STRING)?.to_vec());
    reader.end()?;
    if scheme.oid()? != oid::PBES2 {
        return Err(KeyError::Encryption("it is not PBES2"));
    }
    let mut parameters = scheme.sequence()?;
    let key = derive(parameters.sequence()?, passphrase)?;
    let mut cipher = parameters.sequence()?;
    if cipher.oid()? != oid::AES256_CBC {
        return Err(KeyError::Encryption("its cipher is not AES-256-CBC"));
    }
    let iv: [u8; 16] = cipher
        .expect(tag::OCTET_STRING)?
        .try_into()
        .map_err(|_| KeyError::Encryption("its IV has not 16 bytes"))?;
    let key = UnboundCipherKey::new(&AES_256, &key[..]).and_then(PaddedBlockDecryptingKey::cbc_pkcs7);
    let key = key.map_err(|_| KeyError::Failed)?;
    let opened = key.decrypt(&mut data, DecryptionContext::Iv128(FixedLength::from(iv)));
    let length = opened.map_err(|_| KeyError::Passphrase)?.len();
    data.truncate(length);
    Ok(data)
}

fn derive(mut function: Reader<'_>, passphrase: &[u8]) -> Result<Key, KeyError> {
    let id = function.oid()?;
    let mut parameters = function.sequence()?;
    let salt = parameters.expect(tag::OCTET_STRING)?;
    match id {
        oid::SCRYPT => {
            let (n, r, p) = (parameters.number()?, parameters.number()?, parameters.number()?);
            let within = n.is_power_of_two()
                && n > 1
                && p <= MAX_SCRYPT_LANES
                && n.checked_add(p)
                    .and_then(|it| it.checked_mul(r))
                    .and_then(|it| it.checked_mul(128))
                    .is_some_and(|it| it <= MAX_SCRYPT_BYTES);
            let narrow = |number: u64| u32::try_from(number).ok();
            match (u8::try_from(n.trailing_zeros()).ok(), narrow(r), narrow(p)) {
                (Some(log_n), Some(r), Some(p)) if within => scrypt_key(passphrase, salt, log_n, r, p),
                _ => Err(KeyError::Encryption("its scrypt parameters are beyond the limits")),
            }
        }
        oid::PBKDF2 => pbkdf2_key(parameters, passphrase, salt),
        _ => Err(KeyError::Encryption("its key derivation is neither scrypt nor PBKDF2")),
    }
}

fn scrypt_key(passphrase: &[u8], salt: &[u8], log_n: u8, r: u32, p: u32) -> Result<Key, KeyError> {
    let unusable = || KeyError::Encryption("its scrypt parameters are beyond the limits");
    let parameters = scrypt::Params::new(log_n, r, p).map_err(|_| unusable())?;
    let mut key = Key::default();
    scrypt::scrypt(passphrase, salt, &parameters, &mut key[..]).map_err(|_| unusable())?;
    Ok(key)
}

fn pbkdf2_key(mut parameters: Reader<'_>, passphrase: &[u8], salt: &[u8]) -> Result<Key, KeyError> {
    let rounds = parameters.number()?;
    let rounds = u32::try_from(rounds).ok().filter(|_| rounds <= MAX_ROUNDS).and_then(NonZeroU32::new);
    let rounds = rounds.ok_or(KeyError::Encryption("its rounds of PBKDF2 are beyond the limits"))?;
    parameters.optional(tag::INTEGER)?;
    let function = if parameters.is_empty() {
        // The default of RFC 8018 §5.2; HMAC is not harmed by SHA-1's collisions.
        pbkdf2::PBKDF2_HMAC_SHA1
    } else {
        match parameters.sequence()?.oid()? {
            oid::HMAC_SHA256 => pbkdf2::PBKDF2_HMAC_SHA256,
            oid::HMAC_SHA384 => pbkdf2::PBKDF2_HMAC_SHA384,
            oid::HMAC_SHA512 => pbkdf2::PBKDF2_HMAC_SHA512,
            _ => return Err(KeyError::Encryption("its PBKDF2 has an unknown function")),
        }
    };
    let mut key = Key::default();
    pbkdf2::derive(function, rounds, salt, passphrase, &mut key[..]);
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(n: u64, r: u64, p: u64) -> Vec<u8> {
        to_vec(|w| {
            w.sequence(|w| {
                w.sequence(|w| {
                    w.oid(oid::PBES2);
                    w.sequence(|w| {
                        w.sequence(|w| {
                            w.oid(oid::SCRYPT);
                            w.sequence(|w| {
                                w.element(tag::OCTET_STRING, &[7; 16]);
                                [n, r, p].into_iter().for_each(|number| w.number(number));
                            });
                        });
                        w.sequence(|w| {
                            w.oid(oid::AES256_CBC);
                            w.element(tag::OCTET_STRING, &[7; 16]);
                        });
                    });
                });
                w.element(tag::OCTET_STRING, &[7; 48]);
            });
        })
    }

    #[test]
    fn a_file_can_not_ask_for_gigabytes_or_hours() {
        let beyond = KeyError::Encryption("its scrypt parameters are beyond the limits");
        for (n, r, p) in [
            (1 << 20, 8, 1),
            (1 << 14, 1 << 20, 1),
            (1 << 14, 8, 17),
            // Little for each lane, and half a gigabyte for all of them.
            (2, 1 << 18, 16),
            (1 << 63, u64::MAX, 1),
            (1000, 8, 1),
            (1, 8, 1),
            (0, 8, 1),
            (2, 0, 1),
            (2, 8, 0),
        ] {
            assert_eq!(open(&sealed(n, r, p), b"x").unwrap_err(), beyond, "{n} {r} {p}");
        }
        assert_eq!(open(&sealed(2, 8, 1), b"x").unwrap_err(), KeyError::Passphrase);
    }
}
