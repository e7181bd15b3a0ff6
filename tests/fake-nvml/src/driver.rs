//! For tests in Rust: a private copy of the library, with a scenario beside it that the test changes while it is used.
//!
//! A copy each, because the dynamic linker loads a file once however often it is asked, and because threads of one
//! test process share their environment.

use crate::scenario::Scenario;
use std::fs;
use std::path::{Path, PathBuf};

/// File name of the built library.
const FILE: &str = "libhypermesh_fake_nvml.so";

/// The library as cargo built it for this test: beside the test's binary or in the folder above.
///
/// # Panics
/// When it isn't there. Cargo puts a cdylib of a dev-dependency where that dependency's rlib is, in `deps`.
pub fn library() -> PathBuf {
    let binary = std::env::current_exe().expect("this process has a binary");
    let found = binary.ancestors().skip(1).take(2).map(|folder| folder.join(FILE)).find(|file| file.exists());
    found.unwrap_or_else(|| panic!("{FILE} is not beside {}", binary.display()))
}

/// A scenario of this crate's `scenarios` folder, by its name without `.json`.
///
/// # Panics
/// When there is none or it doesn't parse.
pub fn scenario(name: &str) -> Scenario {
    let file = scenario_file(name);
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    Scenario::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The file of a scenario of this crate's `scenarios` folder.
pub fn scenario_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(name).with_extension("json")
}

/// A library in a temporary folder, with its world.
#[derive(Debug)]
pub struct FakeDriver {
    folder: tempfile::TempDir,
}

impl FakeDriver {
    /// A driver in this world.
    ///
    /// # Panics
    /// When the files can't be written.
    pub fn new(scenario: &Scenario) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let driver = Self { folder };
        fs::copy(library(), driver.library()).expect("a copy of the library");
        driver.set(scenario);
        driver
    }

    /// A driver in a world of the `scenarios` folder.
    ///
    /// # Panics
    /// As [`scenario`] and [`Self::new`].
    pub fn named(name: &str) -> Self {
        Self::new(&scenario(name))
    }

    /// The library to load.
    pub fn library(&self) -> PathBuf {
        self.folder.path().join(FILE)
    }

    /// Changes the world, for all calls from now on.
    ///
    /// # Panics
    /// When the file can't be replaced.
    pub fn set(&self, scenario: &Scenario) {
        let mut file = self.library().into_os_string();
        file.push(".json");
        let new = self.folder.path().join("new.json");
        // Renamed, so that no call reads half a world.
        fs::write(&new, serde_json::to_string_pretty(scenario).expect("a scenario is JSON")).expect("a file");
        fs::rename(&new, file).expect("a file renamed");
    }

    /// Takes symbols out of the library, as in a driver from before these functions: the dynamic linker then doesn't
    /// find them. To be called before the library is loaded.
    ///
    /// A symbol is renamed where the library keeps its name; the hash by which the linker looks still leads there, and
    /// the comparison that follows fails.
    ///
    /// # Panics
    /// When a function isn't in the library or the file can't be written.
    #[must_use]
    pub fn without(self, functions: &[&str]) -> Self {
        let mut bytes = fs::read(self.library()).expect("the library");
        for function in functions {
            let name = [b"\0", function.as_bytes(), b"\0"].concat();
            let places: Vec<usize> = bytes
                .windows(name.len())
                .enumerate()
                .filter_map(|(at, window)| (window == name).then_some(at))
                .collect();
            assert!(!places.is_empty(), "{function} is not a symbol of the library");
            for at in places {
                bytes[at + 1] = b'X';
            }
        }
        fs::write(self.library(), bytes).expect("the changed library");
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_of_the_folder_parses() {
        let folder = scenario_file("any").parent().unwrap().to_owned();
        let names: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(names.len() >= 6, "{names:?}");
        for name in names {
            let scenario = scenario(name.file_stem().unwrap().to_str().unwrap());
            assert!(!scenario.about.is_empty(), "{} doesn't say what it is", name.display());
        }
    }
}
