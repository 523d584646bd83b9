//! Comparison of functions: `(functions, instructions) of two binaries -> unchanged, moved, changed, added and removed
//! functions`.
//!
//! *Algorithm.* (1) Compute the content of each function: a fingerprint of its instructions (`content`), or of its size
//! and counts if a source has no instructions. (2) Pair functions with equal name and content, in the order of
//! addresses. (3) Pair the remaining functions of each name in the order of addresses. Functions without a name are
//! paired by content only. (4) For the first changed pairs, count the instructions to remove and to add
//! (`edit_distance`).
//!
//! *Approximation.* A renamed function is one removed and one added function.

use super::content;
use super::side::{ComparedFunction, Side};
use binframe::Error;
use binframe::ir::tables::{Functions, Instructions};
use binframe::ir::{Fingerprint, Table};
use std::collections::BTreeMap;
use std::ops::Range;

/// Differences of the functions of two versions.
#[derive(Debug, Clone, Default)]
pub struct FunctionsDifference {
    /// Number of functions of the old version.
    pub old_count: usize,
    /// Number of functions of the new version.
    pub new_count: usize,
    /// Number of pairs with equal content.
    pub unchanged: usize,
    /// Number of pairs, changed or not, with different addresses.
    pub moved: usize,
    /// Pairs with the same name and different content, by old address.
    pub changed: Vec<ChangedFunction>,
    /// Functions of the new version without a pair, by address.
    pub added: Vec<ComparedFunction>,
    /// Functions of the old version without a pair, by address.
    pub removed: Vec<ComparedFunction>,
    /// Whether instructions were compared; otherwise only size, block count and instruction count.
    pub has_instructions: bool,
}

/// A pair of functions with different content.
#[derive(Debug, Clone)]
pub struct ChangedFunction {
    /// Name.
    pub name: String,
    /// Address range in the old version.
    pub old: Range<u64>,
    /// Address range in the new version.
    pub new: Range<u64>,
    /// Number of instructions to remove from the old function, and to add, to get the new one; `None` if not counted.
    pub instructions: Option<(usize, usize)>,
}

impl FunctionsDifference {
    /// Whether all functions are unchanged and at their old addresses.
    pub fn is_empty(&self) -> bool {
        self.moved == 0 && self.changed.is_empty() && self.added.is_empty() && self.removed.is_empty()
    }
}

/// Compares the functions of two binaries, and counts the edits of at most `counted_max` changed ones. `None` if a
/// source does not have the table.
pub(super) fn compare_functions(
    old_side: &Side<'_>,
    new_side: &Side<'_>,
    counted_max: usize,
) -> Result<Option<FunctionsDifference>, Error> {
    let has = |info| old_side.source.has_table(info) && new_side.source.has_table(info);
    if !has(Functions::INFO) {
        return Ok(None);
    }
    let has_instructions = has(Instructions::INFO);
    let (old, new) = (Version::load(old_side, has_instructions)?, Version::load(new_side, has_instructions)?);
    let pairs = pair(&old, &new);
    let moved =
        |(i, j): &&(usize, usize)| old.functions[*i].addresses.start != new.functions[*j].addresses.start;
    let changed: Vec<_> =
        pairs.iter().copied().filter(|(i, j)| old.contents[*i] != new.contents[*j]).collect();
    let mut difference = FunctionsDifference {
        old_count: old.functions.len(),
        new_count: new.functions.len(),
        unchanged: pairs.len() - changed.len(),
        moved: pairs.iter().filter(moved).count(),
        changed: changed
            .iter()
            .map(|(i, j)| ChangedFunction::of(&old.functions[*i], &new.functions[*j]))
            .collect(),
        added: unpaired(&new.functions, pairs.iter().map(|pair| pair.1)),
        removed: unpaired(&old.functions, pairs.iter().map(|pair| pair.0)),
        has_instructions,
    };
    if has_instructions {
        let (old_indexes, new_indexes): (Vec<_>, Vec<_>) = changed.into_iter().take(counted_max).unzip();
        let old_sequences = content::sequences(old_side, &old.functions, &old_indexes)?;
        let new_sequences = content::sequences(new_side, &new.functions, &new_indexes)?;
        let sequences = old_sequences.iter().zip(&new_sequences);
        for (changed, (old_sequence, new_sequence)) in difference.changed.iter_mut().zip(sequences) {
            changed.instructions = Some(content::edit_count(old_sequence, new_sequence));
        }
    }
    Ok(Some(difference))
}

impl ChangedFunction {
    fn of(old: &ComparedFunction, new: &ComparedFunction) -> Self {
        Self {
            name: old.name.clone().unwrap_or_default(),
            old: old.addresses.clone(),
            new: new.addresses.clone(),
            instructions: None,
        }
    }
}

/// The functions of a version, by address, and the content of each.
struct Version {
    functions: Vec<ComparedFunction>,
    contents: Vec<Fingerprint>,
}

impl Version {
    fn load(side: &Side<'_>, has_instructions: bool) -> Result<Self, Error> {
        let mut functions = Vec::new();
        let mut sizes = Vec::new();
        for rows in side.all::<Functions>()? {
            for function in rows.columns().iter() {
                functions.push(ComparedFunction {
                    name: function.function_name.map(str::to_owned),
                    addresses: function.address..function.address + function.size,
                });
                let size = [function.size, function.block_count.into(), function.instruction_count.into()];
                sizes.push(Fingerprint::of_bytes(size.map(u64::to_le_bytes).as_flattened()));
            }
        }
        let contents = if has_instructions { content::fingerprints(side, &functions)? } else { sizes };
        Ok(Self { functions, contents })
    }
}

/// The functions whose indexes are not among `paired`.
fn unpaired(functions: &[ComparedFunction], paired: impl Iterator<Item = usize>) -> Vec<ComparedFunction> {
    let mut is_paired = vec![false; functions.len()];
    paired.for_each(|index| is_paired[index] = true);
    let functions = functions.iter().zip(is_paired);
    functions.filter(|(_, is_paired)| !is_paired).map(|(function, _)| function.clone()).collect()
}

/// Pairs functions of the same name: first those with equal content, then the rest in the order of addresses. Functions
/// without a name are paired by content only. Pairs are sorted by old function.
fn pair(old: &Version, new: &Version) -> Vec<(usize, usize)> {
    let mut groups: BTreeMap<Option<&str>, [BTreeMap<Fingerprint, Vec<usize>>; 2]> = BTreeMap::new();
    for (side, version) in [old, new].into_iter().enumerate() {
        // In reverse, because the pairs are popped from the end below.
        for (index, function) in version.functions.iter().enumerate().rev() {
            let group = groups.entry(function.name.as_deref()).or_default();
            group[side].entry(version.contents[index]).or_default().push(index);
        }
    }
    let mut pairs = Vec::new();
    for (name, [mut old, mut new]) in groups {
        for (content, old) in &mut old {
            let Some(new) = new.get_mut(content) else { continue };
            while let (Some(_), Some(_)) = (old.last(), new.last()) {
                pairs.extend(old.pop().zip(new.pop()));
            }
        }
        if name.is_some() {
            let in_order = |group: BTreeMap<_, Vec<usize>>| {
                let mut rest: Vec<_> = group.into_values().flatten().collect();
                rest.sort_unstable();
                rest
            };
            pairs.extend(in_order(old).into_iter().zip(in_order(new)));
        }
    }
    pairs.sort_unstable();
    pairs
}
