//! Jump-table recovery: finds the table, the number of entries and the targets of an indirect jump.
//!
//! *Problem.* The address of the table, the encoding of its entries and their number are implicit in the code before
//! the jump.
//!
//! *Notation.* Values are hash-consed expressions (`domains/symbolic.rs`): equal if and only if their ids are equal.
//! `Unknown(n)` is a fresh symbol for one register, or for memory, at one address.
//!
//! *Algorithm.*
//!  1. Select blocks backwards from the jump, breadth first (`symbolic_evaluation.rs`): 4 blocks; 32 if no comparison
//!     bounds the index; 512 if no table is found; each time only while the unknown symbol comes from the entry of a
//!     selected block.
//!  2. Evaluate them forwards, symbolically, to a fixed point. Blocks with a predecessor outside the selection, landing
//!     pads and the entry of the function start with fresh symbols. A register on which predecessors disagree becomes a
//!     fresh symbol of that join point for good ([`MergedRegisters`](super::symbolic_state::MergedRegisters)). A branch condition
//!     adds a bound, `value <= constant`.
//!  3. Match the target expression with the patterns that compilers emit: `load(table + index * size)`, an absolute
//!     entry; `base + load(…)`, an unsigned relative entry; `base + sign_extend(load(…))`, a signed one; `base -
//!     load(…)`, one that is subtracted. `base` is a constant.
//!  4. Bound the index: by a comparison (`compare`); else by a mask, a width below 8 bits, what a shift to the right
//!     leaves, or the greatest byte of the index table that it is loaded from, if a comparison bounds the index into that
//!     table (`mask`); else by the contents of the table (`content`), at most 256 entries if the index is loaded as one
//!     byte.
//!  5. Read entries up to the first that is invalid. A valid entry points to the start of an instruction of the
//!     function, or of a fragment without an owner. One that points to the end of the function keeps its index and has
//!     no target: compilers emit such entries for impossible cases. The end is any padding in the last 64 bytes before
//!     the next range, and if the size of the function is declared, also the start of that range. With a bound, entry 0
//!     may be invalid too, of an index that is never 0. Without one, entries also end at the next address that is a
//!     constant in code, and up to 256 invalid ones before the first are skipped. Without a comparison, they end at
//!     the next table of the function, also if that is found later.
//!
//! *Invariants.* A table has at least one target; two entries, if it is bounded by its contents. A bound that allows
//! more entries than are valid is not that of this index, and is replaced by `content`. A table that was found is final
//! for these ranges, though code reached later may bound it differently.
//!
//! *Termination, cost.* A register is merged once per block, so states change finitely often. Limits: 12 evaluations
//! per selected block on average; 192 per block of the function over all of its jumps, in addition to those of one jump;
//! 2^16 entries, 2^10 without a bound; 4096 targets and 16 per block of the function over all jumps after the first
//! table.
//!
//! *Approximation.* A heuristic. Stack slots are tracked as if nothing aliased them; a bound on the low 32 bits of an
//! index counts for the whole register; a table that is bounded by its contents may be too short or too long.
//! Confidence: `compare` is certain, `mask` likely, `content` a guess.
//!
//! *Reference.* Compare C. Cifuentes, M. Van Emmerik (1999), Recovery of jump table case statements from binary code,
//! which slices backwards.

use super::facts::CfgFacts;
use super::flow::{FunctionCfg, JumpTable, targets_max};
use super::ids::{BranchId, CodeLocation, FunctionId};
use super::symbolic_evaluation::{BLOCKS_MAX, Scratch, SymbolicEvaluator, evaluate_block};
use super::symbolic_state::SymbolicState;
use crate::domains::symbolic::{Bound, ExprId, Expression, upper_bound};
use binframe_ir::tables::{BoundEvidence, JumpTableKind};

/// Blocks that are selected first, since most comparisons are near the jump; and those selected to find a comparison.
const NEAR_BLOCKS_MAX: usize = 4;
const COMPARISON_BLOCKS_MAX: usize = 32;

/// Entries of one table.
const ENTRIES_MAX: u64 = 1 << 16;

/// Entries of a table without a bound.
const UNBOUNDED_ENTRIES_MAX: u64 = 1 << 10;

/// A target expression that reads a table.
struct TablePattern {
    kind: JumpTableKind,
    entry_size: u8,
    base: Option<u64>,
    address: u64,
    index: ExprId,
}

/// Whether a jump may read a table, by its own block alone. A jump through a field of an object does not.
pub(super) fn may_read_table(facts: &CfgFacts<'_>, jump: BranchId, scratch: &mut Scratch) -> bool {
    scratch.arena.clear();
    let BranchId { region, row } = jump;
    let position = facts.ranges.branches(region as usize).positions[row as usize];
    let range =
        facts.ranges.range_at(CodeLocation { region, position }).expect("visited jumps are in ranges");
    let range = &facts.ranges[range];
    let before = range.start.location.position as usize..position as usize + 1;
    let Some(leader) = facts.leaders[region as usize].last_in(before) else { return false };
    let block = facts.block(range, leader as u32);
    let mut state = SymbolicState::unknown(facts.ranges.address(block.start));
    let Some(target) = evaluate_block(facts, &block, &mut state, scratch).target else { return false };
    let arena = &scratch.arena;
    let Expression::Load { address, .. } = arena.get(target) else { return true };
    let base = match arena.get(address) {
        Expression::Offset(base, _) => base,
        _ => address,
    };
    !matches!(arena.get(base), Expression::Unknown(_) | Expression::Load { .. })
}

/// Finds the jump tables of one function.
pub(super) struct JumpTableResolver<'k, 'a> {
    facts: &'k CfgFacts<'a>,
    owners: &'k [Option<FunctionId>],
    function: FunctionId,
    evaluator: SymbolicEvaluator<'k, 'a>,
    /// Targets of all tables so far.
    target_count: usize,
}

impl<'k, 'a> JumpTableResolver<'k, 'a> {
    pub(super) fn new(
        facts: &'k CfgFacts<'a>,
        owners: &'k [Option<FunctionId>],
        function: FunctionId,
        cfg: &FunctionCfg,
        scratch: &'k mut Scratch,
    ) -> Self {
        let target_count = cfg.tables.iter().map(|table| table.targets.len()).sum();
        let evaluator = SymbolicEvaluator::new(facts, function, cfg, scratch);
        Self { facts, owners, function, evaluator, target_count }
    }

    /// The tables that are found of some jumps of the function, which are sorted.
    pub(super) fn resolve(&mut self, jumps: &[BranchId]) -> Vec<JumpTable> {
        let blocks = self.evaluator.blocks.iter().enumerate();
        let ends = blocks.filter_map(|(index, block)| Some((index, block.last_branch()?)));
        let ends: Vec<_> = ends.filter(|(_, branch)| jumps.binary_search(branch).is_ok()).collect();
        let mut found = Vec::new();
        for (block, jump) in ends {
            let Some(table) = self.find_table(block, jump) else { continue };
            let target_count = self.target_count + table.targets.len();
            if self.target_count > 0 && target_count > targets_max(self.evaluator.blocks.len()) {
                break;
            }
            self.target_count = target_count;
            found.push(table);
        }
        found
    }

    /// Blocks of the function that were evaluated so far.
    pub(super) fn evaluated_blocks(&self) -> usize {
        self.evaluator.evaluated_blocks
    }

    /// The table that the jump at the end of a block reads; `None` if none is found. Selects more blocks while they may
    /// help.
    ///
    /// The value that an indirect jump went to is first taken as it was: interpreters jump through one label again and
    /// again. Only if that gives no table, it is the address of the block.
    fn find_table(&mut self, block: usize, jump: BranchId) -> Option<JumpTable> {
        self.evaluator.knows_jumped_to = false;
        self.find_table_once(block, jump).or_else(|| {
            self.evaluator.knows_jumped_to = self.evaluator.has_resolved_jumps();
            self.evaluator.knows_jumped_to.then(|| self.find_table_once(block, jump))?
        })
    }

    fn find_table_once(&mut self, block: usize, jump: BranchId) -> Option<JumpTable> {
        let mut found = None;
        for blocks_max in [NEAR_BLOCKS_MAX, COMPARISON_BLOCKS_MAX, BLOCKS_MAX] {
            let Some((target, bounds)) = self.evaluator.target_at(block, blocks_max) else { break };
            let table = self.table(jump, target, &bounds);
            let may_more_blocks_help = match &table {
                Some(table) if table.bound == BoundEvidence::Content => {
                    blocks_max < COMPARISON_BLOCKS_MAX && self.is_index_from_entry(target)
                }
                Some(_) => false,
                None => self.is_from_entry(target),
            };
            found = table.or(found);
            if !may_more_blocks_help {
                break;
            }
        }
        found
    }

    /// Whether an unknown symbol in a target comes from the entry of a selected block: a term of the target, of the
    /// address that it is loaded from, or what the stack held there.
    fn is_from_entry(&self, target: ExprId) -> bool {
        let arena = &self.evaluator.scratch.arena;
        let is_term_from_entry = |term: ExprId| match arena.get(term) {
            Expression::Unknown(_) => self.evaluator.is_entry_symbol(term),
            Expression::Load { address, epoch, .. } => {
                let base = match arena.get(address) {
                    Expression::Offset(base, _) => base,
                    _ => address,
                };
                let is_entry = self.evaluator.is_entry_symbol(base);
                is_entry && (SymbolicState::is_entry_symbol(epoch) || self.evaluator.is_stack_symbol(base))
            }
            _ => false,
        };
        let is_sum_from_entry = |value: ExprId| match arena.get(value) {
            Expression::Sum(one, other) => is_term_from_entry(one) || is_term_from_entry(other),
            Expression::Offset(inner, _) => match arena.get(inner) {
                Expression::Sum(one, other) => is_term_from_entry(one) || is_term_from_entry(other),
                _ => is_term_from_entry(inner),
            },
            _ => false,
        };
        match arena.get(target) {
            Expression::Unknown(_) => self.evaluator.is_entry_symbol(target),
            Expression::Load { address, .. } => is_sum_from_entry(address),
            _ => is_sum_from_entry(target),
        }
    }

    /// Whether the index of a table is an unknown symbol from the entry of a selected block.
    fn is_index_from_entry(&self, target: ExprId) -> bool {
        let Some(pattern) = self.pattern(target) else { return false };
        self.evaluator.is_entry_symbol(match self.evaluator.scratch.arena.get(pattern.index) {
            Expression::ZeroExtended(index, _)
            | Expression::SignExtended(index, _)
            | Expression::Offset(index, _) => index,
            _ => pattern.index,
        })
    }

    /// The table that a jump reads, given its target expression; `None` if the expression reads none.
    fn table(&mut self, jump: BranchId, target: ExprId, bounds: &[Bound]) -> Option<JumpTable> {
        let mut pattern = self.pattern(target)?;
        self.rebase(&mut pattern, bounds);
        self.rebase_to_operand(&mut pattern, jump, bounds);
        let (index_address, limit, bound) = self.bound(pattern.index, bounds)?;
        let stop = match bound {
            BoundEvidence::Content => self.facts.next_referenced(pattern.address),
            _ => u64::MAX,
        };
        if bound == BoundEvidence::Content {
            self.skip_unused(&mut pattern, stop);
        }
        let mut targets = Vec::new();
        for index in 0..limit.min(ENTRIES_MAX) {
            let address = pattern.address.wrapping_add(index * u64::from(pattern.entry_size));
            if address >= stop {
                break;
            }
            let target =
                self.entry(&pattern, address).and_then(|target| self.facts.ranges.location_of(target));
            match target {
                Some(target) if self.may_be_own(target) => targets.push(Some(target)),
                Some(target) if self.is_function_end(target) => targets.push(None),
                // An index that is never 0: what is there may be code.
                _ if index == 0 && limit > 1 && bound != BoundEvidence::Content => targets.push(None),
                _ => break,
            }
        }
        let used = targets.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        if bound == BoundEvidence::Content {
            targets.truncate(used);
        }
        // A bound that allows more entries than are valid is not that of this index.
        let bound = if (targets.len() as u64) < limit { BoundEvidence::Content } else { bound };
        let entries_min = if bound == BoundEvidence::Content { 2 } else { 1 };
        let TablePattern { kind, entry_size, base, address, .. } = pattern;
        (used >= entries_min).then_some(JumpTable {
            jump,
            address,
            kind,
            entry_size,
            base,
            index_address,
            bound,
            targets,
        })
    }

    /// Matches a target expression with the patterns of tables; `None` if it has none of them.
    fn pattern(&self, target: ExprId) -> Option<TablePattern> {
        let arena = &self.evaluator.scratch.arena;
        let has_short_addresses = self.facts.references.address_size() == 4;
        let target = match arena.get(target) {
            Expression::ZeroExtended(inner, 32) if has_short_addresses => inner,
            _ => target,
        };
        let (entry, base) = match arena.get(target) {
            Expression::Offset(entry, base) => (entry, Some(base)),
            _ => (target, None),
        };
        let (load, kind) = match (arena.get(entry), base) {
            (Expression::Load { .. }, None) => (entry, JumpTableKind::Absolute),
            (Expression::Load { .. }, Some(_)) => (entry, JumpTableKind::RelativeUnsigned),
            (Expression::SignExtended(load, _), Some(_)) => (load, JumpTableKind::Relative),
            (Expression::Negated(load), Some(_)) => (load, JumpTableKind::Subtracted),
            _ => return None,
        };
        let Expression::Load { address, size, .. } = arena.get(load) else { return None };
        let address = match arena.get(address) {
            Expression::ZeroExtended(inner, 32) if has_short_addresses => inner,
            _ => address,
        };
        let Expression::Offset(scaled, table) = arena.get(address) else { return None };
        let (index, scale) = match arena.get(scaled) {
            Expression::Scaled(index, shift) => (index, 1 << shift.min(7)),
            _ => (scaled, 1),
        };
        let is_whole = scale == size
            && (kind != JumpTableKind::Absolute || size == self.facts.references.address_size());
        let (base, address) = (base.map(|base| self.truncated(base)), self.truncated(table));
        is_whole.then_some(TablePattern { kind, entry_size: size, base, address, index })
    }

    /// An address, truncated to 32 bits in 32-bit code.
    fn truncated(&self, address: u64) -> u64 {
        if self.facts.references.address_size() == 4 { address & u64::from(u32::MAX) } else { address }
    }

    /// If the compared value is the index plus a constant, makes it the index and moves the constant into the table's
    /// address.
    fn rebase(&self, pattern: &mut TablePattern, bounds: &[Bound]) {
        for bound in bounds.iter().rev() {
            if bound.value == pattern.index {
                return;
            }
            if let Some(added) = self.added_to(pattern.index, bound.value) {
                pattern.index = bound.value;
                let skipped = added.wrapping_mul(u64::from(pattern.entry_size));
                pattern.address = self.truncated(pattern.address.wrapping_sub(skipped));
                return;
            }
        }
    }

    /// The constant that is added to an index in a compared value; `None` if that is no such sum. The sum may be
    /// truncated to a width that the index has too.
    fn added_to(&self, index: ExprId, compared: ExprId) -> Option<u64> {
        let arena = &self.evaluator.scratch.arena;
        match arena.get(compared) {
            Expression::Offset(base, added) if base == index => Some(added),
            Expression::ZeroExtended(sum, bits) if arena.width(index) <= bits && bits < 64 => {
                let Expression::Offset(base, added) = arena.get(sum) else { return None };
                let unused = 64 - u32::from(bits);
                (base == index).then_some(((added << unused) as i64 >> unused) as u64)
            }
            _ => None,
        }
    }

    /// If no comparison bounds the index: where the jump, or the last load before it, reads at a constant address plus an
    /// index, that address is the start of the table, and the rest belongs to the index. A table of offsets that starts
    /// near the address to which they are relative starts there; also one below it, whose index is compared, but not 0.
    fn rebase_to_operand(&mut self, pattern: &mut TablePattern, jump: BranchId, bounds: &[Bound]) {
        let arena = &mut self.evaluator.scratch.arena;
        let is_below_base = pattern.base.is_some_and(|base| pattern.address < base);
        if !is_below_base && upper_bound(arena, bounds, pattern.index).is_some() {
            return;
        }
        let (operand, distance_max) = match pattern.base {
            None => (self.facts.indexed_before(jump), 1 << 16),
            Some(base) => (base, 1 << 10),
        };
        let distance = pattern.address.wrapping_sub(operand) as i64;
        let size = i64::from(pattern.entry_size);
        if operand != 0 && distance != 0 && distance % size == 0 && distance.abs() <= distance_max {
            pattern.index = arena.offset(pattern.index, (distance / size) as u64);
            pattern.address = operand;
        }
    }

    /// If entry 0 is invalid, moves the start of the table to the first of two entries that are valid: the least index may
    /// be greater than 0.
    fn skip_unused(&self, pattern: &mut TablePattern, stop: u64) {
        /// Entries that are skipped.
        const SKIPPED_MAX: u64 = 1 << 8;
        /// Smaller entries are too often valid by accident.
        const SIZE_MIN: u8 = 4;
        if pattern.entry_size < SIZE_MIN {
            return;
        }
        let size = u64::from(pattern.entry_size);
        let is_valid = |address: u64| {
            let target = self.entry(pattern, address);
            let target = target.and_then(|target| self.facts.ranges.location_of(target));
            address < stop && target.is_some_and(|target| self.may_be_own(target))
        };
        let addresses = (0..=SKIPPED_MAX).map(|index| pattern.address.wrapping_add(index * size));
        let mut addresses = addresses.take_while(|address| *address < stop);
        let first = addresses.find(|address| is_valid(*address) && is_valid(address.wrapping_add(size)));
        if let Some(first) = first {
            pattern.address = first;
        }
    }

    /// The table that an index is loaded from, if there is one; the greatest possible number of entries, and how it is
    /// known.
    fn bound(&self, index: ExprId, bounds: &[Bound]) -> Option<(Option<u64>, u64, BoundEvidence)> {
        let arena = &self.evaluator.scratch.arena;
        if let Some(maximum) = upper_bound(arena, bounds, index) {
            return Some((None, maximum.checked_add(1)?, BoundEvidence::Compare));
        }
        match arena.get(index) {
            Expression::Load { address, size: 1, .. } => {
                let Expression::Offset(inner, table) = arena.get(address) else {
                    return Some((None, 256, BoundEvidence::Content));
                };
                // The compared value may be the index plus a constant.
                let added = bounds.iter().rev();
                let added = added.map(|bound| Some((bound.maximum, self.added_to(inner, bound.value)?)));
                let added = added.into_iter().flatten().next();
                let direct = upper_bound(arena, bounds, inner).map(|maximum| (maximum, 0));
                let Some((maximum, added)) = direct.or(added) else {
                    return Some((None, 256, BoundEvidence::Content));
                };
                let table = self.truncated(table.wrapping_sub(added));
                let indices = self.facts.constants_at(table);
                let read = indices.get(..usize::try_from(maximum).ok()?.checked_add(1)?)?;
                let last = read.iter().copied().max()?;
                Some((Some(table), u64::from(last) + 1, BoundEvidence::Mask))
            }
            Expression::Masked(_, mask) if mask < ENTRIES_MAX => Some((None, mask + 1, BoundEvidence::Mask)),
            Expression::ZeroExtended(_, bits) if bits < 8 => Some((None, 1 << bits, BoundEvidence::Mask)),
            Expression::ShiftedRight(..) if arena.width(index) <= 8 => {
                Some((None, 1 << arena.width(index), BoundEvidence::Mask))
            }
            _ => Some((None, UNBOUNDED_ENTRIES_MAX, BoundEvidence::Content)),
        }
    }

    /// The target address of the entry at an address; `None` if the entry is not in constant data or code.
    fn entry(&self, pattern: &TablePattern, address: u64) -> Option<u64> {
        let is_absolute = pattern.kind == JumpTableKind::Absolute;
        let relocated = self.facts.references.pointer_at(address).filter(|_| is_absolute);
        if relocated.is_some() {
            return relocated;
        }
        let bytes = self.facts.constants_at(address);
        let stored = match pattern.entry_size {
            1 => u64::from(*bytes.first()?),
            2 => u64::from(u16::from_le_bytes(*bytes.first_chunk()?)),
            4 => u64::from(u32::from_le_bytes(*bytes.first_chunk()?)),
            _ => u64::from_le_bytes(*bytes.first_chunk()?),
        };
        let unused = 64 - 8 * u32::from(pattern.entry_size);
        let stored = match pattern.kind {
            JumpTableKind::Relative => (((stored << unused) as i64) >> unused) as u64,
            _ => stored,
        };
        let base = pattern.base.unwrap_or(0);
        let target = match pattern.kind {
            JumpTableKind::Subtracted => base.wrapping_sub(stored),
            _ => base.wrapping_add(stored),
        };
        Some(self.truncated(target))
    }

    /// Whether a location is in the function, before its end, or in a fragment without an owner.
    fn may_be_own(&self, location: CodeLocation) -> bool {
        let Some(range) = self.facts.ranges.range_at(location) else { return false };
        match self.owners[range.index()] {
            None => true,
            Some(owner) => owner == self.function && !self.is_function_end(location),
        }
    }

    /// Whether only padding is between a location and the range after the function.
    fn is_function_end(&self, location: CodeLocation) -> bool {
        /// More padding than alignment ever needs.
        const PADDING_MAX: u32 = 64;
        let ranges = self.facts.ranges;
        let own = &ranges[self.function.0];
        let region = &ranges.code.regions[own.region()];
        let end = ranges
            .next(self.function.0)
            .map_or(region.bytes.len() as u32, |next| next.start.location.position);
        location.region == own.start.location.region
            && (own.start.location.position..=end).contains(&location.position)
            && end - location.position <= PADDING_MAX
            && (own.is_sized() || location.position < end)
            && region.isa.is_padding(&region.bytes[location.position as usize..end as usize])
    }
}

/// Ends tables of a function that no comparison bounds where the next one starts. A mask may allow one entry more, which
/// may be the entry 0 of a next table whose index is never 0.
pub(super) fn end_at_next_table(tables: &mut Vec<JumpTable>) {
    let starts = tables.iter().flat_map(|table| [Some(table.address), table.index_address]);
    let mut starts: Vec<_> = starts.flatten().collect();
    starts.sort_unstable();
    for table in tables.iter_mut().filter(|table| table.bound != BoundEvidence::Compare) {
        let next = starts.partition_point(|start| *start <= table.address);
        let Some(next) = starts.get(next) else { continue };
        let count = (next - table.address) / u64::from(table.entry_size.max(1));
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if table.bound == BoundEvidence::Mask && table.targets.len() <= count.saturating_add(1) {
            continue;
        }
        table.targets.truncate(count);
        let used = table.targets.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        table.targets.truncate(used);
    }
    tables.retain(|table| !table.targets.is_empty());
}
