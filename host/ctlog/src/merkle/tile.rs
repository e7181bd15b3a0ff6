//! Tiles as c2sp.org/static-ct-api has them: 256 hashes side by side, at every eighth level of the tree, and their paths.

use super::{Hash, fold};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// Levels of the tree in a tile.
pub const TILE_HEIGHT: u8 = 8;

/// Hashes (or entries) in a full tile.
pub const TILE_WIDTH: u64 = 256;

/// The highest level of tiles: 6 × 8 levels are more than the 40 bits that a leaf's index has.
const MAX_LEVEL: u8 = 5;

/// Which tile: `tile/<L>/<N>[.p/<W>]` or `tile/data/<N>[.p/<W>]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TilePath {
    /// 0 for leaf hashes, each level above hashes full tiles of the one below; `None` for the entries.
    pub level: Option<u8>,
    /// Which of its level, from 0.
    pub index: u64,
    /// Hashes or entries in it, 1 to 256; below 256 it is partial.
    pub width: u16,
}

/// A text that is no tile's path.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{path}` is no path of a tile: {detail}")]
pub struct InvalidTilePath {
    /// The text, its first 100 characters.
    pub path: String,
    /// What is wrong.
    pub detail: &'static str,
}

impl TilePath {
    /// Leaves of the tree below one hash of this tile.
    pub(crate) fn span(self) -> u64 {
        1 << (u32::from(self.level.unwrap_or(0)) * u32::from(TILE_HEIGHT))
    }

    fn parse(path: &str) -> Result<Self, &'static str> {
        let rest = path.strip_prefix("tile/").ok_or("it does not begin with `tile/`")?;
        let (level, rest) = rest.split_once('/').ok_or("it has no index")?;
        let level = match level {
            "data" => None,
            digits => match number(digits).and_then(|level| u8::try_from(level).ok()) {
                Some(level) if level <= MAX_LEVEL => Some(level),
                Some(_) | None => return Err("its level is neither 0 to 5 nor `data`"),
            },
        };
        let (index, width) = match rest.split_once(".p/") {
            None => (rest, 256),
            Some((index, width)) => match number(width).and_then(|width| u16::try_from(width).ok()) {
                Some(width @ 1..=255) => (index, width),
                Some(_) | None => return Err("its width is not 1 to 255"),
            },
        };
        Ok(Self { level, index: parse_index(index)?, width })
    }
}

impl FromStr for TilePath {
    type Err = InvalidTilePath;
    fn from_str(path: &str) -> Result<Self, InvalidTilePath> {
        Self::parse(path).map_err(|detail| InvalidTilePath { path: path.chars().take(100).collect(), detail })
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            Some(level) => write!(f, "tile/{level}/")?,
            None => f.write_str("tile/data/")?,
        }
        let mut groups = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        while let Some(group) = groups.pop() {
            if groups.is_empty() { write!(f, "{group:03}")? } else { write!(f, "x{group:03}/")? }
        }
        if u64::from(self.width) < TILE_WIDTH { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

/// `x001/x234/067`, in the one way to write it.
fn parse_index(text: &str) -> Result<u64, &'static str> {
    const SHAPE: &str = "its index is not in groups of three digits, all but the last with `x` before them";
    let mut index = 0_u64;
    let mut groups = text.split('/').peekable();
    let mut first = true;
    while let Some(group) = groups.next() {
        let digits = if groups.peek().is_some() { group.strip_prefix('x').ok_or(SHAPE)? } else { group };
        if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(SHAPE);
        }
        if first && groups.peek().is_some() && digits == "000" {
            return Err("its index has leading zeroes");
        }
        let value = digits.parse::<u64>().map_err(|_| SHAPE)?;
        index = index
            .checked_mul(1000)
            .and_then(|index| index.checked_add(value))
            .ok_or("its index is too large")?;
        first = false;
    }
    if index < 1 << 40 { Ok(index) } else { Err("its index is too large") }
}

/// A decimal number without leading zeroes.
fn number(digits: &str) -> Option<u32> {
    let plain =
        digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    if plain { digits.parse().ok() } else { None }
}

/// A node of the tree from tiles: `read(level, first, count)` gives `count` consecutive hashes of the tiles of a level.
///
/// # Errors
/// Those of `read`. `None` when `read` gave none.
pub fn tile_node<E>(
    level: u8,
    index: u64,
    read: impl FnOnce(u8, u64, u64) -> Result<Vec<Hash>, E>,
) -> Result<Option<Hash>, E> {
    let above = level % TILE_HEIGHT;
    read(level / TILE_HEIGHT, index << above, 1 << above).map(fold)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        let path = TilePath { level: Some(0), index: 1_234_067, width: 256 };
        assert_eq!(path.to_string(), "tile/0/x001/x234/067");
        let data = TilePath { level: None, index: 5, width: 112 };
        assert_eq!(data.to_string(), "tile/data/005.p/112");
        assert_eq!("tile/data/005.p/112".parse(), Ok(data));
        assert_eq!("tile/0/x001/x234/067".parse(), Ok(path));
    }

    #[test]
    fn other_spellings_are_refused() {
        for path in [
            "",
            "tile",
            "tile/",
            "tile/0",
            "tile/0/",
            "/tile/0/000",
            "tile/6/000",
            "tile/00/000",
            "tile/-1/000",
            "tile/+1/000",
            "tile/0/0",
            "tile/0/0000",
            "tile/0/x000/001",
            "tile/0/001/002",
            "tile/0/x001",
            "tile/0/x001/x002",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p/",
            "tile/0/000/",
            "tile/0/../000",
            "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
            "tile/data/٣٣٣",
            "tile/0/x002/x000/x000/x000/000",
        ] {
            assert!(path.parse::<TilePath>().is_err(), "{path}");
        }
    }

    proptest! {
        #[test]
        fn a_path_is_read_as_it_is_written(level in prop::option::of(0..=5_u8), index in 0..1_u64 << 40, width in 1..=256_u16) {
            let path = TilePath { level, index, width };
            prop_assert_eq!(path.to_string().parse(), Ok(path));
        }

        #[test]
        fn any_text_is_read_or_refused_but_written_the_same(text in "tile/[0-9dat]{1,4}/[x0-9/.p]{1,12}") {
            if let Ok(path) = text.parse::<TilePath>() {
                prop_assert_eq!(path.to_string(), text);
            }
        }
    }
}
