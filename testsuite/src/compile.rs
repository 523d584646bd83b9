//! `(CLIF text) -> compiled functions` with relocations.
//!
//! Offsets are relative to the start of the function; [`crate::executable`] assigns addresses.

use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{ExternalName, Function, UserFuncName};
use cranelift_codegen::isa::unwind::{UnwindInfo, systemv};
use cranelift_codegen::isa::{self, CallConv, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_codegen::{CompiledCode, Context, FinalizedRelocTarget};
use cranelift_reader::ParseOptions;

/// Optimization level of the compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptLevel {
    /// Instruction selection and register allocation only.
    None,
    /// Optimization for speed.
    Speed,
    /// Optimization for speed and size.
    SpeedAndSize,
}

/// A compiled function.
pub(crate) struct CompiledFunction {
    pub(crate) name: String,
    pub(crate) code: Vec<u8>,
    pub(crate) relocations: Vec<Relocation>,
    pub(crate) block_starts: Vec<u64>,
    pub(crate) edges: Vec<(u64, u64)>,
    /// The offset after each call, in order.
    pub(crate) return_offsets: Vec<u64>,
    pub(crate) frame_size: Option<u64>,
    pub(crate) unwind: Option<systemv::UnwindInfo>,
}

/// An address field in the code of a function.
pub(crate) struct Relocation {
    pub(crate) offset: u64,
    pub(crate) kind: RelocationKind,
    pub(crate) target: Target,
    pub(crate) addend: i64,
}

/// Encoding of a relocated field.
#[derive(Clone, Copy)]
pub(crate) enum RelocationKind {
    /// Eight bytes, the address itself.
    Absolute8,
    /// Four bytes, the address relative to the field.
    Relative4,
}

/// Target of a relocation.
pub(crate) enum Target {
    Symbol(String),
    /// Offset in the function that contains the relocation.
    SameFunction(u64),
}

/// The backend for baseline x86-64 Linux, independent of the machine that runs the test.
pub(crate) fn backend(opt_level: OptLevel) -> OwnedTargetIsa {
    backend_for("x86_64-unknown-linux-gnu", opt_level, false)
}

/// The backend for the baseline of a target, independent of the machine that runs the test.
pub(crate) fn backend_for(
    target: &str,
    opt_level: OptLevel,
    is_position_independent: bool,
) -> OwnedTargetIsa {
    let mut flags = settings::builder();
    let opt_level = match opt_level {
        OptLevel::None => "none",
        OptLevel::Speed => "speed",
        OptLevel::SpeedAndSize => "speed_and_size",
    };
    for (name, value) in [
        ("opt_level", opt_level),
        ("machine_code_cfg_info", "true"),
        ("is_pic", if is_position_independent { "true" } else { "false" }),
        ("unwind_info", "true"),
        ("enable_verifier", "true"),
    ] {
        flags.set(name, value).expect("the setting exists");
    }
    isa::lookup_by_name(target)
        .expect("cranelift is built with the backend")
        .finish(settings::Flags::new(flags))
        .expect("the flags suit the backend")
}

/// Compiles all functions of a CLIF file. The default calling convention is System V.
pub(crate) fn compile(clif_text: &str, isa: &OwnedTargetIsa) -> Vec<CompiledFunction> {
    let options = ParseOptions { default_calling_convention: CallConv::SystemV, ..ParseOptions::default() };
    let file = cranelift_reader::parse_test(clif_text, options)
        .unwrap_or_else(|error| panic!("the CLIF does not parse: {error}"));
    file.functions.into_iter().map(|(function, _)| compile_function(function, isa)).collect()
}

fn compile_function(function: Function, isa: &OwnedTargetIsa) -> CompiledFunction {
    let UserFuncName::Testcase(name) = &function.name else {
        panic!("functions are named like %this, not {}", function.name);
    };
    let name = String::from_utf8(name.raw().to_vec()).expect("names are UTF-8");
    let mut context = Context::for_function(function);
    let compiled = context
        .compile(isa.as_ref(), &mut ControlPlane::default())
        .unwrap_or_else(|error| panic!("%{name} does not compile: {:?}", error.inner));
    let (block_starts, edges) = blocks(compiled);
    let unwind = match compiled.create_unwind_info(isa.as_ref()).expect("every register has a DWARF number") {
        Some(UnwindInfo::SystemV(unwind)) => Some(unwind),
        _ => None,
    };
    CompiledFunction {
        code: compiled.code_buffer().to_vec(),
        relocations: relocations(compiled),
        block_starts,
        edges,
        return_offsets: compiled.buffer.call_sites().map(|site| site.ret_addr as u64).collect(),
        frame_size: compiled.buffer.frame_layout().map(|layout| layout.frame_to_fp_offset as u64),
        unwind,
        name,
    }
}

fn relocations(compiled: &CompiledCode) -> Vec<Relocation> {
    let relocations = compiled.buffer.relocs().iter();
    relocations
        .map(|relocation| Relocation {
            offset: relocation.offset as u64,
            kind: match relocation.kind {
                Reloc::Abs8 => RelocationKind::Absolute8,
                Reloc::X86PCRel4 | Reloc::X86CallPCRel4 => RelocationKind::Relative4,
                other => panic!("code without position independence has no relocation {other}"),
            },
            target: match &relocation.target {
                FinalizedRelocTarget::Func(offset) => Target::SameFunction(*offset as u64),
                FinalizedRelocTarget::ExternalName(ExternalName::TestCase(name)) => {
                    Target::Symbol(String::from_utf8(name.raw().to_vec()).expect("names are UTF-8"))
                }
                FinalizedRelocTarget::ExternalName(other) => panic!("undefined symbol {other:?}"),
            },
            addend: relocation.addend,
        })
        .collect()
}

/// Block starts and edges as the machine code shows them.
///
/// Three corrections are applied to the compiler's lists. The compiler starts the entry block after the prologue; here
/// it starts at the function's first byte, and the prologue is a block of its own if a loop starts right after it. The
/// compiler lists blocks that jump threading made unreachable; here they are left out. The compiler keeps blocks
/// separate after it has removed the jump between them; here a block and its only successor are merged if they are
/// adjacent and it has no other predecessor.
fn blocks(compiled: &CompiledCode) -> (Vec<u64>, Vec<(u64, u64)>) {
    let prologue_end = compiled.bb_starts[0];
    // In CLIF, the entry block has no predecessors.
    let is_loop = compiled.bb_edges.iter().any(|edge| edge.1 == prologue_end) && prologue_end > 0;
    let from_entry = |offset: u32| if offset == prologue_end && !is_loop { 0 } else { offset as u64 };
    let mut starts: Vec<u64> = compiled.bb_starts.iter().copied().map(from_entry).collect();
    starts.sort_unstable();
    starts.dedup();
    let edges = compiled.bb_edges.iter().map(|&(from, to)| (from_entry(from), from_entry(to)));
    let mut edges: Vec<(u64, u64)> = edges.collect();
    if is_loop {
        starts.insert(0, 0);
        edges.push((0, prologue_end as u64));
    }
    edges.sort_unstable();
    edges.dedup();
    let is_unreachable =
        |start: &u64| *start != 0 && edges.iter().all(|edge| edge.1 != *start || edge.0 == *start);
    let unreachable_blocks: Vec<u64> = starts.iter().copied().filter(is_unreachable).collect();
    starts.retain(|start| !unreachable_blocks.contains(start));
    edges.retain(|edge| !unreachable_blocks.contains(&edge.0));

    // In reverse order, so that a chain is merged into its first block.
    for index in (1..starts.len()).rev() {
        let (block, next) = (starts[index - 1], starts[index]);
        let only_successor = edges.iter().filter(|edge| edge.0 == block).all(|edge| edge.1 == next);
        let only_predecessor = edges.iter().filter(|edge| edge.1 == next).all(|edge| edge.0 == block);
        if only_successor && only_predecessor && edges.contains(&(block, next)) {
            starts.remove(index);
            edges.retain(|&edge| edge != (block, next));
            for edge in &mut edges {
                if edge.0 == next {
                    edge.0 = block;
                }
            }
        }
    }
    edges.sort_unstable();
    (starts, edges)
}
