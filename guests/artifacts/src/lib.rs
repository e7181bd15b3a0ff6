//! The guests of this repository as WebAssembly components, in constants.
//!
//! `build.rs` compiles them for `wasm32-wasip2` with the profile `guest`; a build of this crate is never without them.
//! A guest that nobody names costs nothing in the binary.
#![forbid(unsafe_code)]

/// A built component and what a catalog says of it.
#[derive(Debug, Clone, Copy)]
pub struct Artifact {
    /// Its name, `a-z 0-9 -`: the folder's.
    pub name: &'static str,
    /// Its version: the workspace's.
    pub version: &'static str,
    /// One line for people.
    pub description: &'static str,
    /// The component.
    pub component: &'static [u8],
}

macro_rules! artifact {
    ($name:literal, $description:literal) => {
        Artifact {
            name: $name,
            version: env!("CARGO_PKG_VERSION"),
            description: $description,
            component: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".wasm")),
        }
    };
}

/// SHA-256 and BLAKE3 of files.
pub const HASH_FILES: Artifact = artifact!("hash-files", "SHA-256 and BLAKE3 of every granted file");

/// Images, scaled down.
pub const THUMBNAIL: Artifact = artifact!("thumbnail", "Scales granted images down to PNG or JPEG");

/// Matrices, multiplied.
pub const MATRIX_MULTIPLY: Artifact =
    artifact!("matrix-multiply", "Multiplies two generated matrices and gives a checksum");

/// The sample catalog.
pub const SAMPLES: &[Artifact] = &[HASH_FILES, THUMBNAIL, MATRIX_MULTIPLY];

/// A guest that misbehaves, one way an operation. For tests; in no catalog.
pub const HOSTILE: Artifact = artifact!("hostile", "Misbehaves in every way that the engine must contain");

/// A plain WASI command that gives back what it is given. For tests; in no catalog.
pub const ECHO_COMMAND: Artifact = artifact!("echo-command", "Gives back what it is given");

/// A `wasi:http/proxy` component. For tests; in no catalog.
pub const HELLO_HTTP: Artifact = artifact!("hello-http", "Answers HTTP requests, a way of answering a path");

/// What is built for tests.
pub const TEST_GUESTS: &[Artifact] = &[HOSTILE, ECHO_COMMAND, HELLO_HTTP];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    #[test]
    fn every_guest_in_the_tree_is_a_constant() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let guests: BTreeSet<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "artifacts")
            .collect();
        let built = SAMPLES.iter().chain(TEST_GUESTS).map(|artifact| artifact.name.to_owned()).collect();
        assert_eq!(guests, built);
    }

    #[test]
    fn every_artifact_is_a_component_and_no_core_module() {
        // Component Model binary format: magic, version 13 (pre-standard), layer 1.
        for artifact in SAMPLES.iter().chain(TEST_GUESTS) {
            assert_eq!(artifact.component[..8], *b"\0asm\x0d\0\x01\0", "{}", artifact.name);
        }
    }
}
