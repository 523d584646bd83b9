//! Function discovery: infers the starts of functions that the file does not declare and no direct call targets.
//!
//! *Problem.* A stripped file declares few of its functions. Others are reached by tail calls or through pointers only,
//! or not at all. The evidence for them is weak: the targets of a jump table that was not recovered look like functions
//! that pointers refer to, and unreached code may be the rest of a function.
//!
//! *Notation.* A location is *unsized* if it is in no range with a declared size, and *reached* if it is in a block. It
//! *can start a function* if its address is aligned as that of other functions, and the code there reads nothing that a
//! caller does not pass. Functions are aligned to 16 bytes if 95 % of those with reliable evidence (declared, exported,
//! an initializer, or called) are, and there are at least 16 of them.
//!
//! *Algorithm.* The pass alternates traversal and discovery (`mod.rs`). A step of discovery tries these sources in
//! order, and stops at the first that yields a new start, because traversal from there may reach code that a later
//! source would take for a function:
//!  1. Targets of exiting jumps (`recursive_traversal.rs`) that are unsized and unreached. The target of a conditional
//!     jump, a landing pad, or a target that cannot start a function starts a fragment of the jumping function; any other is a tail-called
//!     function. What several functions jump to is a function, and so are stubs and hot-patch points.
//!  2. Blocks of ranges without a declared size, each of which is a tail-called function: all edges to it from its
//!     range are unconditional jumps from blocks that end with the stack frame removed, the bytes before it are in no
//!     block, and it can start a function.
//!  3. Pointers in data that are not next to another pointer and are not entries of recovered jump tables, and
//!     addresses that instructions take, if they are unsized, unreached and can start a function; that of a pointer in
//!     any calling convention. Text is none, nor is code that runs into invalid bytes, or leaves the code.
//!  4. All other pointers in data, with the same conditions: arrays of pointers, which may be jump tables that were not
//!     recovered.
//!  5. Gaps: code between ranges, and unreached code in ranges without a declared size. A gap is cut into functions,
//!     each of which extends to its first terminator that no direct jump inside it passes over. Such a function does
//!     not start with a jump, and starts after padding or with a prologue.
//!
//! *Example.* `f: …; add rsp, 8; jmp g`, padding, `g: …; ret`, without symbols. Traversal takes `g` for a block of `f`,
//! whose range has no declared size. In the next step source 2 finds that only `jmp g` enters `g`, after an epilogue:
//! `g` becomes a function, and `f` is traversed again with a shorter range.
//!
//! *Invariants.* Starts are only added, and none is added inside a range with a declared size.
//!
//! *Termination, cost.* There are at most 16 steps (`STEPS_MAX`), each of which, except perhaps the last, adds a start.
//! A step is about linear in blocks, pointers and bytes of gaps. A gap that runs into invalid bytes without a
//! terminator is scanned again from every 16th byte.
//!
//! *Approximation.* A heuristic: an inferred function may be part of another one, and functions that start without any
//! of these signs are missed. The column `evidence` says what refers to the start; `confidence` follows from it.
//!
//! *Reference.* Compare X. Meng, B. P. Miller (2016), Binary code is not easy, for tail calls and gaps.

use super::address_taken::{pointers, taken_locations};
use super::blocks::Block;
use super::flow::ProgramCfg;
use super::function_ranges::{FunctionRanges, RangeStart};
use super::ids::{BranchId, CodeLocation};
use super::initial_starts::{StartCandidate, is_unsized, merge};
use crate::code::closure_tables::ClosureCode;
use crate::code::instructions::Closure;
use binframe_ir::tables::{EdgeKind, Flow, FunctionEvidence, Terminator};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Adds the starts of the first source that yields any; returns whether there are any.
pub(super) fn infer_starts(starts: &mut Vec<RangeStart>, program: &ProgramCfg<'_>) -> bool {
    let finder = StartFinder::new(program);
    let known = starts.len();
    let sources = [
        StartFinder::exiting_jump_targets,
        StartFinder::tail_called_blocks,
        StartFinder::address_taken_code,
        StartFinder::pointer_targets,
        StartFinder::gap_code,
    ];
    for source in sources {
        let mut found = source(&finder);
        found.retain(|candidate| candidate.is_fragment || !finder.is_return_address(candidate.location));
        merge(starts, found);
        if starts.len() > known {
            return true;
        }
    }
    false
}

/// Infers starts from the recovered control flow.
struct StartFinder<'f, 'a> {
    program: &'f ProgramCfg<'a>,
    ranges: &'f FunctionRanges<'a>,
    /// The alignment of functions in bytes.
    alignment: u64,
    /// The return addresses after info tables of GHC, sorted.
    return_addresses: Vec<CodeLocation>,
}

impl<'f, 'a> StartFinder<'f, 'a> {
    fn new(program: &'f ProgramCfg<'a>) -> Self {
        /// Fewer functions do not show their alignment.
        const FUNCTIONS_MIN: usize = 16;
        /// The alignment that compilers use, if any.
        const ALIGNMENT: u64 = 16;
        let ranges = program.facts.ranges;
        let is_reliable = |evidence| evidence <= FunctionEvidence::CallTarget;
        let functions = ranges.iter().filter(|range| {
            is_reliable(range.start.evidence)
                && !range.start.is_fragment
                && !ranges.code.regions[range.region()].is_plt
        });
        let addresses: Vec<_> = functions.map(|range| ranges.address(range.start.location)).collect();
        let aligned = addresses.iter().filter(|address| address.is_multiple_of(ALIGNMENT)).count();
        let is_aligned = addresses.len() >= FUNCTIONS_MIN && aligned * 20 >= addresses.len() * 19;
        let closures = ranges.instructions.closures(ranges.code).into_iter();
        let returns = closures.filter(|closure| closure.code == ClosureCode::Return);
        let location = |closure: Closure| CodeLocation {
            region: closure.region as u32,
            position: closure.position as u32,
        };
        Self {
            program,
            ranges,
            alignment: if is_aligned { ALIGNMENT } else { 1 },
            return_addresses: returns.map(location).collect(),
        }
    }

    fn is_return_address(&self, location: CodeLocation) -> bool {
        self.return_addresses.binary_search(&location).is_ok()
    }

    /// Whether a location whose address code takes is unsized and unreached, and a function can start there.
    fn may_start_taken(&self, location: CodeLocation) -> bool {
        self.is_unreached(location) && self.can_start(location) && self.is_plausible(location)
    }

    /// Whether a location to which a pointer in data leads is unsized and unreached, and a function can start there, in
    /// any calling convention.
    fn may_start_pointed(&self, location: CodeLocation) -> bool {
        let region = &self.ranges.code.regions[location.region as usize];
        self.is_unreached(location)
            && self.is_aligned(location)
            && region.isa.may_begin_pointed_function(&region.bytes[location.position as usize..])
            && self.is_plausible(location)
    }

    /// Whether bytes are not text, and the code up to the first terminator runs into no invalid bytes, and neither jumps
    /// nor calls out of the code.
    fn is_plausible(&self, location: CodeLocation) -> bool {
        let (region, position) = (location.region as usize, location.position as usize);
        let bytes = &self.ranges.code.regions[region].bytes;
        !is_text(&bytes[position..]) && function_end(self.ranges, region, position, bytes.len()).is_some()
    }

    fn is_unreached(&self, location: CodeLocation) -> bool {
        is_unsized(self.ranges, location) && !self.program.facts.is_reached(location)
    }

    fn can_start(&self, location: CodeLocation) -> bool {
        let region = &self.ranges.code.regions[location.region as usize];
        let bytes = &region.bytes[location.position as usize..];
        self.is_aligned(location) && region.isa.may_begin_function(bytes)
    }

    fn is_aligned(&self, location: CodeLocation) -> bool {
        self.ranges.address(location).is_multiple_of(self.alignment)
    }

    /// Whether a function can start at a location that nothing references.
    fn can_start_unreferenced(&self, location: CodeLocation) -> bool {
        let branches = self.ranges.branches(location.region as usize);
        let row = branches.first_at(location.position as usize);
        let starts_with_jump =
            branches.positions.get(row) == Some(&location.position) && branches.flows[row] == Flow::Jump;
        let region = &self.ranges.code.regions[location.region as usize];
        let (before, bytes) = region.bytes.split_at(location.position as usize);
        // Code right after other code, without padding, most likely belongs to it.
        let follows_branch = row.checked_sub(1).is_some_and(|before| {
            branches.end(before) == location.position as usize
                && !matches!(branches.flows[before], Flow::Trap | Flow::Invalid)
        });
        let follows_padding = before.is_empty() || !follows_branch && region.isa.ends_in_padding(before);
        self.can_start(location)
            && !starts_with_jump
            && !is_text(bytes)
            && (follows_padding || region.isa.is_prologue(bytes))
    }

    /// Source 1: targets of exiting jumps.
    fn exiting_jump_targets(&self) -> Vec<StartCandidate> {
        let functions = self.program.functions.iter().enumerate();
        let exiting = functions.flat_map(|(function, cfg)| {
            cfg.exiting_jumps.iter().map(move |(jump, location)| (*location, function, *jump))
        });
        let mut unreached: Vec<_> = exiting.filter(|(location, ..)| self.is_unreached(*location)).collect();
        unreached.sort_unstable();
        let found = unreached.chunk_by(|one, next| one.0 == next.0).map(|jumps| {
            let location = jumps[0].0;
            let is_from_many = jumps.iter().any(|(_, function, _)| *function != jumps[0].1);
            // A conditional jump, or a call whose landing pad is there.
            let is_conditional = |(_, _, jump): &(CodeLocation, usize, BranchId)| {
                let branches = self.ranges.branches(jump.region as usize);
                branches.flows[jump.row as usize] != Flow::Jump
            };
            let region = &self.ranges.code.regions[location.region as usize];
            let is_marked =
                region.is_plt || region.isa.is_hot_patch_point(&region.bytes[location.position as usize..]);
            let is_fragment = !is_from_many
                && !is_marked
                && (jumps.iter().any(is_conditional) || !self.can_start(location));
            StartCandidate { location, evidence: FunctionEvidence::JumpTarget, is_fragment }
        });
        found.collect()
    }

    /// Source 2: blocks that are a tail-called function.
    fn tail_called_blocks(&self) -> Vec<StartCandidate> {
        let facts = &self.program.facts;
        let mut found = Vec::new();
        for (range, cfg) in self.ranges.iter().zip(&self.program.functions) {
            if range.is_sized() || range.start.is_fragment || self.ranges.code.regions[range.region()].is_plt
            {
                continue;
            }
            // For each target of an edge whether all edges to it from the range may be tail calls.
            let mut is_tail_called = BTreeMap::new();
            let mut end_before = range.start.location.position;
            let mut follows_unreached_bytes = BTreeSet::new();
            for block in facts.blocks(range) {
                if block.start.position > end_before {
                    follows_unreached_bytes.insert(block.start);
                }
                let may_tail_call = block.terminator == Terminator::Jump && self.ends_in_epilogue(&block);
                facts.each_edge(&block, cfg, |kind, target| {
                    let all = is_tail_called.entry(target).or_insert(true);
                    *all &= kind == EdgeKind::Jump && may_tail_call;
                });
                end_before = block.end;
            }
            let targets = is_tail_called.into_iter().filter(|(_, is_tail_called)| *is_tail_called);
            let targets =
                targets.map(|(target, _)| target).filter(|target| follows_unreached_bytes.contains(target));
            let targets = targets.filter(|target| *target > range.start.location && self.can_start(*target));
            found
                .extend(targets.map(|target| StartCandidate::function(target, FunctionEvidence::JumpTarget)));
        }
        found
    }

    fn ends_in_epilogue(&self, block: &Block) -> bool {
        let region = &self.ranges.code.regions[block.start.region as usize];
        region.isa.ends_in_epilogue(&region.bytes[block.start.position as usize..block.end as usize])
    }

    /// Source 3: targets of pointers outside of arrays, and addresses that instructions take.
    fn address_taken_code(&self) -> Vec<StartCandidate> {
        let references = self.program.facts.references;
        let alone = pointers(&self.program.facts, &self.program.functions).filter(|(pointer, location)| {
            self.may_start_pointed(*location) && !references.is_in_pointer_array(*pointer)
        });
        let alone = alone.map(|(_, location)| StartCandidate::function(location, FunctionEvidence::Pointer));
        let taken = taken_locations(&self.program.facts).filter(|location| self.may_start_taken(*location));
        let taken = taken.map(|location| StartCandidate::function(location, FunctionEvidence::AddressTaken));
        alone.chain(taken).collect()
    }

    /// Source 4: targets of all pointers.
    fn pointer_targets(&self) -> Vec<StartCandidate> {
        let targets = pointers(&self.program.facts, &self.program.functions).map(|(_, location)| location);
        let targets = targets.filter(|location| self.may_start_pointed(*location));
        targets.map(|location| StartCandidate::function(location, FunctionEvidence::Pointer)).collect()
    }

    /// Source 5: code in gaps.
    fn gap_code(&self) -> Vec<StartCandidate> {
        let mut found = Vec::new();
        let mut ranges = self.ranges.iter().peekable();
        for (region, code) in self.ranges.code.regions.iter().enumerate() {
            let mut position = 0;
            while let Some(range) = ranges.next_if(|range| range.region() == region) {
                let Range { start, end } = range.positions();
                self.add_gap(region, position..start, &mut found);
                position = end;
                if !range.is_sized() {
                    let mut reached = start;
                    for block in self.program.facts.blocks(range) {
                        self.add_gap(region, reached..block.start.position as usize, &mut found);
                        reached = block.end as usize;
                    }
                    self.add_gap(region, reached..position, &mut found);
                }
            }
            self.add_gap(region, position..code.bytes.len(), &mut found);
        }
        found
    }

    /// Adds the functions in a gap, one after another.
    fn add_gap(&self, region: usize, gap: Range<usize>, found: &mut Vec<StartCandidate>) {
        let code = &self.ranges.code.regions[region];
        if code.is_plt {
            return;
        }
        let instructions = &self.ranges.instructions.regions[region];
        let next_from = |position: usize| instructions.starts.first_in(position..gap.end).unwrap_or(gap.end);
        let mut position = next_from(gap.start);
        while position < gap.end {
            let next = next_from(position + 1);
            if instructions.is_data(position) {
                position = next;
                continue;
            }
            let is_hot_patch_point = code.isa.is_hot_patch_point(&code.bytes[position..gap.end]);
            if code.isa.is_padding(&code.bytes[position..next]) && !is_hot_patch_point {
                position = next;
                continue;
            }
            let location = CodeLocation { region: region as u32, position: position as u32 };
            position = match function_end(self.ranges, region, position, gap.end) {
                Some(end) => {
                    if self.can_start_unreferenced(location) {
                        found.push(StartCandidate::function(location, FunctionEvidence::Gap));
                    }
                    end
                }
                // Presumably data, up to the next address to which code is aligned.
                None => next_from(((position + 16) & !15).min(gap.end)),
            };
        }
    }
}

/// Whether bytes are text that ends with a zero: 6 or more characters of ASCII, or 4 or more of UTF-16.
fn is_text(bytes: &[u8]) -> bool {
    const TEXT_MAX: usize = 1 << 10;
    let is_printable = |byte: &u8| (0x20..0x7f).contains(byte) || *byte == 0x09 || *byte == 0x0a;
    let narrow = bytes.iter().take(TEXT_MAX).take_while(|byte| is_printable(byte)).count();
    let wide = bytes.chunks_exact(2).take(TEXT_MAX).take_while(|pair| is_printable(&pair[0]) && pair[1] == 0);
    let wide = wide.count();
    narrow >= 6 && bytes.get(narrow) == Some(&0) || wide >= 4 && bytes[2 * wide..].starts_with(&[0, 0])
}

/// The presumed end of a function that starts at a position: after its first instruction that does not fall through and
/// that no direct jump inside it passes over, at most `limit`. `None` if there are invalid bytes or data before, or a
/// jump or call out of the code.
fn function_end(ranges: &FunctionRanges<'_>, region: usize, start: usize, limit: usize) -> Option<usize> {
    let branches = ranges.branches(region);
    let base = ranges.code.regions[region].address;
    let mut farthest_target = start;
    for row in branches.first_at(start)..branches.first_at(limit) {
        let flow = branches.flows[row];
        let is_direct = matches!(flow, Flow::Jump | Flow::CondJump | Flow::Call);
        if flow == Flow::Invalid || is_direct && ranges.code.locate(branches.targets[row]).is_none() {
            return None;
        }
        if matches!(flow, Flow::Jump | Flow::CondJump) {
            let target = branches.targets[row].wrapping_sub(base);
            if (start as u64..limit as u64).contains(&target) {
                farthest_target = farthest_target.max(target as usize);
            }
        }
        let end = branches.end(row);
        if flow.ends_block() && flow != Flow::CondJump && farthest_target < end {
            return Some(end);
        }
    }
    Some(limit)
}
