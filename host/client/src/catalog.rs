//! The catalog, and the blobs that executions read.

use crate::uri::{path, with_query};
use crate::{Client, ClientError, Upload};
use hypermesh_wire::assets::Message;
use hypermesh_wire::catalog::{
    CatalogApplication, CatalogQuery, Deprecate, Install, Installed, PullPackage, PushPackage, PushedPackage,
    ResolveQuery, SignPackage, UploadQuery,
};
use hypermesh_wire::executions::{Blob, BlobQuery};
use std::io::Write;

impl Client {
    /// The applications that match.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn applications(&self, query: &CatalogQuery) -> Result<Vec<CatalogApplication>, ClientError> {
        self.get_filtered(&path(&["catalog", "applications"]), query)
    }

    /// One application.
    ///
    /// # Errors
    /// A 404 problem where there is none of that id; see [`ClientError`].
    pub fn application(&self, id: &str) -> Result<CatalogApplication, ClientError> {
        self.get(&path(&["catalog", "applications", id]))
    }

    /// The application that a name or a requirement means, e.g. `hash-files@^1.2`.
    ///
    /// # Errors
    /// A 404 problem where no version fits; see [`ClientError`].
    pub fn resolve(&self, query: &ResolveQuery) -> Result<CatalogApplication, ClientError> {
        self.get(&with_query(&path(&["catalog", "resolve"]), query)?)
    }

    /// Says that a version should not be chosen any more.
    ///
    /// # Errors
    /// A 404 problem where there is no such package; see [`ClientError`].
    pub fn deprecate(&self, id: &str, request: &Deprecate) -> Result<CatalogApplication, ClientError> {
        self.put(&path(&["catalog", "applications", id, "deprecation"]), request)
    }

    /// Takes a deprecation back.
    ///
    /// # Errors
    /// A 409 problem where it is not deprecated; see [`ClientError`].
    pub fn undeprecate(&self, id: &str) -> Result<CatalogApplication, ClientError> {
        self.delete(&path(&["catalog", "applications", id, "deprecation"]))
    }

    /// Removes a package.
    ///
    /// # Errors
    /// A 409 problem while something uses it; see [`ClientError`].
    pub fn remove_application(&self, id: &str) -> Result<Message, ClientError> {
        self.delete(&path(&["catalog", "applications", id]))
    }

    /// Uploads a component. The node vets and compiles it before it answers.
    ///
    /// # Errors
    /// A 422 problem for a component that it won't run, 409 where name and version are taken; see [`ClientError`].
    pub fn upload_package(
        &self,
        about: &UploadQuery,
        component: Upload<'_>,
    ) -> Result<CatalogApplication, ClientError> {
        self.upload(&with_query(&path(&["catalog", "packages"]), about)?, "application/wasm", component)
    }

    /// Uploads an image-layout archive with a component, as [`Self::export_package`] gives it.
    ///
    /// # Errors
    /// As for [`Self::upload_package`].
    pub fn import_package(
        &self,
        about: &UploadQuery,
        archive: Upload<'_>,
    ) -> Result<CatalogApplication, ClientError> {
        self.upload(&with_query(&path(&["catalog", "packages"]), about)?, "application/x-tar", archive)
    }

    /// Uploads a component with a signature over its bytes, in base64.
    ///
    /// # Errors
    /// As for [`Self::upload_package`].
    pub fn upload_signed_package(
        &self,
        about: &UploadQuery,
        signature: &str,
        component: Upload<'_>,
    ) -> Result<CatalogApplication, ClientError> {
        let path = with_query(&path(&["catalog", "packages"]), about)?;
        let signature = Some(("hypermesh-signature", signature));
        self.upload_with(&path, "application/wasm", signature, component)
    }

    /// Downloads a package as an image-layout archive; gives its length.
    ///
    /// # Errors
    /// A 404 problem where there is no such package; see [`ClientError`].
    pub fn export_package(
        &self,
        id: &str,
        to: &mut dyn Write,
        progress: &mut dyn FnMut(u64),
    ) -> Result<u64, ClientError> {
        self.download(&path(&["catalog", "applications", id, "export"]), to, progress)
    }

    /// Pulls a package from a registry.
    ///
    /// # Errors
    /// A 422 problem for what the registry does not give or the node does not admit; see [`ClientError`].
    pub fn pull_package(&self, request: &PullPackage) -> Result<CatalogApplication, ClientError> {
        self.post_slow(&path(&["catalog", "pull"]), request)
    }

    /// Pushes a package to a registry.
    ///
    /// # Errors
    /// A 422 problem for what the registry does not take; see [`ClientError`].
    pub fn push_package(&self, id: &str, request: &PushPackage) -> Result<PushedPackage, ClientError> {
        self.post_slow(&path(&["catalog", "applications", id, "push"]), request)
    }

    /// Adds a signature over a package's manifest.
    ///
    /// # Errors
    /// A 422 problem for a payload of something else; see [`ClientError`].
    pub fn sign_package(&self, id: &str, request: &SignPackage) -> Result<CatalogApplication, ClientError> {
        self.post(&path(&["catalog", "applications", id, "signatures"]), request)
    }

    /// Installs a package as a vm asset.
    ///
    /// # Errors
    /// A 404 problem where there is no such package; see [`ClientError`].
    pub fn install(&self, request: &Install) -> Result<Installed, ClientError> {
        self.post(&path(&["catalog", "install"]), request)
    }

    /// Stores a file under its SHA-256, for executions to read.
    ///
    /// # Errors
    /// A 413 problem for one over the node's limit; see [`ClientError`].
    pub fn upload_blob(&self, content: Upload<'_>) -> Result<Blob, ClientError> {
        self.upload(&path(&["blobs"]), "application/octet-stream", content)
    }

    /// The stored files, by digest.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn blobs(&self, query: &BlobQuery) -> Result<Vec<Blob>, ClientError> {
        self.get_filtered(&path(&["blobs"]), query)
    }

    /// Whether a file is stored, and how long it is.
    ///
    /// # Errors
    /// A 404 problem where it isn't; see [`ClientError`].
    pub fn blob(&self, digest: &str) -> Result<Blob, ClientError> {
        self.get(&path(&["blobs", digest]))
    }

    /// Removes a stored file. Executions that were granted it keep it.
    ///
    /// # Errors
    /// A 404 problem where it isn't stored; see [`ClientError`].
    pub fn delete_blob(&self, digest: &str) -> Result<Message, ClientError> {
        self.delete(&path(&["blobs", digest]))
    }
}
