//! Compiles the guests for `wasm32-wasip2` by a nested cargo and leaves them in `OUT_DIR` as `<guest>.wasm`.
//!
//! A nested cargo, because no stable cargo builds a dependency for another target. It uses the same toolchain and the
//! same `Cargo.lock`, and a target folder of its own, since the outer cargo holds the lock of the usual one. What the
//! outer build set for the host (flags, clippy's wrapper) is kept from it. Fails with one line that says what to do
//! when the target isn't installed, and with cargo's own words otherwise.
#![allow(clippy::print_stdout, reason = "how a build script talks to cargo")]

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const TARGET: &str = "wasm32-wasip2";
const PROFILE: &str = "guest";

/// Variables that are about the outer build and would break or needlessly rebuild the nested one.
const NOT_FOR_GUESTS: &[&str] = &[
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "CLIPPY_ARGS",
    "LLVM_PROFILE_FILE",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTDOCFLAGS",
    "RUSTFLAGS",
];

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("cargo::error={error}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../..").canonicalize()?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let guests = guests(&root)?;
    for path in ["Cargo.toml", "Cargo.lock", "guest-sdk/Cargo.toml", "guest-sdk/src", "wit"] {
        println!("cargo::rerun-if-changed={}", root.join(path).display());
    }
    for guest in &guests {
        for path in ["Cargo.toml", "src"] {
            println!("cargo::rerun-if-changed={}", root.join("guests").join(guest).join(path).display());
        }
    }
    require_target()?;
    let target_dir = out.join("target");
    compile(&root, &target_dir, &guests)?;
    for guest in &guests {
        fs::copy(
            target_dir.join(TARGET).join(PROFILE).join(built(&root, guest)),
            out.join(format!("{guest}.wasm")),
        )?;
    }
    Ok(())
}

/// What cargo calls the component: a library's name has underscores, a program's has what its package has.
fn built(root: &Path, guest: &str) -> String {
    let name = format!("hypermesh-guest-{guest}.wasm");
    if root.join("guests").join(guest).join("src/main.rs").is_file() { name } else { name.replace('-', "_") }
}

/// The folders beside this one: each is a guest.
fn guests(root: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root.join("guests"))? {
        let entry = entry?;
        let name =
            entry.file_name().into_string().map_err(|name| format!("{} isn't UTF-8", name.display()))?;
        if name != "artifacts" && entry.path().join("Cargo.toml").is_file() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Says in one line what cargo would say in a page of missing crates.
fn require_target() -> Result<(), Box<dyn Error>> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output()?;
    let libraries = String::from_utf8(output.stdout)?;
    if output.status.success() && Path::new(libraries.trim()).is_dir() {
        Ok(())
    } else {
        Err(format!("the guests need the target {TARGET}: run `rustup target add {TARGET}`").into())
    }
}

fn compile(root: &Path, target_dir: &Path, guests: &[String]) -> Result<(), Box<dyn Error>> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root).args(["build", "--locked", "--profile", PROFILE, "--target", TARGET]);
    cargo.arg("--target-dir").arg(target_dir);
    for guest in guests {
        cargo.arg("--package").arg(format!("hypermesh-guest-{guest}"));
    }
    for name in NOT_FOR_GUESTS {
        cargo.env_remove(name);
    }
    let output = cargo.output()?;
    if output.status.success() {
        return Ok(());
    }
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    Err(format!("building the guests failed ({}); cargo's messages are above or below", output.status).into())
}
