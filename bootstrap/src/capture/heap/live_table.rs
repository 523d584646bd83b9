//! The allocations that are not released, by address.
//!
//! *Problem.* Each event looks up an address that is in no cache, which costs more than all else that is done for it. So the
//! reader announces the addresses of the next records ([`LiveTable::prefetch`]).
//!
//! *Algorithm.* Open addressing with linear probing, at most half full. A removal moves later entries of the same sequence
//! back, so that there are no marks of removed entries.
//!
//! *Source.* Knuth, The Art of Computer Programming, volume 3, section 6.4, algorithms L and R.

/// An allocation that is not released.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Live {
    pub(super) size: u64,
    pub(super) allocated_at: i64,
    pub(super) thread: u32,
    pub(super) call_site: u32,
}

/// Allocations by address.
pub(super) struct LiveTable {
    /// Addresses with their allocations; the address 0 marks a free entry.
    entries: Vec<(u64, Live)>,
    count: usize,
}

/// Entries at first.
const CAPACITY_MIN: usize = 1 << 12;

impl Default for LiveTable {
    fn default() -> Self {
        Self { entries: vec![(0, Live::default()); CAPACITY_MIN], count: 0 }
    }
}

impl LiveTable {
    /// The entry at which the search for an address starts.
    fn first(&self, address: u64) -> usize {
        // Multiplicative hashing by the golden ratio. Addresses of allocations are multiples of 16.
        let hash = (address >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (hash >> (64 - self.entries.len().ilog2())) as usize
    }

    /// The entry of an address, or the free entry at which its search ends.
    fn find(&self, address: u64) -> usize {
        let mask = self.entries.len() - 1;
        let mut index = self.first(address);
        while self.entries[index].0 != address && self.entries[index].0 != 0 {
            index = (index + 1) & mask;
        }
        index
    }

    /// Adds an allocation, and returns the one that was at its address.
    pub(super) fn insert(&mut self, address: u64, allocation: Live) -> Option<Live> {
        if address == 0 {
            return None;
        }
        if self.count * 2 >= self.entries.len() {
            let larger = vec![(0, Live::default()); self.entries.len() * 2];
            for (address, allocation) in std::mem::replace(&mut self.entries, larger) {
                if address != 0 {
                    let index = self.find(address);
                    self.entries[index] = (address, allocation);
                }
            }
        }
        let index = self.find(address);
        let (found, previous) = std::mem::replace(&mut self.entries[index], (address, allocation));
        self.count += usize::from(found == 0);
        (found != 0).then_some(previous)
    }

    /// Removes the allocation at an address, and returns it.
    pub(super) fn remove(&mut self, address: u64) -> Option<Live> {
        let mut free = self.find(address);
        let (found, allocation) = self.entries[free];
        if found == 0 {
            return None;
        }
        self.count -= 1;
        let mask = self.entries.len() - 1;
        let mut next = free;
        loop {
            self.entries[free].0 = 0;
            loop {
                next = (next + 1) & mask;
                let own = self.entries[next].0;
                if own == 0 {
                    return Some(allocation);
                }
                // An entry whose search starts after the free one is found without it.
                let distance = next.wrapping_sub(self.first(own)) & mask;
                if distance >= next.wrapping_sub(free) & mask {
                    break;
                }
            }
            self.entries[free] = self.entries[next];
            free = next;
        }
    }

    /// Removes all allocations, and returns them.
    pub(super) fn take_all(&mut self) -> Vec<(u64, Live)> {
        let entries = std::mem::take(self).entries;
        entries.into_iter().filter(|(address, _)| *address != 0).collect()
    }

    /// Loads the entry of an address into the cache.
    #[expect(unsafe_code, reason = "the standard library has no safe function for it")]
    pub(super) fn prefetch(&self, address: u64) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let entry: *const (u64, Live) = &raw const self.entries[self.first(address)];
            // SAFETY: it has no effect but on time.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(entry.cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = address;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn it_has_what_a_map_has() {
        let (mut table, mut expected) = (LiveTable::default(), BTreeMap::new());
        let mut state = 1_u64;
        for step in 0..200_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // Few addresses, so that they come again, and long sequences of full entries.
            let address = (state >> 50) * 16;
            let live = Live { size: step, ..Live::default() };
            match state >> 40 & 1 {
                0 if address != 0 => assert_eq!(table.insert(address, live), expected.insert(address, live)),
                _ => assert_eq!(table.remove(address), expected.remove(&address)),
            }
        }
        let mut all = table.take_all();
        all.sort_unstable_by_key(|(address, _)| *address);
        assert_eq!(all, expected.into_iter().collect::<Vec<_>>());
        assert_eq!(table.remove(16), None);
    }
}
