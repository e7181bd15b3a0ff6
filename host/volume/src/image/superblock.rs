//! The ext4 superblock: how large a filesystem is, and how much of it files can have.
//!
//! Layout: the kernel's `Documentation/filesystems/ext4/super.rst`. Of a mounted filesystem it is read through the
//! device, whose cache is what the kernel works on; the image behind it may lag.

use crate::error::{Doing, VolumeError};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Where the superblock is, in bytes.
const OFFSET: u64 = 1024;
const LENGTH: usize = 1024;
const MAGIC: u16 = 0xEF53;
/// The block size of every image, in bytes: [`super::format`] asks for it.
pub(crate) const BLOCK: u64 = 4096;
/// As many as one block of a bitmap has bits.
const BLOCKS_PER_GROUP: u64 = 8 * BLOCK;
/// `ext4_calculate_resv_clusters` in the kernel's `fs/ext4/super.c`: one block of 50, at most 4096, stays the kernel's.
const RESERVE_PART: u64 = 50;
const RESERVE_MOST: u64 = 4096;
/// Blocks of `lost+found`, which is removed at the first mount.
const LOST_AND_FOUND: u64 = 4;
/// The most blocks of an ext4 with 64-bit descriptors.
const MOST_BLOCKS: u64 = 1 << 48;

/// What is read of a superblock. All counts are of blocks of [`BLOCK`] bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Superblock {
    pub(crate) blocks: u64,
    pub(crate) free_blocks: u64,
    pub(crate) blocks_per_group: u64,
    pub(crate) inodes_per_group: u64,
    pub(crate) inode_size: u64,
    pub(crate) descriptor_size: u64,
    pub(crate) reserved_descriptor_blocks: u64,
}

impl Superblock {
    /// Reads it from an image or a device.
    pub(crate) fn read(path: &Path) -> Result<Self, VolumeError> {
        let mut bytes = [0; LENGTH];
        let file = File::open(path).doing("open", path)?;
        file.read_exact_at(&mut bytes, OFFSET).doing("read", path)?;
        Self::parse(&bytes).ok_or_else(|| VolumeError::Superblock { path: path.to_owned() })
    }

    fn parse(bytes: &[u8; LENGTH]) -> Option<Self> {
        let u16_at = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let u32_at = |at: usize| u64::from(u16_at(at)) | u64::from(u16_at(at + 2)) << 16;
        // `s_log_block_size` counts from 1 KiB.
        if u16_at(0x38) != MAGIC || 1024_u64.checked_shl(u32::from(u16_at(0x18)))? != BLOCK {
            return None;
        }
        let found = Self {
            blocks: u32_at(0x04) | u32_at(0x150) << 32,
            free_blocks: u32_at(0x0C) | u32_at(0x158) << 32,
            blocks_per_group: u32_at(0x20),
            inodes_per_group: u32_at(0x28),
            inode_size: u64::from(u16_at(0x58)),
            descriptor_size: u64::from(u16_at(0xFE)),
            reserved_descriptor_blocks: u64::from(u16_at(0xCE)),
        };
        let sane = found.blocks_per_group == BLOCKS_PER_GROUP
            && (1..MOST_BLOCKS).contains(&found.blocks)
            && found.free_blocks <= found.blocks;
        sane.then_some(found)
    }

    /// What files can hold in a filesystem that was just made, in bytes.
    pub(crate) fn free_capacity(&self) -> u64 {
        (self.free_blocks + LOST_AND_FOUND).saturating_sub(reserve(self.blocks)) * BLOCK
    }

    /// How many blocks the filesystem needs so that files can hold about `bytes` more than they can now, and not more.
    pub(crate) fn grown_by(&self, bytes: u64) -> u64 {
        let mut wanted = bytes / BLOCK;
        let room_in_last = self.groups() * self.blocks_per_group - self.blocks;
        let mut total = self.blocks + wanted.min(room_in_last);
        wanted -= wanted.min(room_in_last);
        let mut group = self.groups();
        while wanted > 0 {
            let overhead = self.overhead(group);
            let data = wanted.min(self.blocks_per_group.saturating_sub(overhead));
            if data == 0 {
                break;
            }
            total += data + overhead;
            wanted -= data;
            group += 1;
        }
        total
    }

    fn groups(&self) -> u64 {
        self.blocks.div_ceil(self.blocks_per_group)
    }

    /// The blocks of a new group that no file gets: two bitmaps, the inode table, and in some a copy of the superblock and
    /// the group descriptors. Flexible groups move them, the sum stays.
    fn overhead(&self, group: u64) -> u64 {
        let table = (self.inodes_per_group * self.inode_size).div_ceil(BLOCK);
        let descriptors = (self.groups() * self.descriptor_size).div_ceil(BLOCK);
        let copies = if has_copies(group) { 1 + descriptors + self.reserved_descriptor_blocks } else { 0 };
        2 + table + copies
    }
}

/// Blocks that the kernel holds back from files so that delayed writes can't fail.
fn reserve(blocks: u64) -> u64 {
    (blocks / RESERVE_PART).min(RESERVE_MOST)
}

/// `sparse_super`: groups 0 and 1, and powers of 3, 5 and 7.
fn has_copies(group: u64) -> bool {
    let power_of = |base: u64| {
        let mut rest = group;
        while rest > 1 && rest.is_multiple_of(base) {
            rest /= base;
        }
        rest == 1
    };
    group <= 1 || [3, 5, 7].into_iter().any(power_of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filesystem(blocks: u64) -> Superblock {
        Superblock {
            blocks,
            free_blocks: blocks / 2,
            blocks_per_group: 32768,
            inodes_per_group: 8192,
            inode_size: 256,
            descriptor_size: 64,
            reserved_descriptor_blocks: 10,
        }
    }

    #[test]
    fn copies_are_in_the_groups_that_ext4_documents() {
        let groups: Vec<u64> = (0..60).filter(|group| has_copies(*group)).collect();
        assert_eq!(groups, [0, 1, 3, 5, 7, 9, 25, 27, 49]);
    }

    #[test]
    fn growth_inside_the_last_group_has_no_overhead() {
        assert_eq!(filesystem(20_000).grown_by(1000 * BLOCK), 21_000);
        // 100 blocks are left in the first group; the second brings 2 bitmaps, 512 of inodes, 12 of copies.
        assert_eq!(filesystem(32_668).grown_by(200 * BLOCK), 32_768 + 100 + 526);
    }

    proptest! {
        #[test]
        fn growing_gives_at_most_what_was_asked(blocks in 2048u64..4_000_000, more in 0u64..1 << 36) {
            let before = filesystem(blocks);
            let total = before.grown_by(more);
            prop_assert!(total >= blocks);
            let gained: u64 = total - blocks
                - (before.groups()..total.div_ceil(before.blocks_per_group)).map(|g| before.overhead(g)).sum::<u64>();
            prop_assert!(gained <= more / BLOCK, "{gained} > {}", more / BLOCK);
            prop_assert_eq!(gained, more / BLOCK);
        }

        #[test]
        fn no_bytes_make_the_parser_fail(bytes in proptest::collection::vec(any::<u8>(), LENGTH)) {
            let mut bytes: [u8; LENGTH] = bytes.try_into().unwrap();
            let _ = Superblock::parse(&bytes);
            bytes[0x38..0x3A].copy_from_slice(&MAGIC.to_le_bytes());
            bytes[0x18..0x1C].copy_from_slice(&2u32.to_le_bytes());
            bytes[0x20..0x24].copy_from_slice(&32768u32.to_le_bytes());
            bytes[0x152..0x154].fill(0);
            if let Some(found) = Superblock::parse(&bytes) {
                let _ = (found.free_capacity(), found.overhead(3));
            }
        }
    }
}
