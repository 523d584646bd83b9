//! `(edges, entry) -> order`: the order in which the blocks of a function are followed.
//!
//! Blocks that lead to each other, in loops and in loops of those, are a component. Components stand in the order in which control
//! can pass from one to the next, so that all is known of one before those behind it are followed; within one, blocks stand in
//! reverse postorder.
//!
//! Source: R. Tarjan (1972), "Depth-first search and linear graph algorithms".

use std::cmp::Reverse;
use std::ops::Range;

/// The place of a block that no way leads to.
const NOWHERE: u32 = u32::MAX;

/// Blocks in their order, by their positions in the function.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// Those that some way leads to.
    pub(super) blocks: Vec<u32>,
    /// Where each block stands in that order.
    places: Vec<u32>,
    /// The component of each block, numbered from the last on.
    components: Vec<u32>,
    /// The first block that was found of those that a block leads back to.
    lowest: Vec<u32>,
    open: Vec<u32>,
}

impl Order {
    /// Forgets what was known of another function, and makes room for so many blocks.
    pub(super) fn clear(&mut self, blocks: usize) {
        self.blocks.clear();
        for places in [&mut self.places, &mut self.components, &mut self.lowest] {
            places.clear();
            places.resize(blocks, NOWHERE);
        }
    }

    /// Where a block stands, if a way leads to it.
    pub(super) fn place(&self, block: u32) -> Option<u32> {
        Some(self.places[block as usize]).filter(|place| *place != NOWHERE)
    }

    /// The places of the component that begins at one.
    pub(super) fn component_at(&self, place: usize) -> Range<usize> {
        let component = |place: &usize| self.components[self.blocks[*place] as usize];
        let own = (place..self.blocks.len()).take_while(|other| component(other) == component(&place));
        place..place + own.count()
    }

    /// Sorts the blocks that are reached from one, given the edges of all, and where those of each begin.
    pub(super) fn find(&mut self, entry: u32, offsets: &[u32], target: impl Fn(u32) -> u32) {
        let (mut found, mut components) = (0, 0);
        let mut way = Vec::new();
        self.visit(entry, &mut found);
        way.push((entry, offsets[entry as usize]));
        while let Some((block, next)) = way.last_mut() {
            let block = *block;
            if *next < offsets[block as usize + 1] {
                let target = target(*next);
                *next += 1;
                if self.places[target as usize] == NOWHERE {
                    self.visit(target, &mut found);
                    way.push((target, offsets[target as usize]));
                } else if self.components[target as usize] == NOWHERE {
                    self.lower(block, self.places[target as usize]);
                }
                continue;
            }
            self.blocks.push(block);
            if self.lowest[block as usize] == self.places[block as usize] {
                self.close(block, components);
                components += 1;
            }
            way.pop();
            if let Some((parent, _)) = way.last() {
                self.lower(*parent, self.lowest[block as usize]);
            }
        }
        self.blocks.reverse();
        let components = &self.components;
        self.blocks.sort_by_key(|block| Reverse(components[*block as usize]));
        for (place, block) in self.blocks.iter().enumerate() {
            self.places[*block as usize] = place as u32;
        }
    }

    fn visit(&mut self, block: u32, found: &mut u32) {
        self.places[block as usize] = *found;
        self.lowest[block as usize] = *found;
        self.open.push(block);
        *found += 1;
    }

    fn lower(&mut self, block: u32, lowest: u32) {
        let own = &mut self.lowest[block as usize];
        *own = lowest.min(*own);
    }

    /// All blocks that were found from one on, and are in no component yet, are one.
    fn close(&mut self, first: u32, component: u32) {
        while let Some(block) = self.open.pop() {
            self.components[block as usize] = component;
            if block == first {
                break;
            }
        }
    }
}

/// Places that wait, of which the first is taken first.
#[derive(Debug)]
pub(super) struct Waiting(Vec<u64>, usize);

impl Waiting {
    pub(super) fn new(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)], 0)
    }

    pub(super) fn add(&mut self, place: u32) {
        let word = place as usize / 64;
        self.0[word] |= 1 << (place % 64);
        self.1 = self.1.min(word);
    }

    pub(super) fn take_first(&mut self) -> Option<u32> {
        while let Some(bits) = self.0.get_mut(self.1) {
            if *bits != 0 {
                let bit = bits.trailing_zeros();
                *bits &= *bits - 1;
                return Some(self.1 as u32 * 64 + bit);
            }
            self.1 += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::Order;

    /// The components of a graph, in their order, given the edges of each of its blocks.
    fn components(edges: &[&[u32]]) -> Vec<Vec<u32>> {
        let mut offsets = vec![0];
        offsets.extend(edges.iter().scan(0, |end, own| {
            *end += own.len() as u32;
            Some(*end)
        }));
        let targets: Vec<u32> = edges.iter().flat_map(|own| own.iter().copied()).collect();
        let mut order = Order::default();
        order.clear(edges.len());
        order.find(0, &offsets, |edge| targets[edge as usize]);
        let mut components = Vec::new();
        let mut next = 0;
        while next < order.blocks.len() {
            let places = order.component_at(next);
            next = places.end;
            components.push(order.blocks[places].to_vec());
        }
        components
    }

    #[test]
    fn what_lies_behind_a_loop_stands_behind_it() {
        // 0 -> 1 -> 2 -> 1, 1 -> 3: the block behind the loop is found before the loop's own.
        assert_eq!(components(&[&[1], &[3, 2], &[1], &[]]), [vec![0], vec![1, 2], vec![3]]);
        assert_eq!(components(&[&[1], &[2, 3], &[1], &[]]), [vec![0], vec![1, 2], vec![3]]);
    }

    #[test]
    fn loops_in_loops_are_one() {
        assert_eq!(components(&[&[1], &[2], &[1, 3], &[0, 4], &[]]), [vec![0, 1, 2, 3], vec![4]]);
    }

    #[test]
    fn blocks_that_no_way_leads_to_stand_nowhere() {
        assert_eq!(components(&[&[2], &[2], &[]]), [vec![0], vec![2]]);
    }
}
