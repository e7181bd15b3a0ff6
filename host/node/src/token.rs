//! The bearer token: made at first start, a file of mode 0600, read by the CLI by itself. Never in a log.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Bytes of randomness: 256 bits.
const TOKEN_BYTES: usize = 32;

/// Reads the token, or makes one. A file that others could read is closed to them.
///
/// # Errors
/// When the file can't be made or read, or is empty.
pub(crate) fn read_or_make(path: &Path) -> io::Result<String> {
    match fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
            Ok(text.trim().to_owned())
        }
        Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "the token file is empty; remove it")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(path),
        Err(error) => Err(error),
    }
}

fn make(path: &Path) -> io::Result<String> {
    let mut random = [0u8; TOKEN_BYTES];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let token: String = random.iter().map(|b| format!("{b:02x}")).collect();
    let temporary = path.with_extension("new");
    // Whatever a crash left there is not the token.
    let _ = fs::remove_file(&temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(token.as_bytes())?;
    file.sync_all()?;
    fs::rename(temporary, path)?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_and_only_the_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let token = read_or_make(&path).unwrap();
        assert_eq!(token.len(), 64);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(read_or_make(&path).unwrap(), token);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn an_empty_token_opens_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, "\n").unwrap();
        assert!(read_or_make(&path).is_err());
    }
}
