//! `(statements, tables) -> counts of right, missing and wrong rows`.
//!
//! Only addresses in functions with ground truth are compared, and functions found in the padding between them.
//! Instructions, functions, blocks and edges are compared as sets; jump tables by their sets of targets.

use crate::graph::{Code, Graph, is_padding};
use crate::statements::Statements;
use binframe::ir::tables::EdgeKind;
use binframe_testsuite::lowering::Tables;
use iced_x86::Mnemonic;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;

/// Sets that are compared.
pub(crate) const MEASURES: [&str; 5] = ["instructions", "functions", "block starts", "block ends", "edges"];

/// An element of a set: an address, and for an edge its target.
pub(crate) type Element = (u64, Option<u64>);

/// Comparison of two sets.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Count {
    /// In both.
    pub(crate) right: usize,
    /// Only in the ground truth.
    pub(crate) missing: usize,
    /// Only in the tables.
    pub(crate) wrong: usize,
}

impl Count {
    /// Share of the found elements that are right.
    pub(crate) fn precision(self) -> f64 {
        share(self.right, self.right + self.wrong)
    }

    /// Share of the ground truth that is found.
    pub(crate) fn recall(self) -> f64 {
        share(self.right, self.right + self.missing)
    }

    /// Harmonic mean of precision and recall.
    pub(crate) fn f1(self) -> f64 {
        share(2 * self.right, 2 * self.right + self.missing + self.wrong)
    }
}

/// A share in percent; 100 if `whole` is 0.
#[expect(clippy::cast_precision_loss, reason = "counts are below 2^52")]
pub(crate) fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 100.0 } else { 100.0 * part as f64 / whole as f64 }
}

/// Comparison of jump tables.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct JumpTables {
    /// Number with exactly the true targets.
    pub(crate) exact: usize,
    /// Number with other targets.
    pub(crate) different: usize,
    /// Number without targets.
    pub(crate) missing: usize,
    /// Number of jumps with targets in the tables but not in the ground truth.
    pub(crate) none: usize,
}

/// Counts for one or several files.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    /// One for each of [`MEASURES`].
    pub(crate) sets: [Count; 5],
    /// Jump tables.
    pub(crate) tables: JumpTables,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        for (own, other) in self.sets.iter_mut().zip(other.sets) {
            own.right += other.right;
            own.missing += other.missing;
            own.wrong += other.wrong;
        }
        self.tables.exact += other.tables.exact;
        self.tables.different += other.tables.different;
        self.tables.missing += other.tables.missing;
        self.tables.none += other.tables.none;
    }
}

/// Counts and examples for one file.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// The counts.
    pub(crate) counts: Counts,
    /// For each of [`MEASURES`], missing and wrong elements.
    pub(crate) examples: [(Vec<Element>, Vec<Element>); 5],
    /// Jumps with wrong targets: address, true targets, found targets.
    pub(crate) tables: Vec<(u64, BTreeSet<u64>, BTreeSet<u64>)>,
}

/// Compares the tables of a file with its ground truth.
pub(crate) fn compare(
    statements: &Statements,
    graph: &Graph,
    code: &Code<'_>,
    tables: &Tables,
) -> Comparison {
    let cfg = &tables.lowered.cfg;
    let is_inside = |address: u64| statements.part_at(address).is_some();
    let instructions = tables.instructions.columns();
    let instructions =
        instructions.iter().filter(|row| row.is_valid && is_inside(row.address)).map(|row| row.address);
    let functions = cfg.functions.columns().address.to_vec();
    let padding = padding(statements, code);
    let is_judged = |address: &u64| {
        let gap = padding.range(..=*address).next_back();
        (is_inside(*address) || gap.is_some_and(|(_, end)| address < end))
            && !statements.open.contains(address)
    };
    let starts = statements.parts.iter().filter(|part| part.start == part.function).map(|part| part.start);
    let mut comparison = Comparison::default();
    comparison.set(0, graph.instructions.iter().copied().map(one), instructions.map(one));
    comparison.set(1, starts.map(one), functions.into_iter().filter(is_judged).map(one));
    if statements.flow {
        let rows: Vec<_> = cfg.basic_blocks.columns().iter().filter(|row| is_inside(row.address)).collect();
        let ends = rows.iter().map(|row| row.address.wrapping_add(row.size));
        comparison.set(2, graph.blocks.keys().copied().map(one), rows.iter().map(|row| one(row.address)));
        comparison.set(3, graph.blocks.values().copied().map(one), ends.map(one));
        // Jumps to other functions are tail calls.
        let functions: BTreeMap<u64, u64> =
            rows.iter().map(|row| (row.address, row.function_address)).collect();
        let edges = cfg.cfg_edges.columns();
        // The ground truth contains landing pads, but no edges to them.
        let edges = edges.iter().filter(|row| !matches!(row.kind, EdgeKind::Return | EdgeKind::LandingPad));
        let edges = edges.filter_map(|row| Some((row.source_address, row.target_address?)));
        let is_own = |(from, to): &(u64, u64)| {
            functions.contains_key(from) && functions.get(from) == functions.get(to)
        };
        let edges = edges.filter(is_own).map(|(from, to)| (from, Some(to)));
        comparison.set(4, graph.edges.iter().map(|(from, to)| (*from, Some(*to))), edges);
        comparison.jump_tables(statements, tables);
    }
    comparison
}

fn one(address: u64) -> Element {
    (address, None)
}

/// Ranges between functions that contain only padding, from start to end.
fn padding(statements: &Statements, code: &Code<'_>) -> BTreeMap<u64, u64> {
    let gaps = statements.parts.array_windows().map(|[left, right]| (left.end, right.start));
    let is_empty = |(start, end): &(u64, u64)| {
        start < end
            && code.bytes(*start, *end).is_some()
            && code
                .instructions(*start, *end)
                .all(|instruction| is_padding(&instruction) || instruction.mnemonic() == Mnemonic::Int3)
    };
    gaps.filter(is_empty).collect()
}

impl Comparison {
    fn set(
        &mut self,
        measure: usize,
        truth: impl Iterator<Item = Element>,
        found: impl Iterator<Item = Element>,
    ) {
        let (truth, found): (BTreeSet<Element>, BTreeSet<Element>) = (truth.collect(), found.collect());
        let missing: Vec<Element> = truth.difference(&found).copied().collect();
        let wrong: Vec<Element> = found.difference(&truth).copied().collect();
        self.counts.sets[measure] =
            Count { right: truth.len() - missing.len(), missing: missing.len(), wrong: wrong.len() };
        self.examples[measure] = (missing, wrong);
    }

    fn jump_tables(&mut self, statements: &Statements, tables: &Tables) {
        let cfg = &tables.lowered.cfg;
        let mut targets: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        for edge in cfg.cfg_edges.columns().iter().filter(|edge| edge.kind == EdgeKind::Indirect) {
            targets.entry(edge.source_address).or_default().extend(edge.target_address);
        }
        targets.retain(|_, targets| !targets.is_empty());
        let blocks: BTreeMap<u64, u64> =
            cfg.basic_blocks.columns().iter().map(|row| (row.address, row.address + row.size)).collect();
        let counts = &mut self.counts.tables;
        let mut known = BTreeSet::new();
        for (jump, expected) in &statements.tables {
            let block =
                blocks.range(..=*jump).next_back().filter(|(_, end)| jump < *end).map(|(start, _)| *start);
            known.extend(block);
            let mut found = block.and_then(|block| targets.get(&block)).cloned().unwrap_or_default();
            // Impossible cases have the address of an empty block, which may be the end of the function.
            let function = |address| statements.part_at(address).map(|part| part.function);
            let is_own = |target: &u64| function(*target) == function(*jump);
            found.retain(|target| is_own(target) || !expected.contains(target));
            let expected: BTreeSet<u64> = expected.iter().copied().filter(is_own).collect();
            if found == expected {
                counts.exact += 1;
                continue;
            }
            let place = if found.is_empty() { &mut counts.missing } else { &mut counts.different };
            *place += 1;
            self.tables.push((*jump, expected, found));
        }
        for (block, found) in targets {
            if statements.part_at(block).is_some() && !known.contains(&block) {
                counts.none += 1;
                self.tables.push((block, BTreeSet::new(), found));
            }
        }
    }
}
