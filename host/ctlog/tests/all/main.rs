//! The log against real files: what is answered stays, what is served can be checked, what is changed is found.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "test code")]

mod append;
mod audit;
mod disk;
mod kill;
mod oracle;
mod read;
mod recovery;
mod refusal;
mod sync;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use hypermesh_ctlog::{Appended, Entry, Log, LogError, Settings, SignError, Signer};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::task::JoinSet;

const ORIGIN: &str = "hypermesh.network/log";

const ISSUER: &[u8] = b"the certificate of an issuer";

/// A key in memory.
pub(crate) struct Key {
    pair: EcdsaKeyPair,
    spki: Vec<u8>,
}

impl Key {
    fn from_pkcs8(pkcs8: &[u8]) -> Arc<Self> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8).unwrap();
        let spki = pair.public_key().as_der().unwrap().as_ref().to_vec();
        Arc::new(Self { pair, spki })
    }

    fn new_pkcs8() -> Vec<u8> {
        let random = SystemRandom::new();
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap().as_ref().to_vec()
    }

    fn generate() -> Arc<Self> {
        Self::from_pkcs8(&Self::new_pkcs8())
    }
}

impl Signer for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        Ok(self.pair.sign(&SystemRandom::new(), message).map_err(|_| "unspecified")?.as_ref().to_vec())
    }
    fn spki_der(&self) -> &[u8] {
        &self.spki
    }
}

fn settings(folder: &Path, key: &Arc<Key>) -> Settings {
    let signer = Arc::clone(key) as Arc<dyn Signer>;
    let window = Duration::from_millis(1);
    Settings { folder: folder.to_path_buf(), origin: ORIGIN.into(), signer, window, queue: 4096 }
}

/// A process that a test beside this one starts has a copy of the lock until it becomes its program; so not at once.
fn reopen(settings: &Settings) -> Result<Log, LogError> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match Log::open(settings.clone()) {
            Err(LogError::InUse { .. }) if Instant::now() < deadline => std::thread::yield_now(),
            opened => return opened,
        }
    }
}

/// An empty log that knows [`ISSUER`], in a folder of its own.
fn fresh() -> (TempDir, Arc<Key>, Log) {
    let (folder, key) = (TempDir::new().unwrap(), Key::generate());
    let log = Log::open(settings(folder.path(), &key)).unwrap();
    log.add_issuer(ISSUER).unwrap();
    (folder, key, log)
}

/// A folder in memory where there is one: for tests that change files of a log that is closed, and need no disk.
fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory).unwrap() } else { TempDir::new().unwrap() }
}

/// An entry that differs from others by its number.
fn entry(log: &Log, number: u64) -> Entry {
    let tbs = [b"tbs".to_vec(), number.to_be_bytes().to_vec()].concat();
    let precert = [b"precert".to_vec(), number.to_be_bytes().to_vec()].concat();
    let chain = vec![log.add_issuer(ISSUER).unwrap()];
    Entry { timestamp_ms: 1_700_000_000_000 + number, issuer_key_hash: [7; 32], tbs, precert, chain }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Appends entries with these numbers at once; what they gave, by index.
fn append(log: &Log, numbers: std::ops::Range<u64>) -> Vec<(Entry, Appended)> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let mut done = runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for number in numbers {
            let (log, entry) = (log.clone(), entry(log, number));
            tasks.spawn(async move {
                let appended = log.append(entry.clone()).await.unwrap();
                (entry, appended)
            });
        }
        tasks.join_all().await
    });
    done.sort_by_key(|(_, appended)| appended.index);
    done
}
