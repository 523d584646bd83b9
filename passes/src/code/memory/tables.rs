//! The rows of `memory_regions`, `stack_frames` and `function_effects`, and the diagnostics of the stage.

use super::analysis_results::{Allocation, FunctionAnalysis, ThreadStart};
use super::program::Program;
use super::regions::RegionWriter;
use crate::diagnostics::{Collector, DiagnosticLocation};
use crate::domains::{
    AbstractState, AbstractValue, Base, ParameterSet, Summary, UNBOUNDED_HIGH, UNBOUNDED_LOW,
};
use crate::isa::ops::Reg;
use binframe_ir::tables::{
    DiagnosticCode, DiagnosticPass, Diagnostics, FrameStatus, FunctionEffect, FunctionEffectBuilder,
    FunctionEffects, MemoryRegions, RegionType, ReturnedValue, Severity, StackFrame, StackFrameBuilder,
    StackFrames,
};
use binframe_ir::{Enumeration, Rows, Term, Terms};

/// The regions of the binary, the memory that calls allocate, and the stacks of the threads that calls start.
pub(super) fn memory_regions(program: &Program<'_>, functions: &[FunctionAnalysis]) -> Rows<MemoryRegions> {
    let name = |row: usize| program.functions.function_name.get(row);
    let site = |call: u64| format!("{call:#x}: {}", program.callee_name(call).unwrap_or("call"));
    let mut heap = RegionWriter::default();
    let allocations = functions.iter().enumerate();
    let allocations =
        allocations.flat_map(|(row, function)| function.allocations.iter().map(move |own| (own, row)));
    let mut allocations: Vec<_> = allocations.collect();
    allocations.sort_by_key(|(allocation, _)| allocation.call_address);
    for (Allocation { call_address, size, .. }, row) in allocations {
        let site = site(*call_address);
        heap.push_unplaced(RegionType::Heap, *call_address, size.unwrap_or(0), name(row), &site);
    }
    let mut stacks = RegionWriter::default();
    let mut threads: Vec<_> = functions.iter().flat_map(|function| &function.threads).collect();
    threads.sort();
    threads.dedup_by_key(|thread| thread.call_address);
    for ThreadStart { call_address, function_address } in threads {
        let function_name = program.function_at(*function_address).and_then(name);
        stacks.push_unplaced(RegionType::Stack, *call_address, 0, function_name, &site(*call_address));
    }
    let of_binary = &program.image.memory_regions;
    let is_stack = |region_type: Option<&str>| region_type == Some(RegionType::Stack.name());
    let count = of_binary.columns().r#type.iter().filter(|region_type| !is_stack(*region_type)).count();
    let (others, own_stack) = (of_binary.slice(0..count), of_binary.slice(count..of_binary.len()));
    Rows::concat([&others, &heap.finish(), &own_stack, &stacks.finish()])
}

/// The stack frame of each function, and diagnostics for functions that could not be analyzed fully.
pub(super) fn stack_frames(
    program: &Program<'_>,
    functions: &[FunctionAnalysis],
) -> (Rows<StackFrames>, Rows<Diagnostics>) {
    let mut rows = StackFrameBuilder::default();
    let mut diagnostics = Collector::new(DiagnosticPass::Memory);
    let mut saved = Vec::new();
    for (row, function) in functions.iter().enumerate() {
        let function_address = program.functions.address[row];
        saved.clear();
        let registers = function.slots.iter().filter_map(|slot| slot.saved_register);
        saved.extend(registers.map(|register| program.isa.general_register_name(register)));
        saved.sort_unstable();
        saved.dedup();
        let frame = &function.frame;
        rows.push(StackFrame {
            function_address,
            frame_size: frame.size,
            saved_registers: Terms::of(&saved),
            uses_frame_pointer: frame.uses_frame_pointer,
            canary_offset: frame.canary_offset,
            alignment: frame.alignment,
            red_zone_size: frame.red_zone_size,
            outgoing_argument_size: frame.outgoing_argument_size,
            status: frame.status,
            stack_depth: function.depth.bytes,
            stack_depth_kind: function.depth.limit,
            deepest_callee_address: function
                .depth
                .callee
                .map(|callee| program.functions.address[callee as usize]),
        });
        let place = DiagnosticLocation::Address(function_address);
        if function.is_too_complex {
            let message = "values were not followed to the end: too many ways lead through the function";
            diagnostics.report(Severity::Note, DiagnosticCode::FunctionTooComplex, place, message);
        }
        if frame.status != FrameStatus::Exact {
            let message =
                format!("the stack pointer is not known throughout the function: {}", frame.status.name());
            diagnostics.report(Severity::Note, DiagnosticCode::StackPointerLost, place, &message);
        }
    }
    (rows.finish(), diagnostics.finish())
}

/// The call summary of each function. Parameters are restricted to those of the calling convention.
pub(super) fn function_effects(program: &Program<'_>, summaries: &[Summary]) -> Rows<FunctionEffects> {
    let mut rows = FunctionEffectBuilder::default();
    for (row, summary) in summaries.iter().enumerate() {
        let parameters = parameters_of(program);
        let changed: Vec<_> = registers(program, |register| summary.clobbered >> register & 1 == 1).collect();
        let is_in = |set: ParameterSet| {
            let registers = registers(program, move |register| {
                parameters.has(ParameterSet::register(register)) && set.has(ParameterSet::register(register))
            });
            registers.chain(set.has(ParameterSet::STACK).then_some("stack")).collect::<Vec<_>>()
        };
        let [read, written, kept] = [summary.read, summary.written, summary.captured].map(is_in);
        let returned = summary.returned;
        let (returns, returned_parameter) = match returned.base {
            Base::Register(register) if program.convention.parameters.contains(&Reg(register)) => {
                (ReturnedValue::Parameter, Some(program.isa.general_register_name(register)))
            }
            Base::Argument(_) => (ReturnedValue::Parameter, Some("stack")),
            Base::Global(_) => (ReturnedValue::Global, None),
            Base::Heap(_) => (ReturnedValue::Heap, None),
            Base::Number if returned.is_bounded() => (ReturnedValue::Number, None),
            _ => (ReturnedValue::Other, None),
        };
        let (low, high) = bounds(returned);
        let is_known = returns != ReturnedValue::Other;
        rows.push(FunctionEffect {
            function_address: program.functions.address[row],
            popped_size: summary.popped_bytes.and_then(|popped| u32::try_from(popped).ok()),
            changed_registers: Terms::of(&changed),
            read_parameters: Terms::of(&read),
            written_parameters: Terms::of(&written),
            kept_parameters: Terms::of(&kept),
            writes_elsewhere: summary.writes_unknown_memory,
            returned_kind: returns,
            returned_parameter: returned_parameter.map(Term),
            returned_low: low.filter(|_| is_known),
            returned_high: high.filter(|_| is_known),
        });
    }
    rows.finish()
}

/// The parameter registers of the calling convention.
fn parameters_of(program: &Program<'_>) -> ParameterSet {
    let mut parameters = ParameterSet::default();
    for register in program.convention.parameters {
        parameters.add(ParameterSet::register(register.0));
    }
    parameters
}

/// Names of the registers that satisfy a predicate, by number.
fn registers<'a>(
    program: &Program<'_>,
    is_wanted: impl Fn(u8) -> bool + 'a,
) -> impl Iterator<Item = &'static str> + 'a {
    let isa = program.isa;
    AbstractState::REGISTERS
        .filter(move |register| is_wanted(*register))
        .map(move |register| isa.general_register_name(register))
        .filter(|name| !name.is_empty())
}

/// The lowest and the highest offset of a value, number or address; `None` if unbounded.
fn bounds(value: AbstractValue) -> (Option<i64>, Option<i64>) {
    let anchor = if let Base::Global(anchor) = value.base { anchor as i64 } else { 0 };
    let bound =
        |bound: i64| (bound != UNBOUNDED_LOW && bound != UNBOUNDED_HIGH).then(|| anchor.wrapping_add(bound));
    (bound(value.low), bound(value.high))
}
