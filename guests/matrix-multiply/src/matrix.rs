//! Square matrices of doubles: generated, multiplied in blocks, summed up.
//!
//! Blocks keep the part of the right matrix that is in use in the cache. Every element still adds its products in the
//! same order whatever the block size, so blocking doesn't change the answer.

/// Rows and columns of a block: 64 × 64 doubles are 32 KiB, a common first-level cache.
const BLOCK: usize = 64;

/// A square matrix, row by row.
pub(crate) struct Matrix {
    size: usize,
    elements: Vec<f64>,
}

impl Matrix {
    /// Pseudo-random elements in [-1, 1), the same for the same seed everywhere.
    pub(crate) fn generated(size: usize, seed: u64) -> Self {
        let mut state = seed;
        let elements = (0..size * size).map(|_| unit(split_mix(&mut state))).collect();
        Self { size, elements }
    }

    /// The product `self × right`, telling `done` the number of finished rows after each block of rows.
    pub(crate) fn times(&self, right: &Self, mut done: impl FnMut(usize)) -> Self {
        let n = self.size;
        let mut elements = vec![0.0; n * n];
        for (block, rows) in elements.chunks_mut(BLOCK * n).enumerate() {
            let first = block * BLOCK;
            for inner in (0..n).step_by(BLOCK) {
                for (row, sums) in rows.chunks_mut(n).enumerate() {
                    let left = &self.elements[(first + row) * n..][..n];
                    self.add_products(&left[inner..n.min(inner + BLOCK)], inner, right, sums);
                }
            }
            done(first + rows.len() / n);
        }
        Self { size: n, elements }
    }

    /// Adds to a row of the product what the elements `left` of the left row, from column `inner` on, give.
    fn add_products(&self, left: &[f64], inner: usize, right: &Self, sums: &mut [f64]) {
        for (offset, factor) in left.iter().enumerate() {
            let row = &right.elements[(inner + offset) * self.size..][..self.size];
            for (sum, element) in sums.iter_mut().zip(row) {
                *sum += factor * element;
            }
        }
    }

    /// The sum of the diagonal.
    pub(crate) fn trace(&self) -> f64 {
        self.elements.iter().step_by(self.size + 1).sum()
    }

    /// The sum of all elements.
    pub(crate) fn sum(&self) -> f64 {
        self.elements.iter().sum()
    }
}

/// `SplitMix64` (Steele, Lea, Flood 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The upper 53 bits as a number in [-1, 1).
#[expect(clippy::cast_precision_loss, reason = "53 bits fit a double")]
fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_gives_the_published_values() {
        let mut state = 1_234_567;
        assert_eq!(split_mix(&mut state), 6_457_827_717_110_365_317);
        assert_eq!(split_mix(&mut state), 3_203_168_211_198_807_973);
    }

    #[test]
    fn blocks_give_what_the_definition_gives() {
        for n in [1, 2, 63, 64, 65, 130] {
            let [a, b] = [Matrix::generated(n, 1), Matrix::generated(n, 2)];
            let product = a.times(&b, |_| {});
            for i in 0..n {
                for j in 0..n {
                    let expected: f64 = (0..n).map(|k| a.elements[i * n + k] * b.elements[k * n + j]).sum();
                    assert!((product.elements[i * n + j] - expected).abs() < 1e-9, "{n}: {i} {j}");
                }
            }
        }
    }

    #[test]
    fn elements_are_within_the_range() {
        assert!(Matrix::generated(64, 3).elements.iter().all(|x| (-1.0..1.0).contains(x)));
    }
}
