//! Functions of two versions of an executable, matched by name.

use super::{Side, content};
use binframe::Error;
use binframe::ir::tables::{Functions, Instructions};
use binframe::ir::{Fingerprint, Table};
use std::collections::BTreeMap;
use std::ops::Range;

/// How the functions of two versions differ.
#[derive(Debug, Clone, Default)]
pub struct FunctionsDifference {
    /// Functions of the old version.
    pub old_count: usize,
    /// Functions of the new version.
    pub new_count: usize,
    /// Functions of the same name and content, or of no name and the same content.
    pub unchanged: usize,
    /// Matched functions, changed or not, that lie at another address.
    pub moved: usize,
    /// Functions of the same name and other content, by their old addresses.
    pub changed: Vec<ChangedFunction>,
    /// Functions that only the new version has, by address.
    pub added: Vec<ComparedFunction>,
    /// Functions that only the old version has, by address.
    pub removed: Vec<ComparedFunction>,
    /// Whether content means instructions; where a source was made without them, it means size and counts.
    pub has_instructions: bool,
}

/// A function of one version.
#[derive(Debug, Clone)]
pub struct ComparedFunction {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Where it lies.
    pub addresses: Range<u64>,
}

/// A function of both versions whose content differs.
#[derive(Debug, Clone)]
pub struct ChangedFunction {
    /// Its name.
    pub name: String,
    /// Where it lies in the old version.
    pub old: Range<u64>,
    /// Where it lies in the new version.
    pub new: Range<u64>,
    /// How many instructions are to be removed and added to make the new function of the old; none where it was not counted.
    pub instructions: Option<(usize, usize)>,
}

impl FunctionsDifference {
    /// Whether all functions are the same and lie where they lay.
    pub fn is_empty(&self) -> bool {
        self.moved == 0 && self.changed.is_empty() && self.added.is_empty() && self.removed.is_empty()
    }
}

/// Compares functions, unless a source has none.
pub(super) fn diff(
    old: &Side<'_>,
    new: &Side<'_>,
    counted_max: usize,
) -> Result<Option<FunctionsDifference>, Error> {
    let has = |info| old.source.has_table(info) && new.source.has_table(info);
    if !has(Functions::INFO) {
        return Ok(None);
    }
    let has_instructions = has(Instructions::INFO);
    let (old_functions, old_contents) = load(old, has_instructions)?;
    let (new_functions, new_contents) = load(new, has_instructions)?;
    let pairs = pair((&old_functions, &old_contents), (&new_functions, &new_contents));
    let mut difference = FunctionsDifference {
        old_count: old_functions.len(),
        new_count: new_functions.len(),
        has_instructions,
        ..FunctionsDifference::default()
    };
    let mut is_matched = (vec![false; old_functions.len()], vec![false; new_functions.len()]);
    let mut counted = (Vec::new(), Vec::new());
    for (i, j) in pairs {
        (is_matched.0[i], is_matched.1[j]) = (true, true);
        let (old_function, new_function) = (&old_functions[i], &new_functions[j]);
        difference.moved += usize::from(old_function.addresses.start != new_function.addresses.start);
        if old_contents[i] == new_contents[j] {
            difference.unchanged += 1;
            continue;
        }
        if difference.changed.len() < counted_max {
            counted.0.push(i);
            counted.1.push(j);
        }
        difference.changed.push(ChangedFunction {
            name: old_function.name.clone().unwrap_or_default(),
            old: old_function.addresses.clone(),
            new: new_function.addresses.clone(),
            instructions: None,
        });
    }
    let lone = |functions: &[ComparedFunction], is_matched: &[bool]| {
        let functions = functions.iter().zip(is_matched);
        functions.filter(|(_, is_matched)| !**is_matched).map(|(function, _)| function.clone()).collect()
    };
    difference.removed = lone(&old_functions, &is_matched.0);
    difference.added = lone(&new_functions, &is_matched.1);
    if has_instructions {
        let old_sequences = content::sequences(old, &old_functions, &counted.0)?;
        let new_sequences = content::sequences(new, &new_functions, &counted.1)?;
        let sequences = old_sequences.iter().zip(&new_sequences);
        for (changed, (old_sequence, new_sequence)) in difference.changed.iter_mut().zip(sequences) {
            changed.instructions = Some(content::instructions_changed(old_sequence, new_sequence));
        }
    }
    Ok(Some(difference))
}

/// The functions of one side and their contents.
fn load(side: &Side<'_>, has_instructions: bool) -> Result<(Vec<ComparedFunction>, Vec<Fingerprint>), Error> {
    let mut functions = Vec::new();
    let mut shapes = Vec::new();
    for rows in side.all::<Functions>()? {
        for function in rows.columns().iter() {
            functions.push(ComparedFunction {
                name: function.name.map(str::to_owned),
                addresses: function.address..function.address + function.size,
            });
            let shape = [function.size, function.block_count.into(), function.instruction_count.into()];
            shapes.push(Fingerprint::of_bytes(shape.map(u64::to_le_bytes).as_flattened()));
        }
    }
    let contents = if has_instructions { content::fingerprints(side, &functions)? } else { shapes };
    Ok((functions, contents))
}

/// Pairs the functions of each name: first those of the same content, then the rest in their order. Functions without a
/// name pair by content only. The pairs come in the order of the old functions.
fn pair(
    old: (&[ComparedFunction], &[Fingerprint]),
    new: (&[ComparedFunction], &[Fingerprint]),
) -> Vec<(usize, usize)> {
    let mut groups: BTreeMap<Option<&str>, [BTreeMap<Fingerprint, Vec<usize>>; 2]> = BTreeMap::new();
    for (side, (functions, contents)) in [old, new].into_iter().enumerate() {
        // From the last to the first: what is popped below comes in order.
        for (index, function) in functions.iter().enumerate().rev() {
            let group = groups.entry(function.name.as_deref()).or_default();
            group[side].entry(contents[index]).or_default().push(index);
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
