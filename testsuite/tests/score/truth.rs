//! `(linked file, statements of the compiler) -> statements`, with addresses instead of labels and symbols.

use crate::address_map::{self, Block};
use crate::assembly::ObjectFacts;
use crate::graph::{Code, Graph, is_padding};
use crate::statements::{Part, Statements};
use iced_x86::FlowControl;
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
use std::collections::{BTreeMap, BTreeSet};

/// Ground truth of a program compiled by GCC.
pub(crate) fn of_gcc(file: &object::File<'_>, objects: &[ObjectFacts]) -> Statements {
    of_gcc_in(file, objects, of_symbols(file, |_| true))
}

/// Ground truth of a program compiled by GCC, some of whose functions are given.
pub(crate) fn of_gcc_in(
    file: &object::File<'_>,
    objects: &[ObjectFacts],
    functions: Statements,
) -> Statements {
    let own: BTreeSet<&str> =
        objects.iter().flat_map(|facts| facts.functions.iter().map(String::as_str)).collect();
    let mut statements = Statements { flow: true, ..functions };
    statements.parts.retain(|part| own.contains(part.name.as_str()));
    let labels: BTreeMap<&str, u64> =
        file.symbols().filter_map(|symbol| Some((symbol.name().ok()?, symbol.address()))).collect();
    // Labels in discarded COMDAT copies have no address.
    let address = |label: &String| labels.get(label.as_str()).copied();
    for facts in objects {
        statements.noreturn_ends.extend(facts.noreturn_ends.iter().filter_map(address));
        statements.landing_pads.extend(facts.landing_pads.iter().filter_map(address));
        for (jump, targets) in &facts.tables {
            if let Some(jump) = address(jump) {
                statements.tables.insert(jump, targets.iter().filter_map(address).collect());
            }
        }
        let address_taken: BTreeSet<u64> = facts.address_taken.iter().filter_map(address).collect();
        for jump in facts.gotos.iter().filter_map(address) {
            let function = |address| statements.part_at(address).map(|part| part.function);
            let own = address_taken.iter().copied().filter(|target| function(*target) == function(jump));
            statements.tables.insert(jump, own.collect());
        }
    }
    statements
}

/// Ground truth of a program compiled by Clang, and LLVM's blocks. `None` if the file has no basic block address map.
pub(crate) fn of_clang(file: &object::File<'_>) -> Option<(Statements, Vec<Vec<Block>>)> {
    let section = file.section_by_name(".llvm_bb_addr_map")?;
    // x32 has addresses of four bytes in files of 32 bits.
    let address_size = if matches!(file, object::File::Elf32(_)) { 4 } else { 8 };
    let functions = address_map::read(section.data().ok()?, address_size)?;
    let starts: BTreeSet<u64> = functions.iter().filter_map(|blocks| Some(blocks.first()?.start)).collect();
    let mut statements = Statements { flow: true, ..of_symbols(file, |_| true) };
    statements.parts.retain(|part| starts.contains(&part.start));
    let code = Code::of(file);
    for function in &functions {
        let landing_pads = function.iter().filter(|block| block.is_pad());
        statements.landing_pads.extend(landing_pads.map(|block| block.start));
        for block in function {
            let last = code.instructions(block.start, block.end).last();
            if let Some(last) = last.filter(|_| block.jumps_indirectly()) {
                statements.tables.insert(last.ip(), block.successors.iter().copied().collect());
            }
            let is_call = last.is_some_and(|last| {
                matches!(last.flow_control(), FlowControl::Call | FlowControl::IndirectCall)
            });
            if is_call && !block.falls_through() && !block.exits() {
                statements.noreturn_ends.insert(block.end);
            }
        }
    }
    Some((statements, functions))
}

/// Functions declared by symbols whose names satisfy `is_own`.
pub(crate) fn of_symbols(file: &object::File<'_>, is_own: impl Fn(&str) -> bool) -> Statements {
    of_functions(file, |symbol| {
        let is_function = symbol.kind() == SymbolKind::Text && symbol.section_index().is_some();
        (is_function && symbol.name().is_ok_and(&is_own)).then(|| symbol.size())
    })
}

/// Functions declared by the symbols for which `size_of` returns the size of a function.
pub(crate) fn of_functions(
    file: &object::File<'_>,
    size_of: impl Fn(&object::Symbol<'_, '_>) -> Option<u64>,
) -> Statements {
    let mut statements = Statements::default();
    // Local symbols follow the symbol of their source file.
    let mut source = 0;
    let mut starts: BTreeMap<(usize, &str), u64> = BTreeMap::new();
    let mut cold = Vec::new();
    for symbol in file.symbols() {
        let Ok(name) = symbol.name() else { continue };
        if symbol.kind() == SymbolKind::File {
            source += 1;
        }
        let Some(size) = size_of(&symbol).filter(|size| *size > 0) else { continue };
        let start = symbol.address();
        let scope = if symbol.is_global() { 0 } else { source };
        starts.insert((scope, name), start);
        let part = Part { start, end: start.saturating_add(size), function: start, name: name.to_owned() };
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

/// Findings about the ground truth itself.
#[derive(Debug, Default)]
pub(crate) struct Validation {
    /// Number of blocks and edges compared with LLVM's.
    pub(crate) compared: usize,
    /// Differences to LLVM's blocks, as text.
    pub(crate) differences: Vec<String>,
    /// Functions that fall through at their end, as text.
    pub(crate) open_ends: Vec<String>,
}

/// Validates the ground truth: compares the graph with LLVM's blocks, if available, and checks that functions do not
/// fall through at their end.
pub(crate) fn validation(
    file: &object::File<'_>,
    code: &Code<'_>,
    statements: &Statements,
    graph: &Graph,
) -> Validation {
    let mut validation =
        Validation { open_ends: open_ends(code, statements, graph), ..Validation::default() };
    if let Some((_, blocks)) = of_clang(file) {
        validation.compared = graph.blocks.len() + graph.edges.len();
        validation.differences = differences(code, &blocks, graph);
    }
    validation
}

/// Blocks at the end of functions that fall through, as text. There are a few, due to `__builtin_unreachable`.
fn open_ends(code: &Code<'_>, statements: &Statements, graph: &Graph) -> Vec<String> {
    let ends: BTreeSet<u64> = statements.parts.iter().map(|part| part.end).collect();
    let last = |(start, end): (&u64, &u64)| code.instructions(*start, *end).last();
    let last = graph.blocks.iter().filter(|(_, end)| ends.contains(*end)).filter_map(last);
    let fallthroughs = last.filter(|last| {
        let continues = [FlowControl::Next, FlowControl::Call, FlowControl::IndirectCall];
        continues.contains(&last.flow_control()) && !statements.noreturn_ends.contains(&last.next_ip())
    });
    fallthroughs.map(|last| format!("the instruction at {:#x} falls through", last.ip())).collect()
}

/// Differences between a graph and LLVM's blocks, as text.
///
/// Three known differences are normalized: blocks connected only by falling through are one block here; a jump after a
/// conditional jump is a separate block here; and executed alignment padding starts a block or is a block here, but
/// belongs to no block of LLVM's.
fn differences(code: &Code<'_>, functions: &[Vec<Block>], graph: &Graph) -> Vec<String> {
    let names = Names {
        starts: functions.iter().flatten().map(|block| block.start).collect(),
        blocks: &graph.blocks,
        code,
    };
    let mut texts = Vec::new();
    for block in graph.blocks.keys() {
        if names.of(*block).is_none() {
            texts.push(format!("no LLVM block starts at {block:#x}"));
        }
    }
    let mut expected = BTreeSet::new();
    for function in functions {
        let filled: BTreeSet<u64> =
            function.iter().filter(|block| block.start < block.end).map(|block| block.start).collect();
        for block in function.iter().filter(|block| block.start < block.end) {
            // Impossible cases have the address of an empty block, which may be the end of the function.
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

/// Maps blocks of a graph to blocks of LLVM: the start of the first LLVM block inside a block.
struct Names<'a> {
    starts: BTreeSet<u64>,
    blocks: &'a BTreeMap<u64, u64>,
    code: &'a Code<'a>,
}

impl Names<'_> {
    /// Start of the LLVM block for the block that contains an address.
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
        let is_after_branch = last.flow_control() == FlowControl::ConditionalBranch;
        let jumps = [FlowControl::ConditionalBranch, FlowControl::UnconditionalBranch];
        if is_after_branch && jumps.contains(&first.flow_control()) { self.of(*before.0) } else { None }
    }
}
