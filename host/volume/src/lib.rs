//! Folders of bounded size: a lease's storage, which answers `ENOSPC` or `EDQUOT` inside and never fills the host's disk.
//!
//! ```text
//! <volumes>/<lease>/volume.json   what is meant to be: written first, so that every step can be finished or undone
//! <volumes>/<lease>/image         loop method: an ext4 filesystem, all its blocks reserved on the host
//! <volumes>/<lease>/folder        what is granted: the quota's folder, or where the image is mounted
//! ```
//!
//! Two methods ([`Method`]). A **project quota** where the filesystem enforces one: ext4 and XFS, mounted with `prjquota`;
//! the folder is a plain one and can grow and shrink at any time. Else a **loop-mounted image**. The quota comes first
//! because it costs no mount, no loop device and no reserved blocks; a caller that wants the image's stricter bound asks
//! for it ([`Preference`]): the kernel lets processes with `CAP_SYS_RESOURCE` pass an ext4 quota
//! ([`give_up_exemption`]), and lets the owner of a file outside a user namespace give it another project.
//!
//! What an image costs: its filesystem's own metadata (1.6 % inode tables at one inode per 16 KiB, a journal of 4 to
//! 128 MiB, the kernel's reserve of 2 % but at most 16 MiB) comes on top of the size, so that files can hold between
//! 95 % and 100 % of the size that was asked, and never more. All of it is reserved on the host beforehand.
//!
//! Left to others: which lease gets how much (mesh), ending the processes that use a volume before it is removed, and
//! granting the folder to a guest (engine). Fails with [`VolumeError`]; without root, loop devices or `mkfs.ext4` nothing
//! is pretended: [`Volumes::method`] says which is missing, and `create` fails with that text.

mod error;
mod image;
mod method;
mod privilege;
mod quota;
mod record;
mod room;
mod steps;
mod sys;
#[cfg(test)]
mod tests;
mod turns;
mod volume;
mod volumes;

pub use error::VolumeError;
pub use method::{Method, Preference, probe};
pub use privilege::give_up_exemption;
pub use volume::{Owner, Removal, Volume, VolumeState, VolumeUsage};
pub use volumes::{MIN_SIZE, Volumes};
