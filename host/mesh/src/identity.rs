//! Which node this is: an id in the database, and the same in a file beside it.
//!
//! The cgroups of a node are named after it. One that lost its database and called itself otherwise would never find its
//! own leases again, and what runs in them would run for ever; so the data folder is the node, not the database in it.
//! Where both are there and differ (somebody put back a copy of another node's database), the database is believed.

use crate::Mesh;
use crate::error::MeshError;
use crate::records::NodeRecord;
use hypermesh_model::{NodeId, Timestamp};
use hypermesh_store::{Batch, Store, Table};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// The file's name in the folder of the database.
const FILE: &str = "node-id";

impl Mesh {
    /// The id of this node: from its store, else from the file beside it, else new. Read before anything else, since the
    /// cgroups are named after it.
    ///
    /// # Errors
    /// When the store refuses, or the file can't be read or holds something else.
    pub fn identify(store: &Store) -> Result<NodeId, MeshError> {
        let store_fault = |e| MeshError::internal("reading the node's record")(Box::new(e));
        let fault =
            |e: io::Error| MeshError::internal("reading or writing the file of the node's id")(Box::new(e));
        let file = store.folder().join(FILE);
        let table: Table<NodeRecord> = store.table().map_err(store_fault)?;
        let saved = read(&file).map_err(fault)?;
        if let Some(record) = table.all().pop() {
            if saved.as_ref() != Some(&record.id) {
                write(&file, &record.id).map_err(fault)?;
            }
            return Ok(record.id);
        }
        let id = match saved {
            Some(id) => {
                tracing::warn!(node = %id, "the database does not know this node; its id is taken from the file");
                id
            }
            None => NodeId::generate(),
        };
        write(&file, &id).map_err(fault)?;
        let record = NodeRecord { id: id.clone(), first_start: Timestamp::now(), up_seconds: 0 };
        let mut batch = Batch::new();
        batch.put(&table, record);
        store.commit_blocking(batch).map_err(store_fault)?;
        Ok(id)
    }
}

fn read(file: &Path) -> io::Result<Option<NodeId>> {
    match fs::read_to_string(file) {
        Ok(text) => NodeId::parse(text.trim()).map(Some).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whole or not at all.
fn write(file: &Path, id: &NodeId) -> io::Result<()> {
    let new = file.with_extension("new");
    let mut made = File::create(&new)?;
    writeln!(made, "{id}")?;
    made.sync_all()?;
    fs::rename(&new, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identify(folder: &Path) -> Result<NodeId, MeshError> {
        Mesh::identify(&Store::open(&folder.join("node.sqlite")).unwrap())
    }

    #[test]
    fn a_node_that_loses_its_database_or_its_file_stays_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let id = identify(folder.path()).unwrap();
        assert_eq!(identify(folder.path()).unwrap(), id);
        fs::remove_file(folder.path().join(FILE)).unwrap();
        assert_eq!(identify(folder.path()).unwrap(), id);
        for entry in fs::read_dir(folder.path()).unwrap() {
            let path = entry.unwrap().path();
            if !path.ends_with(FILE) {
                fs::remove_file(path).unwrap();
            }
        }
        assert_eq!(identify(folder.path()).unwrap(), id);
    }

    #[test]
    fn a_file_that_holds_no_id_is_an_error_and_not_a_new_node() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), "../../etc").unwrap();
        assert!(identify(folder.path()).is_err());
    }
}
