//! Writes the seeds into a folder, for `run.sh`: `seeds DIR MAX_BYTES`.

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(folder), Some(most)) = (arguments.next(), arguments.next()) else {
        return Err("usage: seeds DIR MAX_BYTES".into());
    };
    let (folder, most) = (PathBuf::from(folder), most.to_string_lossy().parse::<usize>()?);
    std::fs::create_dir_all(&folder)?;
    for (name, bytes) in hypermesh_fuzz::seeds().iter().filter(|(_, bytes)| bytes.len() <= most) {
        std::fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}
