//! Assets: the node's hardware and what people registered.

use crate::uri::path;
use crate::{Client, ClientError};
use hypermesh_wire::assets::{Asset, AssetQuery, CreateAsset, CreateVm, Message, UpdateAsset};

impl Client {
    /// The assets that match.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn assets(&self, query: &AssetQuery) -> Result<Vec<Asset>, ClientError> {
        self.get_filtered(&path(&["assets"]), query)
    }

    /// One asset.
    ///
    /// # Errors
    /// A 404 problem where there is none of that id; see [`ClientError`].
    pub fn asset(&self, id: &str) -> Result<Asset, ClientError> {
        self.get(&path(&["assets", id]))
    }

    /// Registers an asset.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn create_asset(&self, asset: &CreateAsset) -> Result<Asset, ClientError> {
        self.post(&path(&["assets"]), asset)
    }

    /// Changes the members that are set.
    ///
    /// # Errors
    /// A 404 problem where there is none of that id; see [`ClientError`].
    pub fn update_asset(&self, id: &str, change: &UpdateAsset) -> Result<Asset, ClientError> {
        self.put(&path(&["assets", id]), change)
    }

    /// Removes an asset.
    ///
    /// # Errors
    /// A 409 problem while it has active allocations; see [`ClientError`].
    pub fn delete_asset(&self, id: &str) -> Result<Message, ClientError> {
        self.delete(&path(&["assets", id]))
    }

    /// Registers a vm.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn create_vm(&self, vm: &CreateVm) -> Result<Asset, ClientError> {
        self.post(&path(&["assets", "vm"]), vm)
    }
}
