//! Breaking a component: cut at its sections' boundaries, bits flipped, pieces of others put in.
//!
//! Deterministic: the same seed damages alike, so that a finding can be made again from its number.

/// Magic number, version and layer of a module or component.
const HEADER: usize = 8;
/// Sections that hold a module (core 1, component 4) or a component.
const NESTED: [u8; 2] = [1, 4];
/// The layer of a component, at byte 6 of its header.
const COMPONENT_LAYER: u8 = 1;

/// Numbers that look random: `SplitMix64` (Steele, Lea and Flood 2014), which needs no state but its seed.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Numbers that are the same for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below a bound; 0 for the bound 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = bound.max(1) as u64;
        // The remainder of a number below `bound`, which was a `usize`.
        usize::try_from(self.roll() % bound).unwrap_or(0)
    }
}

/// Where sections begin and end, at every level of nesting, in order and each once. Empty for what is no component.
pub fn boundaries(bytes: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    sections(bytes, 0, &mut found);
    found.sort_unstable();
    found.dedup();
    found
}

fn sections(bytes: &[u8], at: usize, found: &mut Vec<usize>) {
    let is_component = bytes.get(6) == Some(&COMPONENT_LAYER);
    let mut position = HEADER;
    if bytes.len() < HEADER {
        return;
    }
    found.push(at + position);
    while let Some((&id, rest)) = bytes.get(position..).and_then(<[u8]>::split_first) {
        let Some((length, width)) = leb(rest) else { return };
        let begin = position + 1 + width;
        let Some(end) = begin.checked_add(length).filter(|end| *end <= bytes.len()) else { return };
        if is_component && NESTED.contains(&id) {
            sections(&bytes[begin..end], at + begin, found);
        }
        found.push(at + end);
        position = end;
    }
}

/// An unsigned number in LEB128 and how many bytes it takes.
fn leb(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0_usize;
    for (index, byte) in bytes.iter().enumerate().take(5) {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    None
}

/// The bytes with up to eight bits flipped, none in the header: that would only be another format.
pub fn flipped(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    for _ in 0..=dice.below(8) {
        let at = HEADER + dice.below(bytes.len().saturating_sub(HEADER));
        let bit = dice.below(8);
        if let Some(byte) = damaged.get_mut(at) {
            *byte ^= 1 << bit;
        }
    }
    damaged
}

/// One of many ways to damage a component, another one among them.
pub fn damaged(bytes: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let cut = |bytes: &[u8], dice: &mut Dice| {
        let places = boundaries(bytes);
        // Mostly between sections, where what comes next is still read.
        if dice.below(4) > 0 && !places.is_empty() {
            places[dice.below(places.len())]
        } else {
            dice.below(bytes.len() + 1)
        }
    };
    match dice.below(5) {
        0 => flipped(bytes, dice),
        1 => bytes[..cut(bytes, dice)].to_vec(),
        // The beginning of one, the end of the other.
        2 => {
            let (mine, theirs) = (cut(bytes, dice), cut(other, dice));
            [&bytes[..mine], &other[theirs..]].concat()
        }
        // A piece twice, or several.
        3 => {
            let (a, b) = (cut(bytes, dice), cut(bytes, dice));
            let (from, to) = (a.min(b), a.max(b));
            let times = 1 + dice.below(3);
            [&bytes[..to], &bytes[from..to].repeat(times)[..], &bytes[to..]].concat()
        }
        // A number that is as large as it can be: lengths and counts are LEB128.
        _ => {
            let mut damaged = bytes.to_vec();
            let at = cut(bytes, dice).min(bytes.len().saturating_sub(6)) + 1;
            let end = (at + 5).min(damaged.len());
            if let Some(place) = damaged.get_mut(at..end) {
                place.copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x0f][..end - at]);
            }
            damaged
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forge::Job;

    #[test]
    fn boundaries_are_where_sections_end_at_every_level() {
        let bytes = Job::default().component();
        let found = boundaries(&bytes);
        assert_eq!((found.first(), found.last()), (Some(&HEADER), Some(&bytes.len())));
        assert!(found.len() > 20, "{found:?}");
        assert!(boundaries(b"\0asm").is_empty() && boundaries(&[]).is_empty());
    }

    #[test]
    fn the_same_seed_damages_alike() {
        let (a, b) = (Job::default().component(), Job::starting("nop").component());
        let twice = [7, 7].map(|seed| {
            let mut dice = Dice::new(seed);
            (0..200).map(|_| damaged(&a, &b, &mut dice)).collect::<Vec<_>>()
        });
        assert_eq!(twice[0], twice[1]);
        assert!(twice[0].iter().filter(|bytes| **bytes != a).count() > 150, "most of it is damage");
    }

    #[test]
    fn nothing_is_too_short_to_be_damaged() {
        let mut dice = Dice::new(1);
        for length in 0..16 {
            for _ in 0..100 {
                let _ = damaged(&vec![0; length], b"", &mut dice);
            }
        }
    }
}
