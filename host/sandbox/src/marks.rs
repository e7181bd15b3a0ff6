//! Notes of the node on its own groups, as extended attributes: they live and die with the group, and a restarted node
//! finds them. `user.` attributes need Linux 5.7 here and no rights; `trusted.` ones need root.

use std::io;
use std::path::Path;

/// The record of a lease, on its group.
pub(crate) const LEASE: &str = "lease";
/// On the group of a pinned lease that holds its cores.
pub(crate) const PINNED: &str = "pinned";
/// The CPUs of leases that are not pinned, on the node's folder.
pub(crate) const SHARED: &str = "shared-cpus";

const PREFIXES: [&str; 2] = ["user.hypermesh.", "trusted.hypermesh."];

/// Saves a note.
///
/// # Errors
/// The kernel's answer to the last way of saving it.
pub(crate) fn set(dir: &Path, name: &str, text: &str) -> io::Result<()> {
    let try_one = |prefix: &str| xattr::set(dir, format!("{prefix}{name}"), text.as_bytes());
    try_one(PREFIXES[0]).or_else(|_| try_one(PREFIXES[1]))
}

/// The note, if there is one that is text.
pub(crate) fn get(dir: &Path, name: &str) -> Option<String> {
    let value =
        PREFIXES.iter().find_map(|prefix| xattr::get(dir, format!("{prefix}{name}")).ok().flatten())?;
    String::from_utf8(value).ok()
}

/// Removes a note. One that does not exist, or on a group that is gone, is fine.
pub(crate) fn clear(dir: &Path, name: &str) {
    for prefix in PREFIXES {
        // The usual answer is that there is none.
        let _ = xattr::remove(dir, format!("{prefix}{name}"));
    }
}
