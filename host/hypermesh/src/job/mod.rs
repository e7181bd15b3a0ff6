//! Running a component on a node, step by step: package, vm, inputs, execution. `run` and `demo` share it.
//!
//! Each step first looks whether the node has what it needs: a component or file of the same SHA-256 is not sent again,
//! and a vm asset with the right limits is used again. Nothing here leases: an execution without an allocation gets one
//! from the node, with the vm's limits, that ends with it.

pub(crate) mod follow;
pub(crate) mod package;
pub(crate) mod summary;
pub(crate) mod vm;

use crate::bar;
use crate::files::LocalFile;
use anyhow::Context;
use hypermesh_client::{Client, Upload};
use hypermesh_wire::executions::Input;

/// Grants a file to an execution: stores it on the node unless it is there.
///
/// # Errors
/// When the node can't be reached or refuses; when the file changed since it was hashed.
pub(crate) fn grant(client: &Client, file: &mut LocalFile) -> anyhow::Result<Input> {
    let name = file.name();
    match client.blob(&file.digest) {
        Ok(_) => {}
        Err(error) if error.status() == Some(404) => {
            let bar = bar::transfer(&name, file.length);
            let upload = Upload {
                reader: &mut file.file,
                length: file.length,
                progress: &mut |sent| bar.set_position(sent),
            };
            let stored = client.upload_blob(upload);
            bar.finish_and_clear();
            let stored = stored.with_context(|| format!("uploading {name}"))?;
            if stored.digest != file.digest {
                anyhow::bail!("{} changed while it was uploaded", file.path.display());
            }
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Input { name, digest: file.digest.clone() })
}
