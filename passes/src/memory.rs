//! `(binary_headers, binary_segments, binary_sections) -> memory_regions`
//! `(memory_regions, code, functions, basic_blocks, cfg_edges) -> (stack_frames, memory_accesses)`
//!
//! Regions are those that the file implies: its loaded sections, and for a program the stack and the heap that the system
//! will give it. Stack frames come from following the stack pointer and the frame pointer along the edges of each function,
//! as offsets from the stack pointer at its entry. An access lies on the stack where such an offset is known for its base
//! register, is global where the instruction names an absolute address, and is unknown otherwise.
//!
//! `memory_accesses` is large and is made on demand for any run of functions ([`accesses`]).
//!
//! Invariants: one frame for every function; offsets are those of the instructions that known edges reach from the entry;
//! where two ways disagree, nothing is claimed.
//!
//! Callees that pop their arguments are those of the file whose return says so. On 32-bit Windows, functions of other files may,
//! and the stack pointer is not known behind a call of one.
//!
//! What can go wrong: `stack_pointer_lost`. Not done here: values of other registers; heap allocation sites.

use crate::cfg::{BlocksByFunction, CfgIr};
use crate::code::Code;
use crate::diagnostics::{Collector, Place};
use crate::isa::{Effects, Instruction, StackState, Touched, saved_register, touches};
use crate::popped::Popped;
use crate::sections::SectionsIr;
use binframe_ir::parquet::ROW_GROUP_ROWS_MAX;
use binframe_ir::tables::{
    AccessRegion, BasicBlockColumns, BinaryKind, CfgEdgeColumns, DiagnosticCode, DiagnosticPass, Diagnostics,
    EdgeKind, FrameStatus, MemoryAccess, MemoryAccessBuilder, MemoryAccesses, MemoryRegion,
    MemoryRegionBuilder, MemoryRegions, RegionType, SectionKind, Severity, StackFrame, StackFrameBuilder,
    StackFrames,
};
use binframe_ir::{Batch, Enumeration, Fingerprint, Rows};
use rayon::prelude::*;
use std::ops::Range;

/// The tables of the stage, but for `memory_accesses`.
#[derive(Debug, Clone)]
pub struct MemoryIr {
    /// The memory that the file implies.
    pub memory_regions: Rows<MemoryRegions>,
    /// How functions use the stack.
    pub stack_frames: Rows<StackFrames>,
    /// What could not be understood.
    pub diagnostics: Rows<Diagnostics>,
}

impl MemoryIr {
    /// The tables, without their types.
    pub fn tables(&self) -> [&Batch; 3] {
        [self.memory_regions.batch(), self.stack_frames.batch(), self.diagnostics.batch()]
    }

    /// Equal for equal tables.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_all(self.tables().map(Batch::fingerprint))
    }
}

/// Finds how functions use the stack.
pub fn run(memory_regions: Rows<MemoryRegions>, code: &Code, cfg: &CfgIr) -> MemoryIr {
    let (stack_frames, diagnostics) = stack_frames(code, cfg);
    MemoryIr { memory_regions, stack_frames, diagnostics }
}

/// Runs of blocks whose accesses are about as many as one row group holds.
pub fn partitions(cfg: &CfgIr) -> Vec<Range<usize>> {
    let counts = cfg.basic_blocks.columns().instruction_count;
    let mut partitions = Vec::new();
    let (mut start, mut instructions) = (0, 0);
    for (row, added) in counts.iter().enumerate() {
        let added = *added as usize;
        if row > start && instructions + added > ROW_GROUP_ROWS_MAX {
            partitions.push(start..row);
            (start, instructions) = (row, 0);
        }
        instructions += added;
    }
    if start < counts.len() {
        partitions.push(start..counts.len());
    }
    partitions
}

/// What stack frames and accesses are found from, beside the tables.
#[derive(Debug)]
pub struct Surroundings {
    by_function: BlocksByFunction,
    popped: Popped,
}

impl Surroundings {
    /// Those of a file.
    pub fn of(code: &Code, cfg: &CfgIr) -> Self {
        Self { by_function: cfg.blocks_by_function(), popped: Popped::of(code, cfg) }
    }
}

/// The accesses of a run of blocks.
pub fn accesses(
    code: &Code,
    cfg: &CfgIr,
    surroundings: &Surroundings,
    blocks: Range<usize>,
) -> Rows<MemoryAccesses> {
    let mut analysis = Analysis::new(code, cfg, surroundings);
    let mut rows = MemoryAccessBuilder::default();
    let own_functions = &cfg.basic_blocks.columns().function_address[blocks.clone()];
    let mut next = blocks.start;
    // Blocks of one function stand together, but for its parts.
    for own in own_functions.chunk_by(|one, other| one == other) {
        let function_address = own[0];
        let together = next..next + own.len();
        next = together.end;
        let function = cfg.functions.columns().address.partition_point(|address| *address < function_address);
        analysis.follow(function);
        analysis.visit(together, |instruction, before, _, info| {
            for touch in touches(instruction, before, info).into_iter().flatten() {
                let (region, stack_offset, global_address) = match touch.place {
                    Touched::Stack(offset) => (AccessRegion::Stack, Some(offset), None),
                    Touched::Global(address) => (AccessRegion::Global, None, Some(address)),
                    Touched::Unknown => (AccessRegion::Unknown, None, None),
                };
                rows.push(MemoryAccess {
                    instruction_address: instruction.ip(),
                    is_implicit: touch.is_implicit,
                    function_address,
                    region,
                    stack_offset,
                    global_address,
                    is_indexed: touch.is_indexed,
                    size: touch.size,
                    access: touch.access,
                });
            }
        });
    }
    rows.finish()
}

/// The regions that a file implies. They do not depend on what its sections hold.
pub fn regions(sections: &SectionsIr) -> Rows<MemoryRegions> {
    let columns = sections.sections.columns();
    // Thread-local data that is zero takes no address: every thread gets its own copy.
    let takes_memory = |row: &usize| {
        let is_template = columns.kind.get(*row) == SectionKind::ThreadLocal && columns.file_size[*row] == 0;
        columns.is_readable.value(*row) && columns.size[*row] > 0 && !is_template
    };
    let mut loaded: Vec<_> = (0..columns.len()).filter(takes_memory).collect();
    loaded.sort_by_key(|row| (columns.address[*row], *row));
    let mut rows = MemoryRegionBuilder::default();
    let mut region_id = 0;
    let mut push = |region_type: RegionType, place: Option<(u64, u64)>, size: u64, allocation_site: &str| {
        rows.push(MemoryRegion {
            region_id,
            r#type: region_type.name(),
            start_address: place.map(|place| place.0),
            end_address: place.map(|place| place.1),
            size,
            content_snapshot: None,
            timestamp: None,
            thread_id: None,
            function_name: None,
            allocation_site: Some(allocation_site),
        });
        region_id += 1;
    };
    for row in loaded {
        let section = columns.row(row);
        let region_type = if section.is_executable { RegionType::Code } else { RegionType::Global };
        let site = match section.section_name {
            "" => format!("segment {}", section.section_index),
            name => format!("section {name}"),
        };
        // A range that would pass the end of the address space stops there.
        let end_address = section.address.saturating_add(section.size);
        push(region_type, Some((section.address, end_address)), end_address - section.address, &site);
    }
    let mut headers = sections.headers.columns().iter();
    if headers.any(|header| header.kind == BinaryKind::Executable || header.interpreter.is_some()) {
        let segments = sections.segments.columns();
        let stack = segments.iter().find(|segment| segment.segment_type == Some("PT_GNU_STACK"));
        let site = if stack.is_some() { "segment PT_GNU_STACK" } else { "system: stack" };
        push(RegionType::Stack, None, stack.map_or(0, |segment| segment.size), site);
        push(RegionType::Heap, None, 0, "system: brk, mmap");
    }
    rows.finish()
}

fn stack_frames(code: &Code, cfg: &CfgIr) -> (Rows<StackFrames>, Rows<Diagnostics>) {
    /// Functions that one thread follows at a time.
    const FUNCTIONS_PER_TASK: usize = 1 << 10;
    let surroundings = Surroundings::of(code, cfg);
    let count = cfg.functions.len();
    let parts = (0..count).into_par_iter().step_by(FUNCTIONS_PER_TASK).map(|first| {
        let functions = first..count.min(first + FUNCTIONS_PER_TASK);
        let mut analysis = Analysis::new(code, cfg, &surroundings);
        let mut rows = StackFrameBuilder::default();
        let mut lost = Vec::new();
        for row in functions {
            let status = analysis.follow(row);
            let (lowest, saved_registers, uses_frame_pointer) = analysis.extent();
            let function_address = analysis.functions.address[row];
            if status != FrameStatus::Exact {
                lost.push((function_address, status));
            }
            rows.push(StackFrame {
                function_address,
                frame_size: lowest.unsigned_abs(),
                saved_registers: &saved_registers.join(","),
                uses_frame_pointer,
                status,
            });
        }
        (rows.finish(), lost)
    });
    let parts: Vec<_> = parts.collect();
    let mut diagnostics = Collector::new(DiagnosticPass::Memory);
    for (address, status) in parts.iter().flat_map(|(_, lost)| lost) {
        let message = format!("the stack pointer is not known throughout the function: {}", status.name());
        let code = DiagnosticCode::StackPointerLost;
        diagnostics.report(Severity::Note, code, Place::Address(*address), &message);
    }
    let rows = Rows::concat(parts.iter().map(|(rows, _)| rows));
    (rows, diagnostics.finish())
}

/// Follows the stack pointer through one function at a time.
struct Analysis<'a> {
    code: &'a Code,
    functions: binframe_ir::tables::FunctionColumns<'a>,
    blocks: BasicBlockColumns<'a>,
    edges: CfgEdgeColumns<'a>,
    surroundings: &'a Surroundings,
    info: Effects,
    /// The rows of the blocks of the function that was followed.
    rows: &'a [u32],
    /// What holds where each of them begins; none where no known edge leads.
    states: Vec<Option<StackState>>,
}

impl<'a> Analysis<'a> {
    fn new(code: &'a Code, cfg: &'a CfgIr, surroundings: &'a Surroundings) -> Self {
        Self {
            code,
            functions: cfg.functions.columns(),
            blocks: cfg.basic_blocks.columns(),
            edges: cfg.cfg_edges.columns(),
            surroundings,
            info: Effects::new(),
            rows: &[],
            states: Vec::new(),
        }
    }

    /// Finds the state at every block of a function.
    fn follow(&mut self, function: usize) -> FrameStatus {
        self.rows = self.surroundings.by_function.rows_of(function);
        self.states.clear();
        self.states.resize(self.rows.len(), None);
        let Some(entry) = self.index_of(self.functions.address[function]) else { return FrameStatus::Exact };
        self.states[entry] = Some(StackState::ENTRY);
        let (mut is_dynamic, mut is_conflicting) = (false, false);
        let mut work = vec![entry];
        while let Some(index) = work.pop() {
            let Some(mut state) = self.states[index] else { continue };
            let row = self.rows[index] as usize;
            let code = self.code;
            each_instruction(code, self.blocks, row, |instruction| {
                let before = state.stack_pointer;
                state.step(instruction, &mut self.info);
                self.surroundings.popped.step(&mut state, instruction);
                is_dynamic |= before.is_some() && state.stack_pointer.is_none();
            });
            let source = self.blocks.address[row];
            let first = self.edges.source_address.partition_point(|address| *address < source);
            let own = (first..self.edges.len()).take_while(|edge| self.edges.source_address[*edge] == source);
            for edge in own.filter(|edge| self.edges.kind.get(*edge) != EdgeKind::LandingPad) {
                let Some(target) = self.edges.target_address.get(edge) else { continue };
                let Some(next) = self.index_of(target) else { continue };
                let met = match self.states[next] {
                    None => state,
                    Some(old) => {
                        let known = [old.stack_pointer, state.stack_pointer];
                        is_conflicting |= known[0] != known[1] && known.iter().all(Option::is_some);
                        old.meet(state)
                    }
                };
                if self.states[next] != Some(met) {
                    self.states[next] = Some(met);
                    work.push(next);
                }
            }
        }
        match (is_conflicting, is_dynamic) {
            (true, _) => FrameStatus::Conflicting,
            (false, true) => FrameStatus::Dynamic,
            (false, false) => FrameStatus::Exact,
        }
    }

    /// Position of the block that begins at an address among those of the function.
    fn index_of(&self, address: u64) -> Option<usize> {
        self.rows.binary_search_by_key(&address, |row| self.blocks.address[*row as usize]).ok()
    }

    /// Calls `each` with every instruction of some blocks of the function that was followed, and with the states before and after it.
    fn visit(
        &mut self,
        rows: Range<usize>,
        mut each: impl FnMut(&Instruction, StackState, StackState, &mut Effects),
    ) {
        for row in rows {
            let index = self.rows.partition_point(|other| (*other as usize) < row);
            let mut state =
                self.states[index].unwrap_or(StackState { stack_pointer: None, frame_pointer: None });
            each_instruction(self.code, self.blocks, row, |instruction| {
                let before = state;
                state.step(instruction, &mut self.info);
                self.surroundings.popped.step(&mut state, instruction);
                each(instruction, before, state, &mut self.info);
            });
        }
    }

    /// The lowest offset that the stack pointer has in a function that was followed, the registers that it saves, and
    /// whether the frame pointer points into the frame.
    fn extent(&mut self) -> (i64, Vec<&'static str>, bool) {
        let (mut lowest, mut saved_registers, mut uses_frame_pointer) = (0, Vec::new(), false);
        for row in self.rows {
            let row = *row as usize;
            self.visit(row..row + 1, |instruction, before, after, _| {
                lowest = after.stack_pointer.unwrap_or(0).min(lowest);
                uses_frame_pointer |= after.frame_pointer.is_some();
                let saved = saved_register(instruction).filter(|_| before.stack_pointer.is_some());
                if let Some(register) = saved.filter(|register| !saved_registers.contains(register)) {
                    saved_registers.push(register);
                }
            });
        }
        (lowest, saved_registers, uses_frame_pointer)
    }
}

/// Decodes the instructions of a block.
fn each_instruction(
    code: &Code,
    blocks: BasicBlockColumns<'_>,
    row: usize,
    mut each: impl FnMut(&Instruction),
) {
    let Some((mut decoder, size)) = code.decoder(blocks.address[row], blocks.size[row]) else { return };
    let mut instruction = Instruction::default();
    let mut position = 0;
    while position < size && decoder.decode(&mut instruction) {
        each(&instruction);
        position += instruction.len();
    }
}
