//! The server: one method a resource, a file a noun.
//!
//! Every method opens the request (`request`), which says who asks, then does what the resource is for, and answers
//! with a [`Reply`]; a [`Problem`] becomes one here, in one place. Nothing is remembered between requests but used
//! nonces and the validations that run; everything else is in the [`Store`], so a restart loses nothing that was
//! acknowledged. Who changes a record commits on the version it read, so of two requests that race one is refused.

mod account;
mod authorization;
mod certificate;
mod challenge;
mod directory;
mod finalize;
mod key_change;
mod order;
mod orders;
mod renewal;
mod replaces;
mod request;
mod revoke;
mod route;
mod urls;

use crate::authority::Authority;
use crate::base64url;
use crate::nonce::Nonces;
use crate::probe::Probe;
use crate::problem::Problem;
use crate::reply::{Link, Reply};
use crate::settings::{InvalidSettings, Settings};
use crate::store::{Store, StoreError};
use challenge::Running;
use hypermesh_model::Timestamp;
use std::fmt;
use std::sync::Arc;
use urls::Urls;
pub use urls::paths;

/// Seconds after which to try again where something was in the way that passes soon.
const SOON: u64 = 1;

/// How a request was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `HEAD`.
    Head,
    /// `GET`.
    Get,
    /// `POST`.
    Post,
}

/// A signed request, as it came.
#[derive(Debug, Clone, Copy)]
pub struct Post<'a> {
    /// The `Content-Type` header.
    pub content_type: Option<&'a str>,
    /// The body. The edge need read no more of it than [`crate::Limits::body`] and one byte.
    pub body: &'a [u8],
}

struct Inner {
    settings: Settings,
    urls: Urls,
    store: Arc<dyn Store>,
    authority: Arc<dyn Authority>,
    probe: Arc<dyn Probe>,
    nonces: Nonces,
    running: Arc<Running>,
    /// What this process calls itself in orders that it is busy with.
    run: String,
}

/// An ACME server. Cheap to clone; all clones are one server.
#[derive(Clone)]
pub struct Acme {
    inner: Arc<Inner>,
}

impl Acme {
    /// Sets a server up. Methods that validate or issue need a Tokio runtime around them.
    ///
    /// # Errors
    /// [`InvalidSettings`].
    pub fn new(
        settings: Settings,
        store: Arc<dyn Store>,
        authority: Arc<dyn Authority>,
        probe: Arc<dyn Probe>,
    ) -> Result<Self, InvalidSettings> {
        settings.check()?;
        let nonces = Nonces::new().ok_or(InvalidSettings::Random)?;
        let run = base64url::random::<16>().ok_or(InvalidSettings::Random)?;
        let urls = Urls(settings.base_url.clone());
        let running = Arc::new(Running::default());
        Ok(Self { inner: Arc::new(Inner { settings, urls, store, authority, probe, nonces, running, run }) })
    }

    /// Removes what expired. To be called from time to time. Says how many records went.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sweep(&self) -> Result<usize, StoreError> {
        self.inner.store.sweep(self.now()).await
    }

    fn now(&self) -> Timestamp {
        (self.inner.settings.clock)()
    }

    fn urls(&self) -> &Urls {
        &self.inner.urls
    }

    fn store(&self) -> &dyn Store {
        self.inner.store.as_ref()
    }

    /// What every answer to a signed request has: a fresh nonce, and where the directory is.
    fn finish(&self, result: Result<Reply, Problem>) -> Reply {
        let mut reply = result.unwrap_or_else(Reply::from);
        reply.nonce = self.inner.nonces.make(self.now());
        reply.no_store = true;
        self.indexed(reply)
    }

    fn indexed(&self, mut reply: Reply) -> Reply {
        reply.links.push(Link { rel: "index", url: self.urls().of(paths::DIRECTORY) });
        reply
    }
}

impl fmt::Debug for Acme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acme").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict => Self {
                retry_after: Some(SOON),
                ..Self::malformed("it was changed by another request meanwhile").with_status(409)
            },
            StoreError::Full => Self::limited("the server has no room for more", 3600),
            StoreError::Failed(_) => {
                tracing::error!(error = &error as &dyn std::error::Error, "records can't be read or written");
                Self::internal()
            }
        }
    }
}

/// A random name or token that the system had the randomness for.
fn made<T>(random: Option<T>) -> Result<T, Problem> {
    random.ok_or_else(|| {
        tracing::error!("the system gives no randomness");
        Problem::internal()
    })
}
