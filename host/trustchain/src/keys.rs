//! The folder of private keys: each a file of mode 0600, encrypted with one passphrase (PKCS #8, PBES2 with scrypt and
//! AES-256-CBC, which `openssl pkey` reads).
//!
//! The passphrase comes from a file of the operator's, or one is made beside the keys at the first start. That protects
//! copies and backups of the key files, not a folder that is stolen whole; so it is said which of the two it is. A key may
//! be missing: the root's is made to be taken off the machine. Fails by [`KeyFolderError`], which names files and never
//! shows what is in them.

use crate::files::{self, read_if_there, write_whole};
use hypermesh_pki::{KeyAlgorithm, KeyError, PrivateKey};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use thiserror::Error;
use zeroize::Zeroizing;

/// Bytes of a passphrase that is made here: 256 random bits, written as hexadecimal digits.
const RANDOM: usize = 32;
/// Shortest passphrase that is accepted, bytes.
const SHORTEST: usize = 8;
/// The file of a passphrase that is made here.
const GENERATED: &str = "passphrase";

/// Why the keys can't be used.
#[derive(Debug, Error)]
pub(crate) enum KeyFolderError {
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Others may read what must be secret.
    #[error("{} can be read by others; take their rights with `chmod 600`", .0.display())]
    Readable(PathBuf),
    /// The passphrase is none.
    #[error("the passphrase in {} is shorter than {SHORTEST} bytes", .0.display())]
    Short(PathBuf),
    /// There are keys and nothing to open them with.
    #[error("there are keys in {}, and the file with their passphrase is gone", .0.display())]
    NoPassphrase(PathBuf),
    /// The key file is none, or the passphrase is another's.
    #[error("cannot {action} the key {}", path.display())]
    Key {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: KeyError,
    },
    /// The system gives no randomness.
    #[error("cannot make a passphrase")]
    Random(#[source] getrandom::Error),
}

/// The folder.
pub(crate) struct KeyFolder {
    folder: PathBuf,
    passphrase: Zeroizing<Vec<u8>>,
    generated: bool,
}

impl std::fmt::Debug for KeyFolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyFolder").field("folder", &self.folder).finish_non_exhaustive()
    }
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeyFolderError {
    let path = path.to_path_buf();
    move |source| KeyFolderError::Io { action, path, source }
}

impl KeyFolder {
    /// Opens the folder, and makes it with a passphrase where there is none.
    pub(crate) fn open(folder: &Path, passphrase_file: Option<&Path>) -> Result<Self, KeyFolderError> {
        files::folder(folder).map_err(io_error("make", folder))?;
        let generated = passphrase_file.is_none();
        let own = folder.join(GENERATED);
        let path = passphrase_file.unwrap_or(&own);
        let passphrase = match read_if_there(path).map_err(io_error("read", path))? {
            Some(text) => Zeroizing::new(text),
            None if generated && !has_keys(folder)? => make_passphrase(&own)?,
            None => return Err(KeyFolderError::NoPassphrase(folder.to_path_buf())),
        };
        let mode = fs::metadata(path).map_err(io_error("read", path))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(KeyFolderError::Readable(path.to_path_buf()));
        }
        let passphrase = Zeroizing::new(passphrase.trim_ascii().to_vec());
        if passphrase.len() < SHORTEST {
            return Err(KeyFolderError::Short(path.to_path_buf()));
        }
        Ok(Self { folder: folder.to_path_buf(), passphrase, generated })
    }

    /// Whether the passphrase is kept beside the keys.
    pub(crate) fn is_generated(&self) -> bool {
        self.generated
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.pem"))
    }

    /// Whether a key is on this machine.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// Keeps a key; on disk when this returns.
    pub(crate) fn save(&self, name: &str, key: &PrivateKey) -> Result<(), KeyFolderError> {
        let path = self.path(name);
        let pem = key.to_encrypted_pem(&self.passphrase).map_err(|source| KeyFolderError::Key {
            action: "encrypt",
            path: path.clone(),
            source,
        })?;
        write_whole(&path, pem.as_bytes()).map_err(io_error("write", &path))
    }

    /// Reads a key; `None` when it isn't here.
    pub(crate) fn load(&self, name: &str) -> Result<Option<PrivateKey>, KeyFolderError> {
        let path = self.path(name);
        let Some(pem) = read_if_there(&path).map_err(io_error("read", &path))? else { return Ok(None) };
        let pem = Zeroizing::new(String::from_utf8_lossy(&pem).into_owned());
        PrivateKey::from_encrypted_pem(&pem, &self.passphrase)
            .map(Some)
            .map_err(|source| KeyFolderError::Key { action: "decrypt", path, source })
    }

    /// Reads a key, or makes and keeps one.
    pub(crate) fn load_or_make(&self, name: &str) -> Result<PrivateKey, KeyFolderError> {
        if let Some(key) = self.load(name)? {
            return Ok(key);
        }
        let path = self.path(name);
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).map_err(|source| KeyFolderError::Key {
            action: "make",
            path,
            source,
        })?;
        self.save(name, &key)?;
        Ok(key)
    }

    /// The names of the keys that are here and begin so.
    pub(crate) fn names(&self, prefix: &str) -> Result<Vec<String>, KeyFolderError> {
        let entries = fs::read_dir(&self.folder).map_err(io_error("read", &self.folder))?;
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let names = names.filter_map(|name| name.strip_suffix(".pem").map(str::to_owned));
        Ok(names.filter(|name| name.starts_with(prefix)).collect())
    }

    /// Destroys a key, if it is here.
    pub(crate) fn remove(&self, name: &str) -> Result<(), KeyFolderError> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(io_error("remove", &path)(e)),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

fn has_keys(folder: &Path) -> Result<bool, KeyFolderError> {
    let entries = fs::read_dir(folder).map_err(io_error("read", folder))?;
    Ok(entries.flatten().any(|entry| entry.path().extension().is_some_and(|end| end == "pem")))
}

fn make_passphrase(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyFolderError> {
    let mut random = Zeroizing::new([0_u8; RANDOM]);
    getrandom::fill(&mut *random).map_err(KeyFolderError::Random)?;
    let text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = Zeroizing::new(format!("{text}\n").into_bytes());
    write_whole(path, &text).map_err(io_error("write", path))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_with_their_passphrase_and_not_without() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("keys");
        let keys = KeyFolder::open(&folder, None).unwrap();
        assert!(keys.is_generated() && !keys.has("log"));
        let key = keys.load_or_make("log").unwrap();
        let again = KeyFolder::open(&folder, None).unwrap().load("log").unwrap().unwrap();
        assert_eq!(again.public().spki_der(), key.public().spki_der());
        let text = fs::read_to_string(folder.join("log.pem")).unwrap();
        assert!(text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"), "{text}");
        assert_eq!(fs::metadata(folder.join("log.pem")).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(folder.join(GENERATED), "another passphrase").unwrap();
        let other = KeyFolder::open(&folder, None).unwrap();
        assert!(matches!(other.load("log"), Err(KeyFolderError::Key { action: "decrypt", .. })));
        fs::remove_file(folder.join(GENERATED)).unwrap();
        assert!(matches!(KeyFolder::open(&folder, None), Err(KeyFolderError::NoPassphrase(_))));
        keys.remove("log").unwrap();
        keys.remove("log").unwrap();
        assert!(keys.load("log").unwrap().is_none());
    }

    #[test]
    fn a_passphrase_that_others_can_read_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("secret");
        fs::write(&file, "correct horse").unwrap();
        let open = || KeyFolder::open(&root.path().join("keys"), Some(&file));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(open(), Err(KeyFolderError::Readable(_))));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(!open().unwrap().is_generated());
        fs::write(&file, "short\n").unwrap();
        assert!(matches!(open(), Err(KeyFolderError::Short(_))));
    }
}
