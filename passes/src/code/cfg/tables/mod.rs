//! Rows of the stage's tables, from where control was found to go.

mod calls;
mod shape;
mod writer;

use super::CfgIr;
use super::descent::Flows;
use crate::diagnostics::{Collector, DiagnosticLocation};
use crate::graph::{NONE, Vertices, strong_components};
use arrow_array::UInt64Array;
use binframe_ir::Rows;
use binframe_ir::tables::{BasicBlocks, CallEdges, DiagnosticCode, Functions, Severity};
use rayon::prelude::*;
use std::sync::Arc;
use writer::Writer;

/// Tasks for each thread, so that none waits long for the others. One thread does all in one, and copies nothing together.
const TASKS_PER_THREAD: usize = 4;

/// Makes the rows of all functions.
pub(super) fn of(flows: &Flows<'_>, mut diagnostics: Collector) -> CfgIr {
    let extents: Vec<_> = (0..flows.owners.len() as u32).collect();
    let tasks = match rayon::current_num_threads() {
        1 => 1,
        threads => threads * TASKS_PER_THREAD,
    };
    let parts = extents.par_chunks(extents.len().div_ceil(tasks).max(1)).map(|chunk| {
        let mut writer = Writer::new(flows, chunk);
        for extent in chunk {
            writer.write(*extent);
        }
        writer
    });
    let mut parts: Vec<_> = parts.collect();
    for (code, address, message) in parts.iter_mut().flat_map(Writer::take_reports) {
        let severity = match code {
            DiagnosticCode::UnresolvedIndirectJump => Severity::Note,
            _ => Severity::Warning,
        };
        diagnostics.report(severity, code, DiagnosticLocation::Address(address), &message);
    }
    let mut parts: Vec<CfgIr> = parts.into_iter().map(Writer::finish).collect();
    let blocks = taken(&mut parts, |part| &mut part.basic_blocks);
    let edges = taken(&mut parts, |part| &mut part.cfg_edges);
    let call_edges = joined(taken(&mut parts, |part| &mut part.call_edges));
    let functions = joined(taken(&mut parts, |part| &mut part.functions));
    let ((basic_blocks, functions), cfg_edges) =
        rayon::join(|| (joined(blocks), with_recursion(&functions, &call_edges)), || joined(edges));
    assert!(are_apart(&basic_blocks), "no instruction is in two blocks");
    CfgIr {
        functions,
        function_parts: joined(taken(&mut parts, |part| &mut part.function_parts)),
        basic_blocks,
        loops: joined(taken(&mut parts, |part| &mut part.loops)),
        cfg_edges,
        call_edges,
        jump_tables: joined(taken(&mut parts, |part| &mut part.jump_tables)),
        jump_table_entries: joined(taken(&mut parts, |part| &mut part.jump_table_entries)),
        diagnostics: diagnostics.finish(),
    }
}

/// Whether no two blocks overlap, which whatever reads the tables relies upon.
fn are_apart(blocks: &Rows<BasicBlocks>) -> bool {
    let blocks = blocks.columns();
    let ends = blocks.address.iter().zip(blocks.size).map(|(address, size)| address + size);
    ends.zip(blocks.address.iter().skip(1)).all(|(end, next)| end <= *next)
}

/// The rows of one table, out of all parts.
fn taken<T: binframe_ir::Table>(
    parts: &mut [CfgIr],
    rows: impl Fn(&mut CfgIr) -> &mut Rows<T>,
) -> Vec<Rows<T>> {
    parts.iter_mut().map(|part| std::mem::take(rows(part))).collect()
}

fn joined<T: binframe_ir::Table>(parts: Vec<Rows<T>>) -> Rows<T> {
    let joined = Rows::concat(&parts);
    drop(parts);
    joined
}

/// Functions with the first of those that call each other in a circle with them.
fn with_recursion(functions: &Rows<Functions>, calls: &Rows<CallEdges>) -> Rows<Functions> {
    let calls = calls.columns();
    let known = (0..calls.len()).filter(|row| calls.callee_address.is_valid(*row));
    let (vertices, graph) =
        Vertices::of_edges(known.map(|row| (Some(calls.caller_address[row]), calls.callee_address.get(row))));
    let components = strong_components(&graph);
    // Vertices are in the order of their addresses.
    let mut first = vec![NONE; components.count as usize];
    let mut is_circle = vec![false; components.count as usize];
    for vertex in graph.vertices() {
        let component = components.component[vertex as usize] as usize;
        is_circle[component] |= first[component] != NONE || graph.successors(vertex).contains(&vertex);
        first[component] = first[component].min(vertex);
    }
    let recursion = functions.columns().address.iter().map(|address| {
        let component = components.component[vertices.vertex(*address)? as usize] as usize;
        is_circle[component].then(|| vertices.key(first[component]))
    });
    let batch =
        functions.batch().with_column("recursion_address", Arc::new(recursion.collect::<UInt64Array>()));
    Rows::from_batch(batch).expect("the column has its type")
}
