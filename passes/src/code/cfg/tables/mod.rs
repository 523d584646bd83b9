//! `(recovered control flow) -> tables`: the rows of the stage, made in parallel for chunks of ranges.

mod calls;
mod flow_graph;
mod writer;

use super::flow::ProgramCfg;
use super::ids::{RangeId, range_ids};
use super::ir::CfgIr;
use crate::diagnostics::{Collector, DiagnosticLocation};
use crate::graph::{NONE, Vertices, strong_components};
use arrow_array::UInt64Array;
use binframe_ir::Rows;
use binframe_ir::tables::{BasicBlocks, CallEdges, DiagnosticCode, Functions, Severity};
use rayon::prelude::*;
use std::sync::Arc;
use writer::CfgWriter;

/// Tasks per thread, so that threads finish at about the same time. A single thread has one task, and needs no
/// concatenation.
const TASKS_PER_THREAD: usize = 4;

/// Makes the rows of all functions. Reports are added to `diagnostics`.
pub(super) fn of(program: &ProgramCfg<'_>, mut diagnostics: Collector) -> CfgIr {
    let ranges: Vec<RangeId> = range_ids().take(program.owners.len()).collect();
    let tasks = match rayon::current_num_threads() {
        1 => 1,
        threads => threads * TASKS_PER_THREAD,
    };
    let parts = ranges.par_chunks(ranges.len().div_ceil(tasks).max(1)).map(|chunk| {
        let mut writer = CfgWriter::new(program, chunk);
        for range in chunk {
            writer.write(*range);
        }
        writer
    });
    let mut parts: Vec<_> = parts.collect();
    for (code, address, message) in parts.iter_mut().flat_map(CfgWriter::take_reports) {
        let severity = match code {
            DiagnosticCode::UnresolvedIndirectJump => Severity::Note,
            _ => Severity::Warning,
        };
        diagnostics.report(severity, code, DiagnosticLocation::Address(address), &message);
    }
    let mut parts: Vec<CfgIr> = parts.into_iter().map(CfgWriter::finish).collect();
    let blocks = take_all(&mut parts, |part| &mut part.basic_blocks);
    let edges = take_all(&mut parts, |part| &mut part.cfg_edges);
    let call_edges = concatenated(take_all(&mut parts, |part| &mut part.call_edges));
    let functions = concatenated(take_all(&mut parts, |part| &mut part.functions));
    let ((basic_blocks, functions), cfg_edges) = rayon::join(
        || (concatenated(blocks), with_recursion(&functions, &call_edges)),
        || concatenated(edges),
    );
    assert!(are_disjoint(&basic_blocks), "no instruction is in two blocks");
    CfgIr {
        functions,
        function_parts: concatenated(take_all(&mut parts, |part| &mut part.function_parts)),
        basic_blocks,
        loops: concatenated(take_all(&mut parts, |part| &mut part.loops)),
        cfg_edges,
        call_edges,
        jump_tables: concatenated(take_all(&mut parts, |part| &mut part.jump_tables)),
        jump_table_entries: concatenated(take_all(&mut parts, |part| &mut part.jump_table_entries)),
        diagnostics: diagnostics.finish(),
    }
}

/// Whether no two blocks overlap, on which every reader of the tables relies.
fn are_disjoint(blocks: &Rows<BasicBlocks>) -> bool {
    let blocks = blocks.columns();
    let ends = blocks.address.iter().zip(blocks.size).map(|(address, size)| address + size);
    ends.zip(blocks.address.iter().skip(1)).all(|(end, next)| end <= *next)
}

/// The rows of one table, taken out of all parts.
fn take_all<T: binframe_ir::Table>(
    parts: &mut [CfgIr],
    rows: impl Fn(&mut CfgIr) -> &mut Rows<T>,
) -> Vec<Rows<T>> {
    parts.iter_mut().map(|part| std::mem::take(rows(part))).collect()
}

/// The rows of all parts, in order.
fn concatenated<T: binframe_ir::Table>(parts: Vec<Rows<T>>) -> Rows<T> {
    let rows = Rows::concat(&parts);
    drop(parts);
    rows
}

/// Functions with `recursion_group_address`: the lowest function address in their strong component of the call graph, if it
/// has a cycle.
fn with_recursion(functions: &Rows<Functions>, calls: &Rows<CallEdges>) -> Rows<Functions> {
    let calls = calls.columns();
    let known = (0..calls.len()).filter(|row| calls.callee_address.is_valid(*row));
    let (vertices, graph) =
        Vertices::of_edges(known.map(|row| (Some(calls.caller_address[row]), calls.callee_address.get(row))));
    let components = strong_components(&graph);
    // Vertices are sorted by address.
    let mut first = vec![NONE; components.count as usize];
    let mut is_cycle = vec![false; components.count as usize];
    for vertex in graph.vertices() {
        let component = components.component[vertex as usize] as usize;
        is_cycle[component] |= first[component] != NONE || graph.successors(vertex).contains(&vertex);
        first[component] = first[component].min(vertex);
    }
    let recursion = functions.columns().address.iter().map(|address| {
        let component = components.component[vertices.vertex(*address)? as usize] as usize;
        is_cycle[component].then(|| vertices.key(first[component]))
    });
    let batch = functions
        .batch()
        .with_column("recursion_group_address", Arc::new(recursion.collect::<UInt64Array>()));
    Rows::from_batch(batch).expect("the column has its type")
}
