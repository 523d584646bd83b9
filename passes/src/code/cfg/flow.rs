//! The control flow that is recovered: of a function, and of the program. Data only; traversal fills it.

use super::facts::CfgFacts;
use super::function_ranges::{FunctionRange, FunctionRanges};
use super::ids::{BranchId, CodeLocation, FunctionId, RangeId};
use binframe_ir::tables::{BoundEvidence, JumpTableKind};

/// A jump table: an indirect jump whose targets are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JumpTable {
    pub(super) jump: BranchId,
    /// Address of the first entry.
    pub(super) address: u64,
    pub(super) kind: JumpTableKind,
    /// Size of an entry in bytes.
    pub(super) entry_size: u8,
    /// The address to which entries are relative; `None` if they are absolute.
    pub(super) base: Option<u64>,
    /// Address of the table of entry indices from which the index is loaded; `None` if there is none.
    pub(super) index_address: Option<u64>,
    /// How the number of entries is known.
    pub(super) bound: BoundEvidence,
    /// The targets, in the order of the entries; `None` for an entry that points to the end of the function, as
    /// compilers emit for impossible cases.
    pub(super) targets: Vec<Option<CodeLocation>>,
}

/// Limit of the targets of all indirect jumps of a function after its first table. Compilers emit about as many targets
/// as jumps, and far more blocks.
pub(super) fn targets_max(block_count: usize) -> usize {
    (1 << 12) + block_count * 16
}

/// The control flow of one function, as far as it is recovered.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct FunctionCfg {
    /// Whether a path from the entry, or from where another function enters this one, reaches a return, a tail call
    /// that may return, another edge out of the function, or an unknown target. An unresolved jump counts as an unknown
    /// target unless it has address-taken targets. False for functions that do not return by their name.
    pub(super) may_return: bool,
    /// Whether a path reaches a return instruction.
    pub(super) reaches_return: bool,
    /// The fragments: ranges of the function other than its main range.
    pub(super) fragments: Vec<RangeId>,
    /// The jump tables, sorted by jump.
    pub(super) tables: Vec<JumpTable>,
    /// Indirect jumps without known targets, sorted.
    pub(super) unresolved_jumps: Vec<BranchId>,
    /// Indirect jumps that were visited, and whose tables were not looked for yet.
    pub(super) pending_jumps: Vec<BranchId>,
    /// Address-taken locations in the function, which are taken as the targets of its unresolved jumps.
    pub(super) address_taken_targets: Vec<CodeLocation>,
    /// The exiting jumps (`recursive_traversal.rs`), with their targets: code in no range, or in a range without a
    /// declared size.
    pub(super) exiting_jumps: Vec<(BranchId, CodeLocation)>,
    /// Blocks that were evaluated so far to find its jump tables.
    pub(super) evaluated_blocks: usize,
    /// Whether traversal started at a location or resumed after a call since its unresolved jumps were last examined.
    /// Code from gaps, and from targets of tables in the function's own ranges, does not count.
    pub(super) has_grown: bool,
    /// Whether its address-taken locations were collected.
    pub(super) has_address_taken_targets: bool,
}

impl FunctionCfg {
    /// The ranges of the function with this control flow: the main range, then the fragments.
    pub(super) fn ranges<'l>(
        &self,
        function: FunctionId,
        ranges: &'l FunctionRanges<'_>,
    ) -> impl Iterator<Item = &'l FunctionRange> {
        let all = std::iter::once(function.0).chain(self.fragments.iter().copied());
        all.map(|range| &ranges[range])
    }

    /// The table that an indirect jump reads; `None` if it is not known.
    pub(super) fn table_of(&self, jump: BranchId) -> Option<&JumpTable> {
        let index = self.tables.binary_search_by_key(&jump, |table| table.jump).ok()?;
        Some(&self.tables[index])
    }
}

/// The control flow of all functions.
pub(super) struct ProgramCfg<'a> {
    pub(super) facts: CfgFacts<'a>,
    /// The control flow by function; that of a fragment with another owner is empty.
    pub(super) functions: Vec<FunctionCfg>,
    /// For each range the function that it belongs to; `None` for a fragment of which no owner is known yet.
    pub(super) owners: Vec<Option<FunctionId>>,
}

impl ProgramCfg<'_> {
    /// The function that a range belongs to, once traversal is complete.
    pub(super) fn owner(&self, range: RangeId) -> FunctionId {
        self.owners[range.index()].expect("every range has an owner once traversal is complete")
    }

    pub(super) fn function(&self, function: FunctionId) -> &FunctionCfg {
        &self.functions[function.index()]
    }
}
