//! Functions, blocks, edges, jump tables, calls and frames are equal to the compiler's ground truth. Dominators, loops
//! and recursion are equal to those computed from the compiler's edges.

mod graph;
mod structure;

use binframe::ir::tables::{
    BlockEvidence, BoundEvidence, CallEvidence, CallKind, EdgeKind, FrameStatus, Function, FunctionEvidence,
};
use binframe_testsuite::executable::{Executable, FunctionGroundTruth, OptLevel, Options, from_clif_with};
use binframe_testsuite::lowering::{Tables, tables};
use binframe_testsuite::random::Features;
use binframe_testsuite::{fixtures, random};
use graph::{Executed, executed, found, returning, returning_in_text};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

/// Number of random modules per set of features, each compiled at several levels.
const MODULES: u64 = 100;

/// Code for which the compiler's blocks are exactly those of the machine code.
const PLAIN: Features = Features { jump_tables: false, conditional_traps: false, traps: false };

const WITH_TABLES: Features = Features { jump_tables: true, ..PLAIN };

/// Divisions and conditional traps, which the compiler treats as single instructions.
const WITH_CONDITIONAL_TRAPS: Features = Features { conditional_traps: true, ..WITH_TABLES };

/// Blocks that end with a trap. The compiler reports wrong edges for such functions.
const WITH_TRAPS: Features = Features { traps: true, ..WITH_TABLES };

/// What a file declares about its functions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Declared {
    /// Symbols and unwind entries.
    Symbols,
    /// Only unwind entries.
    Unwind,
    /// Only the entry point.
    Nothing,
}

/// A module and its compilation options.
struct Module {
    name: String,
    clif: String,
    options: Options,
    features: Features,
}

fn every_module() -> Vec<Module> {
    let data = fixtures::stack_and_globals_data();
    let mut modules = Vec::new();
    for opt_level in [OptLevel::None, OptLevel::Speed] {
        let options = Options { opt_level, ..Options::default() };
        let with_data = Options { data: data.clone(), ..options.clone() };
        let fixture = |name: &str, clif: &str, options| Module {
            name: format!("{name} {opt_level:?}"),
            clif: clif.to_owned(),
            options,
            features: PLAIN,
        };
        modules.push(fixture("loops_and_calls", fixtures::LOOPS_AND_CALLS, options.clone()));
        modules.push(fixture("stack_and_globals", fixtures::STACK_AND_GLOBALS, with_data));
        for features in [PLAIN, WITH_TABLES, WITH_CONDITIONAL_TRAPS, WITH_TRAPS] {
            modules.extend((0..MODULES).map(|seed| Module {
                name: format!("module {seed} {opt_level:?} {features:?}"),
                clif: random::clif_with_features(seed, features),
                options: options.clone(),
                features,
            }));
        }
    }
    modules
}

fn each_executable(declared: Declared, check: impl Fn(&Module, &Executable, &Tables)) {
    for module in every_module() {
        let (symbols, eh_frame) = (declared == Declared::Symbols, declared != Declared::Nothing);
        let mut executable =
            from_clif_with(&module.clif, &Options { symbols, eh_frame, ..module.options.clone() });
        let tables = tables(&executable.bytes.clone().into());
        add_register_callees(&module, &mut executable, &tables);
        check(&module, &executable, &tables);
    }
}

/// Adds the callees of indirect calls that are the value of a register. The compiler records no callee; a function of
/// which the caller takes the address is the right one.
fn add_register_callees(module: &Module, executable: &mut Executable, tables: &Tables) {
    let calls = tables.lowered.cfg.call_edges.columns();
    let resolved = calls.iter().filter(|call| call.evidence == CallEvidence::Register);
    let resolved: BTreeMap<u64, u64> =
        resolved.filter_map(|call| Some((call.call_address, call.callee_address?))).collect();
    let names: BTreeMap<u64, String> =
        executable.functions.iter().map(|truth| (truth.address, truth.name.clone())).collect();
    for truth in &mut executable.functions {
        for (after, callee) in truth.calls.iter_mut().filter(|(_, callee)| callee.is_none()) {
            // An indirect call through a register has two or three bytes.
            let found = resolved.range(*after - 3..*after).next_back().map(|(_, found)| *found);
            let Some(address) = found else { continue };
            let taken = names[&address].replacen('f', "func_addr.i64 fn", 1);
            let name = &truth.name;
            assert!(text_of(module, name).contains(&taken), "{} %{name} calls {address:#x}", module.name);
            *callee = Some(address);
        }
    }
}

/// Counts of the tested constructs and of the known differences between tables and ground truth.
#[derive(Debug, Default)]
struct Counted {
    functions: Cell<u32>,
    /// Functions whose blocks are exactly those of the compiler.
    same: Cell<u32>,
    never_returning: Cell<u32>,
    recursive: Cell<u32>,
    loops: Cell<u32>,
    tables: Cell<u32>,
    /// Conditional branches of which neither target is adjacent. The compiler's block ends with a conditional jump and
    /// a jump; in the tables the jump is a separate block.
    jumps_after_conditional_jumps: Cell<u32>,
    /// Modules in which a jump table, decoded as instructions, extends past the start of a block. Their functions are
    /// not checked.
    blocks_in_tables: Cell<u32>,
}

#[test]
fn tables_match_the_compiler_with_symbols() {
    check_all(Declared::Symbols, |truth| (Some(truth.name.as_str()), FunctionEvidence::Symbol));
}

#[test]
fn tables_match_the_compiler_with_unwind_entries_only() {
    check_all(Declared::Unwind, |truth| match truth.frame_size {
        Some(_) => (None, FunctionEvidence::Unwind),
        // `exit` is hand-written and has no unwind entry; it is found as a call target.
        None => (None, FunctionEvidence::CallTarget),
    });
}

fn check_all(
    declared: Declared,
    expected: impl Fn(&FunctionGroundTruth) -> (Option<&str>, FunctionEvidence),
) {
    let counted = Counted::default();
    each_executable(declared, |module, executable, tables| {
        let functions = tables.lowered.cfg.functions.columns();
        let found = functions.iter().map(|row| (row.address, (row.function_name, row.evidence)));
        let truths = executable.functions.iter().map(|truth| (truth.address, expected(truth)));
        assert_eq!(found.collect::<Vec<_>>(), truths.collect::<Vec<_>>(), "{}", module.name);
        assert_eq!(tables.lowered.cfg.function_parts.columns().len(), 0, "{}", module.name);
        let mut starts = executable.functions.iter().flat_map(|truth| &truth.block_starts);
        let returns = returning_in(module, executable);
        check_recursion(&module.name, tables, &counted);
        if starts.any(|start| !begins_instruction(*start, tables)) {
            assert!(module.features.jump_tables, "{}", module.name);
            return add(&counted.blocks_in_tables, 1);
        }
        for (truth, function) in executable.functions.iter().zip(functions.iter()) {
            let name = format!("{} %{}", module.name, truth.name);
            // Constants after the code, decoded as an instruction, may extend into the padding after them.
            let beyond = function.size - truth.size;
            let is_cut = beyond > 0 && beyond < 15 && !begins_instruction(truth.address + truth.size, tables);
            assert!(beyond == 0 || is_cut, "{name}: {function:?}, {truth:x?}");
            if let Some(returns) = &returns {
                assert_eq!(function.may_return, returns.contains(&truth.address), "{name}: {function:x?}");
                let executed = executed(truth, returns);
                let is_trapping = module.features.traps && text_of(module, &truth.name).contains("trap user");
                if !is_trapping {
                    check_graph(&name, module.features, truth, executed, tables, &counted);
                }
            }
            check_structure(&name, &function, tables, &counted);
            if !module.features.traps {
                check_jump_tables(&name, truth, tables, &counted);
            }
            check_frame(&name, truth, tables);
            add(&counted.functions, 1);
            add(&counted.never_returning, u32::from(!function.may_return));
        }
    });
    assert!(
        counted.functions.get() > 1000 && counted.same.get() * 3 > counted.functions.get(),
        "{counted:?}"
    );
    let others = [&counted.never_returning, &counted.recursive, &counted.loops, &counted.tables];
    assert!(others.iter().all(|count| count.get() > 100), "{counted:?}");
    // A known difference that no longer occurs must be removed.
    let differences = [&counted.jumps_after_conditional_jumps, &counted.blocks_in_tables];
    assert!(differences.iter().all(|count| count.get() > 0), "{counted:?}");
}

fn add(counter: &Cell<u32>, count: u32) {
    counter.update(|before| before + count);
}

fn text_of<'a>(module: &'a Module, function: &str) -> &'a str {
    let start = format!("function %{function}(");
    module.clif.split_once(&start).map_or("", |(_, rest)| rest.split("function %").next().unwrap_or(rest))
}

/// Functions that may return, if this is known: blocks with a trap have no edges, and an optimizer changes the code of
/// the text.
fn returning_in(module: &Module, executable: &Executable) -> Option<BTreeSet<u64>> {
    let by_edges = (!module.features.traps).then(|| returning(&executable.functions));
    if module.options.opt_level != OptLevel::None
        || module.features == PLAIN && !module.name.starts_with("module")
    {
        return by_edges;
    }
    let by_text = returning_in_text(&module.clif);
    let returning = executable.functions.iter().filter(|truth| by_text[&truth.name]);
    let returning: BTreeSet<u64> = returning.map(|truth| truth.address).collect();
    // An indirect call whose callee is not found may return.
    let is_less = |by_edges: &BTreeSet<u64>| returning.is_subset(by_edges);
    assert!(by_edges.as_ref().is_none_or(is_less), "{}: text and edges agree", module.name);
    Some(by_edges.unwrap_or(returning))
}

fn check_graph(
    name: &str,
    features: Features,
    truth: &FunctionGroundTruth,
    executed: Executed,
    tables: &Tables,
    counted: &Counted,
) {
    let Executed { graph: mut expected, calls, .. } = executed;
    let mut found = found(truth.address, tables);
    add(&counted.same, u32::from(found == expected));
    let blocks = (found.clone(), expected.clone());
    if features.conditional_traps {
        found.join_within(&expected, tables);
    }
    add(&counted.jumps_after_conditional_jumps, found.skip_jumps(tables));
    expected.skip_jumps(tables);
    found.join();
    expected.join();
    assert_eq!(found, expected, "{name}: {blocks:#x?}");
    check_calls(name, truth, &calls, tables);
}

fn check_structure(name: &str, function: &Function<'_>, tables: &Tables, counted: &Counted) {
    let graph = found(function.address, tables);
    add(&counted.loops, structure::check(name, function.address, &graph, tables));
}

/// All jumps through tables are resolved, and the entries fill the range between the jump and the next block.
fn check_jump_tables(name: &str, truth: &FunctionGroundTruth, tables: &Tables, counted: &Counted) {
    let cfg = &tables.lowered.cfg;
    let range = truth.address..truth.address + truth.size;
    let blocks = found(truth.address, tables).blocks;
    let edges = cfg.cfg_edges.columns();
    let own =
        edges.iter().filter(|edge| blocks.contains(&edge.source_address) && edge.kind == EdgeKind::Indirect);
    own.for_each(|edge| assert!(edge.target_address.is_some(), "{name}: {edge:x?}"));
    let rows = cfg.jump_table_entries.columns();
    for table in cfg.jump_tables.columns().iter().filter(|table| table.function_address == truth.address) {
        add(&counted.tables, 1);
        // The compiler clamps the index without a branch.
        assert_eq!(table.bound_evidence, BoundEvidence::Content, "{name}: {table:x?}");
        let entries: Vec<_> = rows.iter().filter(|row| row.jump_address == table.jump_address).collect();
        assert_eq!(entries.len(), table.entry_count as usize, "{name}: {table:x?}");
        let is_block = |target: &u64| truth.block_starts.contains(target);
        assert!(entries.iter().all(|row| is_block(&row.target_address)), "{name}: {entries:x?}");
        let end = table.table_address + u64::from(table.entry_count) * u64::from(table.entry_size);
        if let Some(next) = truth.block_starts.iter().find(|start| **start > table.table_address) {
            // The compiler does not count blocks that consist only of a jump and that jump threading made unreachable.
            const JUMP: u8 = 0xe9;
            let region = &tables.lowered.code.regions[0];
            let between = &region.bytes[(end - region.address) as usize..(*next - region.address) as usize];
            assert!(between.chunks(5).all(|jump| jump.len() == 5 && jump[0] == JUMP), "{name}: {table:x?}");
        }
        assert!(end <= range.end, "{name}: {table:x?}");
    }
}

#[test]
fn functions_are_found_by_calls_without_declarations() {
    each_executable(Declared::Nothing, |module, executable, tables| {
        let name = &module.name;
        if module.features.jump_tables {
            // Jump tables are in the code section and may be decoded as unreached code.
            return;
        }
        let returns = returning(&executable.functions);
        let truths: BTreeMap<_, _> =
            executable.functions.iter().map(|truth| (truth.address, truth)).collect();
        let functions = tables.lowered.cfg.functions.columns();
        for function in functions.iter() {
            let before = truths
                .range(..=function.address)
                .next_back()
                .expect("the first function is at the start of the code")
                .1;
            let Some(truth) = truths.get(&function.address) else {
                // Constants after code, and code after a noreturn call, may look like functions.
                assert_eq!(function.evidence, FunctionEvidence::Gap, "{name}: {function:x?}");
                let code = executed(before, &returns).code;
                assert!(code.iter().all(|code| !code.contains(&function.address)), "{name}: {function:x?}");
                continue;
            };
            assert_ne!(function.evidence, FunctionEvidence::Symbol, "{name}: {truth:?}");
            assert_ne!(function.evidence, FunctionEvidence::Unwind, "{name}: {truth:?}");
            // Edges between functions are calls only.
            let blocks = found(function.address, tables).blocks;
            let range = truth.address..truth.address + truth.size;
            assert!(blocks.iter().all(|block| range.contains(block)), "{name}: {blocks:x?} for {truth:x?}");
        }
        // Constants after code may be decoded as an instruction that extends past the start of the next function.
        let missing = truths.keys().find(|address| {
            functions.address.binary_search(address).is_err() && begins_instruction(**address, tables)
        });
        assert_eq!(missing, None, "{name}: missing function");
    });
}

fn begins_instruction(address: u64, tables: &Tables) -> bool {
    tables.instructions.columns().address.binary_search(&address).is_ok()
}

fn check_calls(name: &str, truth: &FunctionGroundTruth, executed: &[(u64, Option<u64>)], tables: &Tables) {
    let instructions = tables.instructions.columns();
    let blocks = tables.lowered.cfg.basic_blocks.columns();
    let mut found = Vec::new();
    let calls = tables.lowered.cfg.call_edges.columns();
    for call in calls.iter().filter(|call| call.caller_address == truth.address) {
        let block = blocks.address.partition_point(|address| *address <= call.call_address) - 1;
        if blocks.row(block).evidence == BlockEvidence::Gap {
            continue;
        }
        assert_ne!(call.kind, CallKind::Tail, "{name}: the compiler emits no tail calls here");
        let is_known = call.kind == CallKind::Direct || call.evidence == CallEvidence::Register;
        assert_eq!(is_known, call.callee_address.is_some(), "{name}: {call:?}");
        let row =
            instructions.address.binary_search(&call.call_address).expect("a call is at an instruction");
        found.push((call.call_address + u64::from(instructions.size[row]), call.callee_address));
    }
    assert_eq!(found, executed, "{name}: calls");
}

/// Mutually recursive functions are those that reach themselves in the call graph; they share the lowest address of
/// their cycle.
fn check_recursion(name: &str, tables: &Tables, counted: &Counted) {
    let calls = tables.lowered.cfg.call_edges.columns();
    let calls: BTreeSet<(u64, u64)> =
        calls.iter().filter_map(|call| Some((call.caller_address, call.callee_address?))).collect();
    let called_from = |function: u64| {
        let (mut called, mut work) = (BTreeSet::new(), vec![function]);
        while let Some(caller) = work.pop() {
            let callees = calls.iter().filter(|call| call.0 == caller).map(|call| call.1);
            work.extend(callees.filter(|callee| called.insert(*callee)));
        }
        called
    };
    for function in tables.lowered.cfg.functions.columns().iter() {
        let mut called = called_from(function.address).into_iter();
        let expected = called.find(|other| called_from(*other).contains(&function.address));
        assert_eq!(function.recursion_group_address, expected, "{name}: {function:x?}");
        add(&counted.recursive, u32::from(expected.is_some()));
    }
}

fn check_frame(name: &str, truth: &FunctionGroundTruth, tables: &Tables) {
    /// Size of the saved frame pointer, which the compiler does not count.
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
    let saves_frame_pointer = frame.saved_registers.iter().any(|register| register == "rbp");
    assert_eq!(saves_frame_pointer, frame.uses_frame_pointer, "{name}: {frame:?}");
}
