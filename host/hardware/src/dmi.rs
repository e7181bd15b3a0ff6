//! The technology of the memory modules, from the SMBIOS table that the firmware left (DMTF DSP0134, §7.18, structure
//! type 17).
//!
//! The table is written by firmware, so nothing in it is trusted: every offset is checked, and a table that ends early
//! gives what came before. Nothing else of the table is read.

/// Where the kernel shows the table; readable by root.
pub(crate) const TABLE: &str = "/sys/firmware/dmi/tables/DMI";

/// Structure type of a memory module.
const MEMORY_DEVICE: u8 = 17;
/// Structure type that ends the table.
const END_OF_TABLE: u8 = 127;
/// Offset of the 16-bit module size; 0 says that the slot is empty.
const SIZE: usize = 0x0c;
/// Offset of the memory type.
const TYPE: usize = 0x12;

/// The type that all installed modules share. `None` when there are none, they differ, or the type says nothing.
pub(crate) fn memory_type(table: &[u8]) -> Option<&'static str> {
    let mut modules = Structures(table).filter_map(|structure| {
        let is_module = *structure.first()? == MEMORY_DEVICE;
        let is_installed = structure.get(SIZE..SIZE + 2)? != [0, 0];
        (is_module && is_installed).then(|| structure.get(TYPE).copied())?
    });
    let first = modules.next()?;
    modules.all(|other| other == first).then(|| type_name(first))?
}

/// Names of DSP0134 table 78; old types and those that name no technology ("Other", "Unknown", "RAM") have none.
fn type_name(code: u8) -> Option<&'static str> {
    Some(match code {
        0x0f => "SDRAM",
        0x12 => "DDR",
        0x13 => "DDR2",
        0x14 => "DDR2 FB-DIMM",
        0x18 => "DDR3",
        0x1a => "DDR4",
        0x1b => "LPDDR",
        0x1c => "LPDDR2",
        0x1d => "LPDDR3",
        0x1e => "LPDDR4",
        0x20 => "HBM",
        0x21 => "HBM2",
        0x22 => "DDR5",
        0x23 => "LPDDR5",
        0x24 => "HBM3",
        _ => return None,
    })
}

/// The formatted areas of the structures. Each is followed by its strings, which end with two zero bytes (§6.1.3).
struct Structures<'a>(&'a [u8]);

impl<'a> Iterator for Structures<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(*self.0.get(1)?);
        // A header is 4 bytes; less would never move on.
        let (structure, rest) = (length >= 4).then(|| self.0.split_at_checked(length))??;
        let end = rest.windows(2).position(|pair| pair == [0, 0]).map_or(rest.len(), |at| at + 2);
        self.0 = &rest[end..];
        (*structure.first()? != END_OF_TABLE).then_some(structure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn structure(kind: u8, size: u16, memory: u8) -> Vec<u8> {
        let mut bytes = vec![0u8; 0x15];
        (bytes[0], bytes[1], bytes[TYPE]) = (kind, 0x15, memory);
        bytes[SIZE..SIZE + 2].copy_from_slice(&size.to_le_bytes());
        bytes.extend_from_slice(b"DIMM 0\0Maker\0\0");
        bytes
    }

    #[test]
    fn installed_modules_of_one_type_name_it() {
        let table =
            [structure(4, 1, 0), structure(17, 0, 2), structure(17, 16384, 0x22), structure(17, 16384, 0x22)];
        assert_eq!(memory_type(&table.concat()), Some("DDR5"));
    }

    #[test]
    fn modules_that_differ_or_say_nothing_have_no_type() {
        assert_eq!(memory_type(&[structure(17, 1, 0x1a), structure(17, 1, 0x22)].concat()), None);
        assert_eq!(memory_type(&structure(17, 1, 0x07)), None, "QEMU says RAM");
        assert_eq!(
            memory_type(&[structure(127, 0, 0), structure(17, 1, 0x1a)].concat()),
            None,
            "after the end"
        );
    }

    proptest! {
        #[test]
        fn no_table_panics_or_loops(table in proptest::collection::vec(any::<u8>(), 0..200), cut in 0usize..70) {
            let _ = memory_type(&table);
            let whole = [structure(17, 1, 0x1a), structure(17, 1, 0x1a)].concat();
            let _ = memory_type(&whole[..cut.min(whole.len())]);
        }
    }
}
