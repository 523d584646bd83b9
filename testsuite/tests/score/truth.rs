//! `(linked file, what its compiler said) -> statements`: labels and symbols become addresses.

use crate::address_map::{self, Block};
use crate::assembly::Said;
use crate::graph::{Code, Graph, is_padding};
use crate::statements::{Part, Statements};
use iced_x86::FlowControl;
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
use std::collections::{BTreeMap, BTreeSet};

/// What GCC says of a program.
pub(crate) fn of_gcc(file: &object::File<'_>, objects: &[Said]) -> Statements {
    let functions: BTreeSet<&str> =
        objects.iter().flat_map(|said| said.functions.iter().map(String::as_str)).collect();
    let mut statements = Statements { flow: true, ..of_symbols(file, |name| functions.contains(name)) };
    let labels: BTreeMap<&str, u64> =
        file.symbols().filter_map(|symbol| Some((symbol.name().ok()?, symbol.address()))).collect();
    // Labels of code that the linker took no second copy of have no address.
    let address = |label: &String| labels.get(label.as_str()).copied();
    for said in objects {
        statements.away.extend(said.away.iter().filter_map(address));
        statements.pads.extend(said.pads.iter().filter_map(address));
        for (jump, targets) in &said.tables {
            if let Some(jump) = address(jump) {
                statements.tables.insert(jump, targets.iter().filter_map(address).collect());
            }
        }
        let taken: BTreeSet<u64> = said.taken.iter().filter_map(address).collect();
        for jump in said.gotos.iter().filter_map(address) {
            let function = |address| statements.part_at(address).map(|part| part.function);
            let own = taken.iter().copied().filter(|target| function(*target) == function(jump));
            statements.tables.insert(jump, own.collect());
        }
    }
    statements
}

/// What Clang says of a program, and LLVM's own blocks. None if the file has no map of them.
pub(crate) fn of_clang(file: &object::File<'_>) -> Option<(Statements, Vec<Vec<Block>>)> {
    let section = file.section_by_name(".llvm_bb_addr_map")?;
    let functions = address_map::read(section.data().ok()?)?;
    let starts: BTreeSet<u64> = functions.iter().filter_map(|blocks| Some(blocks.first()?.start)).collect();
    let mut statements = Statements { flow: true, ..of_symbols(file, |_| true) };
    statements.parts.retain(|part| starts.contains(&part.start));
    let code = Code::of(file);
    for function in &functions {
        let pads = function.iter().filter(|block| block.is_pad());
        statements.pads.extend(pads.map(|block| block.start));
        for block in function {
            let last = code.instructions(block.start, block.end).last();
            if let Some(last) = last.filter(|_| block.jumps_indirectly()) {
                statements.tables.insert(last.ip(), block.successors.iter().copied().collect());
            }
            let is_call = last.is_some_and(|last| {
                matches!(last.flow_control(), FlowControl::Call | FlowControl::IndirectCall)
            });
            if is_call && !block.falls_through() && !block.leaves() {
                statements.away.insert(block.end);
            }
        }
    }
    Some((statements, functions))
}

/// The functions that symbols name, of those whose names are of interest.
pub(crate) fn of_symbols(file: &object::File<'_>, is_own: impl Fn(&str) -> bool) -> Statements {
    let mut statements = Statements::default();
    // Local symbols follow the symbol of the source file that they are from.
    let mut source = 0;
    let mut starts: BTreeMap<(usize, &str), u64> = BTreeMap::new();
    let mut cold = Vec::new();
    for symbol in file.symbols() {
        let Ok(name) = symbol.name() else { continue };
        if symbol.kind() == SymbolKind::File {
            source += 1;
        }
        let is_function = symbol.kind() == SymbolKind::Text && symbol.section_index().is_some();
        if !is_function || symbol.size() == 0 || !is_own(name) {
            continue;
        }
        let start = symbol.address();
        let scope = if symbol.is_global() { 0 } else { source };
        starts.insert((scope, name), start);
        let part = Part { start, end: start + symbol.size(), function: start, name: name.to_owned() };
        match name.split_once(".cold") {
            Some((parent, _)) => cold.push((scope, parent.to_owned(), part)),
            None => statements.parts.push(part),
        }
    }
    for (scope, parent, mut part) in cold {
        let own = starts.get(&(scope, parent.as_str())).or_else(|| starts.get(&(0, parent.as_str())));
        part.function = own.copied().unwrap_or(part.start);
        statements.parts.push(part);
    }
    statements.sort();
    statements
}

/// What is doubtful about a graph that truth has made.
#[derive(Debug, Default)]
pub(crate) struct Doubts {
    /// Blocks and edges that LLVM's own were compared with.
    pub(crate) compared: usize,
    /// How they differ from LLVM's, as text.
    pub(crate) differences: Vec<String>,
    /// Functions that have no end, as text.
    pub(crate) unfinished: Vec<String>,
}

/// Checks the truth, not us: whether the graph is LLVM's own where LLVM has one, and whether functions end.
pub(crate) fn doubts(
    file: &object::File<'_>,
    code: &Code<'_>,
    statements: &Statements,
    graph: &Graph,
) -> Doubts {
    let mut doubts = Doubts { unfinished: unfinished(code, statements, graph), ..Doubts::default() };
    if let Some((_, blocks)) = of_clang(file) {
        doubts.compared = graph.blocks.len() + graph.edges.len();
        doubts.differences = differences(code, &blocks, graph);
    }
    doubts
}

/// Blocks at the ends of functions behind which control seems to go on, as text: there are a few, where
/// the program's author promised that something does not happen.
fn unfinished(code: &Code<'_>, statements: &Statements, graph: &Graph) -> Vec<String> {
    let ends: BTreeSet<u64> = statements.parts.iter().map(|part| part.end).collect();
    let last = |(start, end): (&u64, &u64)| code.instructions(*start, *end).last();
    let last = graph.blocks.iter().filter(|(_, end)| ends.contains(*end)).filter_map(last);
    let goes_on = last.filter(|last| {
        let continues = [FlowControl::Next, FlowControl::Call, FlowControl::IndirectCall];
        continues.contains(&last.flow_control()) && !statements.away.contains(&last.next_ip())
    });
    goes_on.map(|last| format!("control goes on at {:#x}", last.ip())).collect()
}

/// How a graph differs from LLVM's own blocks, as text; nothing if it does not.
///
/// LLVM's blocks are others in three ways, which are taken into account: blocks between which nothing but falling through
/// leads are one here; a jump behind a conditional jump is a block of its own here; and what is passed for alignment is the
/// beginning of a block or a block here, and no part of any block there.
fn differences(code: &Code<'_>, functions: &[Vec<Block>], graph: &Graph) -> Vec<String> {
    let names = Names {
        starts: functions.iter().flatten().map(|block| block.start).collect(),
        blocks: &graph.blocks,
        code,
    };
    let mut texts = Vec::new();
    for block in graph.blocks.keys() {
        if names.of(*block).is_none() {
            texts.push(format!("no block of LLVM's begins at {block:#x}"));
        }
    }
    let mut expected = BTreeSet::new();
    for function in functions {
        let filled: BTreeSet<u64> =
            function.iter().filter(|block| block.start < block.end).map(|block| block.start).collect();
        for block in function.iter().filter(|block| block.start < block.end) {
            // Where no case leads, tables have the address of an empty block, which may be the end of the function.
            let targets = block.successors.iter().filter(|target| filled.contains(target));
            expected.extend(targets.map(|target| (names.of(block.start), names.of(*target))));
        }
    }
    let found: BTreeSet<_> = graph.edges.iter().map(|edge| (names.of(edge.0), names.of(edge.1))).collect();
    let between = |edges: &BTreeSet<(Option<u64>, Option<u64>)>| -> BTreeSet<(u64, u64)> {
        let known = edges.iter().filter_map(|edge| Some((edge.0?, edge.1?)));
        known.filter(|(from, to)| from != to).collect()
    };
    let (expected, found) = (between(&expected), between(&found));
    texts.extend(found.difference(&expected).map(|edge| format!("LLVM has no edge {edge:x?}")));
    texts.extend(expected.difference(&found).map(|edge| format!("only LLVM has an edge {edge:x?}")));
    texts
}

/// Names for blocks that a graph and LLVM share: where the first block of LLVM's begins that is part of it.
struct Names<'a> {
    starts: BTreeSet<u64>,
    blocks: &'a BTreeMap<u64, u64>,
    code: &'a Code<'a>,
}

impl Names<'_> {
    /// The name of the block that has an address.
    fn of(&self, address: u64) -> Option<u64> {
        let (start, end) = self.blocks.range(..=address).next_back().filter(|(_, end)| address < **end)?;
        if self.starts.contains(start) {
            return Some(*start);
        }
        let first = self.code.instructions(*start, *end).next()?;
        if is_padding(&first) {
            return self.starts.range(*start..=*end).next().copied();
        }
        let before = self.blocks.range(..*start).next_back().filter(|(_, before)| *before == start)?;
        let last = self.code.instructions(*before.0, *before.1).last()?;
        let is_behind = last.flow_control() == FlowControl::ConditionalBranch;
        let jumps = [FlowControl::ConditionalBranch, FlowControl::UnconditionalBranch];
        if is_behind && jumps.contains(&first.flow_control()) { self.of(*before.0) } else { None }
    }
}
