//! Functions, blocks, edges, calls and frames are those that the compiler knew about when it made the code.

use binframe::ir::tables::{CallKind, Flow, FrameStatus, FunctionEvidence};
use binframe_testsuite::executable::{Executable, FunctionTruth, OptLevel, Options, from_clif_with};
use binframe_testsuite::lowering::{Tables, tables};
use binframe_testsuite::{fixtures, random};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

/// Random modules that are compiled, each in several ways.
const MODULES: u64 = 100;

/// What a file says of its functions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stated {
    /// Symbols and unwind entries.
    Symbols,
    /// Unwind entries alone.
    Unwind,
    /// Nothing but the entry point.
    Nothing,
}

fn every_module() -> Vec<(String, String, Options)> {
    let data = fixtures::stack_and_globals_data();
    let mut modules = Vec::new();
    for opt_level in [OptLevel::None, OptLevel::Speed] {
        let options = Options { opt_level, ..Options::default() };
        let with_data = Options { data: data.clone(), ..options.clone() };
        modules.push(("loops_and_calls".to_owned(), fixtures::LOOPS_AND_CALLS.to_owned(), options.clone()));
        modules.push(("stack_and_globals".to_owned(), fixtures::STACK_AND_GLOBALS.to_owned(), with_data));
        let random = (0..MODULES).map(|seed| (format!("module {seed}"), random::clif(seed), options.clone()));
        modules.extend(random);
    }
    modules
}

fn each_executable(stated: Stated, check: impl Fn(&str, &Executable, &Tables)) {
    for (name, clif, options) in every_module() {
        let (symbols, eh_frame) = (stated == Stated::Symbols, stated != Stated::Nothing);
        let executable = from_clif_with(&clif, &Options { symbols, eh_frame, ..options.clone() });
        let tables = tables(&executable.bytes.clone().into());
        check(&format!("{name} {:?}", options.opt_level), &executable, &tables);
    }
}

/// How often the tables differ from the truth, for the reasons that are known.
#[derive(Debug, Default)]
struct Differences {
    /// Where a two-way branch is followed by neither of its targets, its block ends with a conditional jump and a jump. The
    /// conditional jump ends a block here, and the jump is a block of its own.
    jumps_behind_conditional_jumps: Cell<u32>,
    /// Constants stand behind a function's code, inside its range. Here they are instructions, in blocks that no code enters.
    /// The last of them may reach into the padding behind the function, and the range with it; jumps among them cut the
    /// blocks that they seem to go to, in this function and in others.
    constants_behind_code: Cell<u32>,
}

/// Blocks of one function, and the edges between them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Graph {
    blocks: BTreeSet<u64>,
    edges: BTreeSet<(u64, u64)>,
}

impl Graph {
    /// Takes out what stands from an address on, and joins the blocks that only jumps from there or from other functions
    /// have cut.
    fn truncate(&mut self, end: u64, from_elsewhere: BTreeSet<u64>) {
        let mut cut = from_elsewhere;
        cut.extend(self.edges.iter().filter(|edge| edge.0 >= end).map(|edge| edge.1));
        self.blocks.retain(|block| *block < end);
        self.edges.retain(|edge| edge.0 < end);
        for block in cut.into_iter().rev() {
            let entering: Vec<_> = self.edges.iter().copied().filter(|edge| edge.1 == block).collect();
            let [(before, _)] = *entering else { continue };
            let is_only_way = self.edges.iter().filter(|edge| edge.0 == before).count() == 1;
            if is_only_way && self.blocks.range(..block).next_back() == Some(&before) {
                self.blocks.remove(&block);
                self.edges.remove(&(before, block));
                let own = |(from, to): (u64, u64)| (if from == block { before } else { from }, to);
                self.edges = std::mem::take(&mut self.edges).into_iter().map(own).collect();
            }
        }
    }

    /// Takes out a block that only goes on to another.
    fn skip(&mut self, block: u64, next: u64) {
        self.blocks.remove(&block);
        self.edges.remove(&(block, next));
        let through = |(from, to): (u64, u64)| (from, if to == block { next } else { to });
        self.edges = std::mem::take(&mut self.edges).into_iter().map(through).collect();
    }
}

#[test]
fn with_symbols_functions_blocks_edges_calls_and_frames_are_the_compilers() {
    check_all(Stated::Symbols, |truth| (Some(truth.name.as_str()), FunctionEvidence::Symbol));
}

#[test]
fn without_symbols_unwind_entries_tell_the_same() {
    check_all(Stated::Unwind, |truth| match truth.frame_size {
        Some(_) => (None, FunctionEvidence::Unwind),
        // `exit` is written by hand and has no unwind entry; it is found because it is called.
        None => (None, FunctionEvidence::CallTarget),
    });
}

fn check_all(stated: Stated, expected: impl Fn(&FunctionTruth) -> (Option<&str>, FunctionEvidence)) {
    let differences = Differences::default();
    each_executable(stated, |name, executable, tables| {
        let functions = tables.lowered.cfg.functions.columns();
        let found = functions.iter().map(|row| (row.address, (row.name, row.evidence)));
        let truths = executable.functions.iter().map(|truth| (truth.address, expected(truth)));
        assert_eq!(found.collect::<Vec<_>>(), truths.collect::<Vec<_>>(), "{name}");
        for (truth, function) in executable.functions.iter().zip(functions.iter()) {
            let name = format!("{name} %{}", truth.name);
            let code_end = check_blocks_and_edges(&name, truth, tables, &differences);
            let beyond = function.size - truth.size;
            let is_data_last = code_end < truth.address + truth.size;
            assert!(beyond == 0 || beyond < 15 && is_data_last, "{name}: {function:?}, {truth:x?}");
            check_calls(&name, truth, code_end, tables);
            check_frame(&name, truth, tables);
        }
    });
    // A difference that is gone is no longer explained either.
    let Differences { jumps_behind_conditional_jumps, constants_behind_code } = differences;
    assert!(jumps_behind_conditional_jumps.get() > 0 && constants_behind_code.get() > 0);
}

#[test]
fn with_nothing_stated_functions_are_where_the_entry_point_and_calls_lead() {
    each_executable(Stated::Nothing, |name, executable, tables| {
        let truths: BTreeMap<_, _> =
            executable.functions.iter().map(|truth| (truth.address, truth)).collect();
        let calls = tables.lowered.cfg.call_edges.columns();
        let functions = tables.lowered.cfg.functions.columns();
        let starts: BTreeSet<_> = functions.address.iter().copied().collect();
        for call in calls.iter().filter(|call| call.kind == CallKind::Direct) {
            assert_eq!(call.callee_address.filter(|callee| starts.contains(callee)), call.callee_address);
        }
        for function in functions.iter() {
            let truth = truths.get(&function.address).unwrap_or_else(|| {
                panic!("{name}: no function begins at {:#x}: {:?}", function.address, function.evidence)
            });
            assert_ne!(function.evidence, FunctionEvidence::Symbol, "{name}: {truth:?}");
            assert_ne!(function.evidence, FunctionEvidence::Unwind, "{name}: {truth:?}");
            // The size is a guess. It may miss code that only the compiler knows to be reachable, and never reaches into
            // the next function.
            let gap = 15;
            assert!(function.size <= truth.size + gap, "{name}: {} for {truth:?}", function.size);
        }
    });
}

/// Returns where the code ends and constants may begin.
fn check_blocks_and_edges(
    name: &str,
    truth: &FunctionTruth,
    tables: &Tables,
    differences: &Differences,
) -> u64 {
    let mut expected = Graph {
        blocks: truth.block_starts.iter().copied().collect(),
        edges: truth.edges.iter().copied().collect(),
    };
    let last = *expected.blocks.last().expect("a function has a block");
    let (mut found, from_elsewhere) = graph(truth.address, tables);
    let is_entered = |block: &u64| found.edges.iter().any(|edge| edge.1 == *block && edge.0 < *block);
    let constants = found.blocks.range(last + 1..).copied().find(|block| !is_entered(block));
    differences.constants_behind_code.update(|count| count + u32::from(constants.is_some()));
    let code_end = constants.unwrap_or(truth.address + truth.size);
    found.truncate(code_end, from_elsewhere);
    for block in found.blocks.clone() {
        if let Some(target) = jump_behind_conditional_jump(block, tables) {
            differences.jumps_behind_conditional_jumps.update(|count| count + 1);
            found.skip(block, target);
            expected.skip(block, target);
        }
    }
    assert_eq!(found, expected, "{name}: {truth:#x?}");
    code_end
}

/// The graph of a function, and its blocks that edges from outside enter.
fn graph(function_address: u64, tables: &Tables) -> (Graph, BTreeSet<u64>) {
    let blocks = tables.lowered.cfg.basic_blocks.columns();
    let own = blocks.iter().filter(|block| block.function_address == function_address);
    let blocks: BTreeSet<u64> = own.map(|block| block.address).collect();
    let edges = tables.lowered.cfg.cfg_edges.columns();
    let entering = edges.iter().filter_map(|edge| Some((edge.source_address, edge.target_address?)));
    let entering = entering.filter(|edge| blocks.contains(&edge.1));
    let (edges, others): (BTreeSet<_>, BTreeSet<_>) = entering.partition(|edge| blocks.contains(&edge.0));
    (Graph { blocks, edges }, others.into_iter().map(|edge| edge.1).collect())
}

/// The target of a jump that is a block of its own and stands behind a conditional jump.
fn jump_behind_conditional_jump(block: u64, tables: &Tables) -> Option<u64> {
    let instructions = tables.instructions.columns();
    let row = instructions.address.binary_search(&block).expect("a block begins with an instruction");
    let flows = [instructions.row(row.checked_sub(1)?).flow, instructions.row(row).flow];
    instructions.target.get(row).filter(|_| flows == [Flow::CondJump, Flow::Jump])
}

fn check_calls(name: &str, truth: &FunctionTruth, code_end: u64, tables: &Tables) {
    let instructions = tables.instructions.columns();
    let calls = tables.lowered.cfg.call_edges.columns();
    let own = calls.iter().filter(|call| call.caller_address == truth.address);
    let found = own.filter(|call| call.call_address < code_end).map(|call| {
        assert_ne!(call.kind, CallKind::Tail, "{name}: the compiler makes no tail calls here");
        assert_eq!(call.kind == CallKind::Direct, call.callee_address.is_some(), "{name}: {call:?}");
        let row = instructions.address.binary_search(&call.call_address).expect("calls are instructions");
        (call.call_address + u64::from(instructions.size[row]), call.callee_address)
    });
    assert_eq!(found.collect::<Vec<_>>(), truth.calls, "{name}: calls");
}

fn check_frame(name: &str, truth: &FunctionTruth, tables: &Tables) {
    /// The frame pointer's slot, which the compiler does not count.
    const SAVED_FRAME_POINTER: u64 = 8;
    let frames = tables.lowered.memory.stack_frames.columns();
    let row = frames.function_address.binary_search(&truth.address).expect("every function has a frame");
    let frame = frames.row(row);
    assert_eq!(frame.status, FrameStatus::Exact, "{name}");
    let expected = match truth.frame_size {
        None => 0,
        Some(_) if !frame.uses_frame_pointer => 0,
        Some(size) => size + SAVED_FRAME_POINTER,
    };
    assert_eq!(frame.frame_size, expected, "{name}: {frame:?}, {:?}", truth.frame_size);
    assert_eq!(frame.saved_registers, if frame.uses_frame_pointer { "rbp" } else { "" }, "{name}");
}
