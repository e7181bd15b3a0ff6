//! Reads kernel files below a root folder, so that a test's fixture is a temporary folder and a container can look at
//! a host whose `/` is mounted elsewhere.
//!
//! Every reader answers `None` for a file that isn't there, can't be read or doesn't parse: measuring goes on with
//! what the machine does tell, and what it doesn't is null. What was present but unreadable is logged at debug level.
//! What the values mean is left to the modules that ask for them.

use procfs::FromRead;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Longest kernel file that is read, in bytes. `/proc/cpuinfo` of 8192 CPUs is about 12 MB; nothing here is longer.
const MAX_FILE: u64 = 32 << 20;

/// The folder that holds `proc` and `sys`.
#[derive(Debug, Clone)]
pub(crate) struct SystemRoot(PathBuf);

impl SystemRoot {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where an absolute path of the measured machine lies on this one.
    pub(crate) fn path(&self, absolute: impl AsRef<Path>) -> PathBuf {
        let absolute = absolute.as_ref();
        self.0.join(absolute.strip_prefix("/").unwrap_or(absolute))
    }

    /// Whether it is the machine that this code runs on, which then may be asked by system calls too.
    pub(crate) fn is_running(&self) -> bool {
        self.0 == Path::new("/")
    }

    /// The last name of what a symbolic link points to, as sysfs names drivers.
    pub(crate) fn link_name(&self, absolute: impl AsRef<Path>) -> Option<String> {
        let target = fs::read_link(self.path(absolute)).ok()?;
        Some(target.file_name()?.to_str()?.to_owned())
    }

    /// Whether something has this name.
    pub(crate) fn exists(&self, absolute: impl AsRef<Path>) -> bool {
        self.path(absolute).exists()
    }

    /// The bytes of a file of at most [`MAX_FILE`].
    pub(crate) fn bytes(&self, absolute: impl AsRef<Path>) -> Option<Vec<u8>> {
        let path = self.path(absolute);
        let mut bytes = Vec::new();
        match File::open(&path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes)) {
            Ok(_) if bytes.len() as u64 <= MAX_FILE => Some(bytes),
            Ok(_) => {
                tracing::debug!(path = %path.display(), limit = MAX_FILE, "kernel file is longer than the limit");
                None
            }
            Err(error) => {
                if error.kind() != ErrorKind::NotFound {
                    tracing::debug!(path = %path.display(), %error, "kernel file can't be read");
                }
                None
            }
        }
    }

    /// The text of a file; bytes that are not UTF-8 (names of mounts may hold some) are replaced.
    pub(crate) fn text(&self, absolute: impl AsRef<Path>) -> Option<String> {
        self.bytes(absolute).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The one value that a file holds, as most files of sysfs do.
    pub(crate) fn value<T: FromStr>(&self, absolute: impl AsRef<Path>) -> Option<T> {
        self.text(absolute)?.trim().parse().ok()
    }

    /// The one line of text that a file holds; `None` when it is empty.
    pub(crate) fn line(&self, absolute: impl AsRef<Path>) -> Option<String> {
        let text = self.text(absolute)?;
        let line = text.trim();
        (!line.is_empty()).then(|| line.to_owned())
    }

    /// A file in one of the formats that the `procfs` crate knows.
    pub(crate) fn parse<T: FromRead>(&self, absolute: impl AsRef<Path>) -> Option<T> {
        let absolute = absolute.as_ref();
        // From memory, not from the file: some of the crate's parsers skip lines that fail to read, for ever.
        let text = self.text(absolute)?;
        T::from_read(text.as_bytes())
            .inspect_err(
                |error| tracing::debug!(path = %absolute.display(), %error, "kernel file doesn't parse"),
            )
            .ok()
    }

    /// The names in a folder, sorted; empty when it can't be listed.
    pub(crate) fn names(&self, absolute: impl AsRef<Path>) -> Vec<String> {
        let entries = fs::read_dir(self.path(absolute)).into_iter().flatten();
        let mut names: Vec<String> = entries.filter_map(|e| e.ok()?.file_name().into_string().ok()).collect();
        names.sort();
        names
    }
}

#[cfg(test)]
pub(crate) mod fixture {
    //! A machine made of files.

    use super::SystemRoot;
    use std::path::Path;

    /// A temporary system root.
    pub(crate) struct Fixture(tempfile::TempDir);

    impl Fixture {
        pub(crate) fn new(files: &[(&str, &str)]) -> Self {
            let fixture = Self(tempfile::tempdir().unwrap());
            for (path, text) in files {
                fixture.write(path, text);
            }
            fixture
        }

        pub(crate) fn write(&self, path: &str, text: &str) {
            let path = self.0.path().join(path.trim_start_matches('/'));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        pub(crate) fn path(&self) -> &Path {
            self.0.path()
        }

        pub(crate) fn root(&self) -> SystemRoot {
            SystemRoot::new(self.0.path().to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fixture::Fixture;

    #[test]
    fn what_is_not_there_or_not_a_value_is_none() {
        let fixture = Fixture::new(&[("/sys/a", "12\n"), ("/sys/b", "twelve\n"), ("/sys/c", "\n")]);
        let root = fixture.root();
        assert_eq!(root.value::<u32>("/sys/a"), Some(12));
        assert_eq!(root.value::<u32>("/sys/b"), None);
        assert_eq!(root.value::<u32>("/sys/missing"), None);
        assert_eq!(root.line("/sys/c"), None);
        assert_eq!(root.text("/sys"), None, "a folder has no text");
        assert_eq!(root.names("/sys"), ["a", "b", "c"]);
        assert!(root.names("/missing").is_empty());
    }

    #[test]
    fn a_folder_in_place_of_a_file_does_not_hang_a_parser() {
        let fixture = Fixture::new(&[("/proc/cpuinfo/x", "")]);
        assert!(fixture.root().parse::<procfs::CpuInfo>("/proc/cpuinfo").is_none());
    }
}
