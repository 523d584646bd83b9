//! Conditions of any right answer about a program, which need no truth from outside: a violation is an error of the
//! tables, although nobody knows what is right.

use binframe::ir::tables::{BasicBlock, Confidence, EdgeKind};
use binframe::passes::Lowered;
use std::collections::BTreeSet;
use std::fmt;

/// What must not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A jump table covers the start of another one with more than its last entry, which may be the entry 0 of a table
    /// whose index is never 0.
    TableOverTable,
    /// The target of a call in the code of the program is no function.
    CallOfNoFunction,
    /// Control certainly passes from a call into the function after it, which the file states. No compiler relies on
    /// that; functions written by hand may fall through into others elsewhere.
    CallFallsThrough,
    /// A stub of an imported function is a part of a function outside the stubs.
    StubInFunction,
}

/// A violation: its kind, and the address of the table, call, or block.
pub type Violation = (Kind, u64);

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 4] =
        [Self::TableOverTable, Self::CallOfNoFunction, Self::CallFallsThrough, Self::StubInFunction];
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::TableOverTable => "a table covers the start of another",
            Self::CallOfNoFunction => "the target of a call is no function",
            Self::CallFallsThrough => "a call certainly returns into a stated function after it",
            Self::StubInFunction => "a stub of an import is inside another function",
        })
    }
}

/// The violations in the tables of a program, sorted.
pub fn violations(lowered: &Lowered) -> Vec<Violation> {
    let mut found = Vec::new();
    found.extend(tables_over_tables(lowered).map(|address| (Kind::TableOverTable, address)));
    found.extend(calls_of_no_functions(lowered).map(|address| (Kind::CallOfNoFunction, address)));
    found.extend(calls_that_fall_through(lowered).map(|address| (Kind::CallFallsThrough, address)));
    found.extend(stubs_in_functions(lowered).map(|address| (Kind::StubInFunction, address)));
    found.sort_unstable();
    found
}

fn tables_over_tables(lowered: &Lowered) -> impl Iterator<Item = u64> {
    let tables = lowered.cfg.jump_tables.columns();
    let ranges = tables.iter().map(|table| {
        let start = table.table_address;
        let count = u64::from(table.entry_count);
        (start, start + u64::from(table.entry_size) * count.saturating_sub(1))
    });
    // Several jumps may use one table.
    let ranges: BTreeSet<_> = ranges.collect();
    let starts: BTreeSet<u64> = ranges.iter().map(|(start, _)| *start).collect();
    ranges
        .into_iter()
        .filter(move |(start, end)| *end > start + 1 && starts.range(start + 1..*end).next().is_some())
        .map(|own| own.0)
}

fn calls_of_no_functions(lowered: &Lowered) -> impl Iterator<Item = u64> {
    let functions = lowered.cfg.functions.columns().address;
    let calls = lowered.cfg.call_edges.columns().iter();
    let is_function = |callee: u64| functions.binary_search(&callee).is_ok();
    calls
        .filter(move |call| call.callee_address.is_some_and(|callee| !is_function(callee)))
        .map(|call| call.call_address)
}

/// Calls after which control certainly passes into a function that the file states.
fn calls_that_fall_through(lowered: &Lowered) -> impl Iterator<Item = u64> {
    let functions = lowered.cfg.functions.columns();
    let blocks = lowered.cfg.basic_blocks.columns();
    let calls = lowered.cfg.call_edges.columns();
    let edges = lowered.cfg.cfg_edges.columns().iter();
    let certain =
        edges.filter(|edge| edge.kind == EdgeKind::Fallthrough && edge.confidence == Confidence::Certain);
    certain.filter_map(move |edge| {
        let target = functions.address.binary_search(&edge.target_address?).ok()?;
        let source = blocks.address.binary_search(&edge.source_address).ok()?;
        let is_stated = functions.confidence.get(target) == Confidence::Certain;
        let is_other = blocks.function_address[source] != functions.address[target];
        let end = blocks.address[source] + blocks.size[source];
        let call = calls.call_address.partition_point(|call| *call < end).checked_sub(1)?;
        let call = calls.call_address[call];
        (is_stated && is_other && end_of_instruction(lowered, call) == Some(end)).then_some(call)
    })
}

fn end_of_instruction(lowered: &Lowered, address: u64) -> Option<u64> {
    let (region, position) = lowered.code.locate(address)?;
    let region = &lowered.code.regions[region];
    let size = region.isa.instruction_size(&region.bytes[position..], address)?;
    Some(address + size as u64)
}

fn stubs_in_functions(lowered: &Lowered) -> impl Iterator<Item = u64> {
    let regions = lowered.code.regions.iter().filter(|region| region.is_plt);
    regions.flat_map(|region| {
        let stubs = region.address..region.end_address();
        let blocks = lowered.cfg.basic_blocks.columns().iter();
        let is_wrong = move |block: &BasicBlock| {
            stubs.contains(&block.address) && !stubs.contains(&block.function_address)
        };
        blocks.filter(is_wrong).map(|block| block.address)
    })
}
