//! Confining a program of ours that reads what strangers wrote, such as the compiler: less than a guest's jail, since it
//! starts threads, opens files by name and maps code, and none of the zygote's, since it was started by name.

use super::{JailError, identity, landlock, layer, seccomp};
use hypermesh_model::JailLayer;
use std::path::Path;

/// Confines this process to files below some paths, without networks, other programs, capabilities and rare interfaces of
/// the kernel. To be called while there is one thread: those that come later inherit it. What is open stays usable.
/// Returns the layers, as for a guest: what this kernel hasn't got is not active and says why.
///
/// # Errors
/// When a path can't be opened, or a layer that this kernel has is refused. The program should not go on then.
pub fn confine(readable: &[&Path], writable: &[&Path]) -> Result<Vec<JailLayer>, JailError> {
    identity::forswear()?;
    identity::become_nobody(None, false)?;
    let mut layers = vec![
        layer("capabilities", &Ok(()), "none, and none to be had"),
        layer("no_new_privileges", &Ok(()), "programs can't raise them"),
    ];
    let files = landlock::probe();
    if files.is_ok() {
        let mut ruleset = landlock::closed().map_err(JailError::because("make a Landlock ruleset"))?;
        let granted =
            readable.iter().map(|path| (path, false)).chain(writable.iter().map(|path| (path, true)));
        for (path, is_writable) in granted {
            ruleset = landlock::grant_path(ruleset, path, is_writable)
                .map_err(JailError::because("grant a path"))?;
        }
        landlock::restrict(ruleset).map_err(JailError::because("close Landlock"))?;
    }
    layers.push(layer("landlock", &files.map(|_abi| ()), "only the files that it works on"));
    let calls = seccomp::can_kill();
    if calls.is_ok() {
        seccomp::forbid().map_err(JailError::because("forbid calls"))?;
    }
    layers.push(layer("seccomp", &calls, "no networks, other programs, mounts or rare interfaces"));
    Ok(layers)
}
