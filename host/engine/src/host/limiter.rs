//! One limit on all of a guest's memory: the sum of its linear memories and tables.
//!
//! wasmtime's own limits are per memory, and a component has several. A denied growth is not an error: the guest's
//! allocator sees it and most give up by a trap, which would hide the cause. So the denial is remembered until a growth
//! succeeds, that is, until the guest has shown that it went on.

use hypermesh_model::Bytes;
use wasmtime::ResourceLimiter;

/// What a table's element takes (see [`ResourceLimiter::table_growing`]).
const ELEMENT_BYTES: u64 = size_of::<usize>() as u64;
/// Instances in one component. Each costs the host some kilobytes beside its memory.
const MAX_INSTANCES: usize = 512;
/// Memories, and tables, in one component.
const MAX_MEMORIES: usize = 256;

/// Counts what a guest holds against its limit.
#[derive(Debug)]
pub(crate) struct MemoryLimiter {
    limit: u64,
    held: u64,
    denied: Option<u64>,
}

impl MemoryLimiter {
    pub(crate) fn new(limit: Bytes) -> Self {
        Self { limit: limit.0, held: 0, denied: None }
    }

    /// What the guest would have held, if the last growth was denied.
    pub(crate) fn denied(&self) -> Option<Bytes> {
        self.denied.map(Bytes)
    }

    /// Never gives back: memories don't shrink. A growth that is granted here and then fails in the kernel stays
    /// counted, which errs on the safe side.
    fn grow(&mut self, more: u64) -> bool {
        let wanted = self.held.saturating_add(more);
        if wanted > self.limit {
            self.denied = Some(wanted);
            return false;
        }
        self.held = wanted;
        self.denied = None;
        true
    }
}

/// Whether a growth passes what the guest itself declared. It fails then, whatever the limit says.
fn over_own_maximum(desired: usize, maximum: Option<usize>) -> bool {
    maximum.is_some_and(|maximum| desired > maximum)
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(!over_own_maximum(desired, maximum) && self.grow(desired.saturating_sub(current) as u64))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = (desired.saturating_sub(current) as u64).saturating_mul(ELEMENT_BYTES);
        Ok(!over_own_maximum(desired, maximum) && self.grow(more))
    }

    fn instances(&self) -> usize {
        MAX_INSTANCES
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }

    fn tables(&self) -> usize {
        MAX_MEMORIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PAGE: usize = 64 << 10;

    #[test]
    fn several_memories_share_one_limit() {
        let mut limiter = MemoryLimiter::new(Bytes(3 * 65_536));
        assert!(limiter.memory_growing(0, 2 * PAGE, None).unwrap());
        assert!(!limiter.memory_growing(0, 2 * PAGE, None).unwrap());
        assert_eq!(limiter.denied(), Some(Bytes(4 * 65_536)));
        assert!(limiter.memory_growing(0, PAGE, None).unwrap());
        assert_eq!(limiter.denied(), None);
        assert!(!limiter.table_growing(0, 1, None).unwrap());
    }

    #[test]
    fn the_guests_own_maximum_is_not_our_denial() {
        let mut limiter = MemoryLimiter::new(Bytes::mib(1));
        assert!(!limiter.memory_growing(0, 2 * PAGE, Some(PAGE)).unwrap());
        assert_eq!(limiter.denied(), None);
    }

    proptest! {
        #[test]
        fn what_was_granted_never_passes_the_limit(
            limit in 0_u64..1 << 24,
            growths in proptest::collection::vec((any::<bool>(), 0_usize..64, 0_usize..64), 0..64),
        ) {
            let mut limiter = MemoryLimiter::new(Bytes(limit));
            let mut granted = 0_u64;
            for (memory, current, more) in growths {
                let (unit, grown) = if memory {
                    (PAGE, limiter.memory_growing(current * PAGE, (current + more) * PAGE, None).unwrap())
                } else {
                    (8, limiter.table_growing(current, current + more, None).unwrap())
                };
                granted += if grown { (more * unit) as u64 } else { 0 };
                prop_assert!(granted <= limit);
                prop_assert_eq!(limiter.denied().is_some(), !grown);
            }
        }
    }
}
