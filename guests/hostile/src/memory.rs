//! Using up memory, with and without noticing that it is refused.

use hypermesh_guest::MAX_CHUNK;
use std::hint::black_box;

/// Allocates and touches memory until the allocator gives up, which ends the guest.
pub(crate) fn eat() -> usize {
    let mut held = Vec::new();
    loop {
        held.push(black_box(vec![1_u8; MAX_CHUNK]));
        black_box(held.len());
    }
}

/// The same, down to the last kilobyte, by a guest that sees the refusal and goes on: how many bytes it has.
pub(crate) fn hold() -> usize {
    let mut held: Vec<Vec<u8>> = Vec::new();
    // Room for the list of what is held, which must not be what is refused.
    if held.try_reserve(1 << 16).is_err() {
        return 0;
    }
    let mut chunk = MAX_CHUNK;
    while chunk >= 1024 && held.len() < held.capacity() {
        let mut bytes = Vec::new();
        if bytes.try_reserve_exact(chunk).is_ok() {
            bytes.resize(chunk, 1_u8);
            held.push(black_box(bytes));
        } else {
            chunk /= 2;
        }
    }
    held.iter().map(Vec::len).sum()
}
