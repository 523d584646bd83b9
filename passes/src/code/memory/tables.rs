//! The rows of `memory_regions`, `stack_frames` and `function_effects`, and the diagnostics of the stage.

use super::analysis_results::{FunctionAnalysis, ThreadStart};
use super::program::Program;
use super::regions::RegionWriter;
use crate::diagnostics::{Collector, DiagnosticLocation};
use crate::domains::{AbstractValue, Base, ParameterSet, Summary, UNBOUNDED_HIGH, UNBOUNDED_LOW};
use binframe_ir::tables::{
    DiagnosticCode, DiagnosticPass, Diagnostics, FrameStatus, FunctionEffect, FunctionEffectBuilder,
    FunctionEffects, MemoryRegions, RegionType, ReturnedValue, Severity, StackFrame, StackFrameBuilder,
    StackFrames,
};
use binframe_ir::{Enumeration, Rows};

/// The regions of the binary, then the stacks of the threads that calls start, then the memory that calls allocate.
pub(super) fn memory_regions(program: &Program<'_>, functions: &[FunctionAnalysis]) -> Rows<MemoryRegions> {
    let mut rows = RegionWriter::after(&program.image.memory_regions);
    let name = |row: usize| program.functions.name.get(row);
    let threads = functions.iter().flat_map(|function| &function.threads);
    for ThreadStart { call_address, function_address } in threads {
        let site = format!("{call_address:#x}: {}", program.callee_name(*call_address).unwrap_or("call"));
        let function_name = program.function_at(*function_address).and_then(name);
        rows.push(RegionType::Stack, None, 0, function_name, &site);
    }
    for (row, function) in functions.iter().enumerate() {
        for allocation in &function.allocations {
            let address = allocation.call_address;
            let site = format!("{address:#x}: {}", program.callee_name(address).unwrap_or("call"));
            rows.push(RegionType::Heap, None, allocation.size.unwrap_or(0), name(row), &site);
        }
    }
    Rows::concat([&program.image.memory_regions, &rows.finish()])
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
        saved.extend(registers.map(|register| program.convention.register_name(register)));
        saved.sort_unstable();
        saved.dedup();
        let frame = &function.frame;
        rows.push(StackFrame {
            function_address,
            frame_size: frame.size,
            saved_registers: &saved.join(","),
            uses_frame_pointer: frame.uses_frame_pointer,
            canary_offset: frame.canary_offset,
            alignment: frame.alignment,
            red_zone_size: frame.red_zone_size,
            outgoing_argument_size: frame.outgoing_argument_size,
            status: frame.status,
            stack_depth: function.depth.bytes,
            stack_depth_limit: function.depth.limit,
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
    let [mut changed, mut read, mut written, mut kept] = std::array::from_fn(|_| String::new());
    for (row, summary) in summaries.iter().enumerate() {
        let parameters = parameters_of(program);
        list(&mut changed, registers(program, |register| summary.clobbered >> register & 1 == 1));
        let is_in = |set: ParameterSet| {
            let registers = registers(program, move |register| {
                parameters.has(ParameterSet::register(register)) && set.has(ParameterSet::register(register))
            });
            registers.chain(set.has(ParameterSet::STACK).then_some("stack"))
        };
        list(&mut read, is_in(summary.read));
        list(&mut written, is_in(summary.written));
        list(&mut kept, is_in(summary.captured));
        let returned = summary.returned;
        let (returns, returned_parameter) = match returned.base {
            Base::Register(register) if program.convention.parameters.contains(&register) => {
                (ReturnedValue::Parameter, Some(program.convention.register_name(register)))
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
            changed_registers: &changed,
            read_parameters: &read,
            written_parameters: &written,
            kept_parameters: &kept,
            writes_elsewhere: summary.writes_unknown_memory,
            returns,
            returned_parameter,
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
        parameters.add(ParameterSet::register(*register));
    }
    parameters
}

/// Names of the registers that satisfy a predicate, by number.
fn registers<'a>(
    program: &Program<'_>,
    is_wanted: impl Fn(u8) -> bool + 'a,
) -> impl Iterator<Item = &'static str> + 'a {
    let convention = program.convention;
    (0..16)
        .filter(move |register| is_wanted(*register))
        .map(move |register| convention.register_name(register))
        .filter(|name| !name.is_empty())
}

/// Replaces a text by words, separated by commas.
fn list(text: &mut String, words: impl Iterator<Item = &'static str>) {
    text.clear();
    for word in words {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(word);
    }
}

/// The lowest and the highest offset of a value, number or address; `None` if unbounded.
fn bounds(value: AbstractValue) -> (Option<i64>, Option<i64>) {
    let anchor = if let Base::Global(anchor) = value.base { anchor as i64 } else { 0 };
    let bound =
        |bound: i64| (bound != UNBOUNDED_LOW && bound != UNBOUNDED_HIGH).then(|| anchor.wrapping_add(bound));
    (bound(value.low), bound(value.high))
}
