//! Reaching definitions: which of the definitions of one register, flag or slot hold where each block of a function begins.
//!
//! Source: F. E. Allen and J. Cocke (1976), "A program data flow analysis procedure".

use crate::code::memory::follow::Follower;
use crate::code::memory::order::Waiting;
use binframe_ir::tables::EdgeKind;
use std::collections::HashMap;

/// Definitions that are told apart where ways come together.
const DEFINITIONS_MAX: usize = 32;

/// A set of definitions, of which each has a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Set(u32);

impl Set {
    pub(super) const NONE: Self = Self(0);
    /// More than are told apart.
    pub(super) const MANY: Self = Self(1);
    /// Sets of one are their definition; others are numbered from here on.
    const SEVERAL: u32 = 1 << 31;

    pub(super) fn one(definition: u32) -> Self {
        Self(definition + 2)
    }
}

/// Sets of several definitions, each kept once.
#[derive(Debug, Default)]
pub(super) struct Sets {
    several: Vec<Vec<u32>>,
    numbers: HashMap<Vec<u32>, u32>,
    unions: HashMap<(Set, Set), Set>,
}

impl Sets {
    pub(super) fn clear(&mut self) {
        self.several.clear();
        self.numbers.clear();
        self.unions.clear();
    }

    /// The definitions in a set, in their order; none for many.
    pub(super) fn of(&self, set: Set) -> impl Iterator<Item = u32> {
        let one = (set.0 > Set::MANY.0 && set.0 < Set::SEVERAL).then(|| set.0 - 2);
        let several = set.0.checked_sub(Set::SEVERAL).map(|index| &self.several[index as usize]);
        one.into_iter().chain(several.into_iter().flatten().copied())
    }

    pub(super) fn union(&mut self, one: Set, other: Set) -> Set {
        match (one, other) {
            (Set::NONE, set) | (set, Set::NONE) => return set,
            (Set::MANY, _) | (_, Set::MANY) => return Set::MANY,
            _ if one == other => return one,
            _ => {}
        }
        if let Some(known) = self.unions.get(&(one, other)) {
            return *known;
        }
        let mut all = Vec::with_capacity(2 * DEFINITIONS_MAX);
        all.extend(self.of(one));
        all.extend(self.of(other));
        all.sort_unstable();
        all.dedup();
        let union = if all.len() > DEFINITIONS_MAX { Set::MANY } else { self.several(all) };
        self.unions.insert((one, other), union);
        union
    }

    fn several(&mut self, definitions: Vec<u32>) -> Set {
        let next = self.several.len() as u32;
        let number = *self.numbers.entry(definitions).or_insert_with_key(|definitions| {
            self.several.push(definitions.clone());
            next
        });
        Set(Set::SEVERAL + number)
    }
}

/// What a block does with what is defined before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effect {
    pub(super) block: u32,
    /// What it defines, as far as that holds behind it.
    pub(super) left: Set,
    /// Whether nothing that was defined before it holds behind it.
    pub(super) kills: bool,
    /// What it defines up to its last call, which may throw.
    pub(super) thrown: Set,
}

/// Finds which definitions hold where blocks begin, given what some blocks do, in their order, and what holds where the function is
/// entered.
pub(super) fn reach(
    follower: &Follower<'_, '_>,
    effects: &[Effect],
    at_entry: Set,
    sets: &mut Sets,
    before: &mut Vec<Set>,
) {
    before.clear();
    before.resize(follower.rows.len(), Set::NONE);
    let mut waiting = Waiting::new(follower.order.blocks.len());
    if let Some(entry) = follower.order.blocks.first() {
        before[*entry as usize] = at_entry;
        waiting.add(0);
    }
    for effect in effects {
        if let Some(place) = follower.order.place(effect.block) {
            waiting.add(place);
        }
    }
    while let Some(place) = waiting.take_first() {
        let block = follower.order.blocks[place as usize];
        let held = before[block as usize];
        let effect = effects.binary_search_by_key(&block, |effect| effect.block).ok().map(|row| effects[row]);
        let behind = match effect {
            Some(Effect { left, kills: true, .. }) => left,
            Some(Effect { left, .. }) => sets.union(held, left),
            None => held,
        };
        for successor in follower.successors_of(block) {
            let reached = match (successor.kind, effect) {
                (EdgeKind::LandingPad, Some(Effect { thrown, .. })) => sets.union(held, thrown),
                (EdgeKind::LandingPad, None) => held,
                _ => behind,
            };
            let known = before[successor.target as usize];
            let union = sets.union(known, reached);
            if union != known {
                before[successor.target as usize] = union;
                waiting.add(follower.order.place(successor.target).expect("what follows a block is reached"));
            }
        }
    }
}
