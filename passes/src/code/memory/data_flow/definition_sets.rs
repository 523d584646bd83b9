//! Interned sets of definitions.

use std::collections::HashMap;

/// Definitions that a set holds at most; a larger union is [`DefSet::MANY`].
const DEFINITIONS_MAX: usize = 32;

/// A set of definitions, which are numbers: empty, a single one, an interned set of several, or `MANY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct DefSet(u32);

impl DefSet {
    pub(super) const NONE: Self = Self(0);
    /// The top element: more definitions than are kept.
    pub(super) const MANY: Self = Self(1);
    /// Interned sets are numbered from here on; a single definition is two more than its number.
    const FIRST_INTERNED: u32 = 1 << 31;

    /// The set of a single definition.
    pub(super) fn one(definition: u32) -> Self {
        Self(definition + 2)
    }
}

/// The interned sets, and the unions computed so far.
#[derive(Debug, Default)]
pub(super) struct DefSets {
    interned: Vec<Vec<u32>>,
    numbers: HashMap<Vec<u32>, u32>,
    unions: HashMap<(DefSet, DefSet), DefSet>,
}

impl DefSets {
    /// Removes all interned sets. Sets of several definitions are invalid afterwards.
    pub(super) fn clear(&mut self) {
        self.interned.clear();
        self.numbers.clear();
        self.unions.clear();
    }

    /// The definitions of a set in ascending order; empty for `MANY`.
    pub(super) fn of(&self, set: DefSet) -> impl Iterator<Item = u32> {
        let one = (set.0 > DefSet::MANY.0 && set.0 < DefSet::FIRST_INTERNED).then(|| set.0 - 2);
        let several = set.0.checked_sub(DefSet::FIRST_INTERNED).map(|index| &self.interned[index as usize]);
        one.into_iter().chain(several.into_iter().flatten().copied())
    }

    /// The union of two sets.
    pub(super) fn union(&mut self, one: DefSet, other: DefSet) -> DefSet {
        match (one, other) {
            (DefSet::NONE, set) | (set, DefSet::NONE) => return set,
            (DefSet::MANY, _) | (_, DefSet::MANY) => return DefSet::MANY,
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
        let union = if all.len() > DEFINITIONS_MAX { DefSet::MANY } else { self.intern(all) };
        self.unions.insert((one, other), union);
        union
    }

    fn intern(&mut self, definitions: Vec<u32>) -> DefSet {
        let next = self.interned.len() as u32;
        let number = *self.numbers.entry(definitions).or_insert_with_key(|definitions| {
            self.interned.push(definitions.clone());
            next
        });
        DefSet(DefSet::FIRST_INTERNED + number)
    }
}
