//! Interprocedural analysis: analyzes every function after its callees, so that the effects of calls are known.
//!
//! *Algorithm.* The strongly connected components of the call graph are grouped into levels: a component is one level
//! above the highest of its callees. Levels are analyzed in ascending order; the functions of a level are independent
//! and analyzed in parallel.
//!
//! *Recursion.* The functions of a component are in one level and see each other's assumed summaries: that of the
//! calling convention, with the argument bytes that their returns pop (`callee_pop`). There is no iteration over a
//! component. Its stack depth is unbounded.
//!
//! *Cost.* One analysis of each function.

use super::analysis_results::FunctionAnalysis;
use super::callee_pop::callee_popped_bytes;
use super::fixpoint::FunctionAnalyzer;
use super::frame_collector::FrameCollector;
use super::program::Program;
use super::stack_depth::StackDepth;
use crate::domains::Summary;
use crate::graph::{Graph, strong_components};
use binframe_ir::tables::StackDepthLimit;
use rayon::prelude::*;

/// Functions that one task analyzes.
const FUNCTIONS_PER_TASK: usize = 1 << 3;

/// Analyzes all functions. Returns the results and the summary of each.
pub(super) fn analyze_functions(program: &Program<'_>) -> (Vec<FunctionAnalysis>, Vec<Summary>) {
    let count = program.functions.len();
    let popped = callee_popped_bytes(program);
    let convention = program.convention.summary();
    let assumed = |row: usize| Summary {
        popped_bytes: popped.get(row).copied().flatten().or(convention.popped_bytes),
        ..convention
    };
    let mut summaries: Vec<_> = (0..count).map(assumed).collect();
    let recursive = StackDepth { bytes: None, limit: StackDepthLimit::Recursive, callee: None };
    let mut depths = vec![recursive; count];
    let mut analyses: Vec<Option<FunctionAnalysis>> = Vec::new();
    analyses.resize_with(count, || None);
    for level in levels(program) {
        let results: Vec<Vec<(u32, FunctionAnalysis)>> = level
            .par_chunks(FUNCTIONS_PER_TASK)
            .map(|rows| {
                let mut analyzer = FunctionAnalyzer::new(program, &summaries);
                rows.iter()
                    .map(|row| (*row, analyze_function(&mut analyzer, *row as usize, &depths)))
                    .collect()
            })
            .collect();
        for (row, analysis) in results.into_iter().flatten() {
            let row = row as usize;
            (summaries[row], depths[row]) = (analysis.summary, analysis.depth);
            analyses[row] = Some(analysis);
        }
    }
    (analyses.into_iter().flatten().collect(), summaries)
}

/// Analyzes a function, given the stack depths of functions.
fn analyze_function(
    analyzer: &mut FunctionAnalyzer<'_, '_>,
    function: usize,
    depths: &[StackDepth],
) -> FunctionAnalysis {
    let mut collector = FrameCollector::new(analyzer.program, function, depths);
    analyzer.analyze(function, &mut collector);
    collector.finish(function, analyzer.is_too_complex)
}

/// Levels of the call graph: functions only call functions of lower levels, and of their own component.
fn levels(program: &Program<'_>) -> Vec<Vec<u32>> {
    let edges = program.calls.iter().filter_map(|call| {
        let caller = program.function_at(call.caller_address)?;
        let callee = program.function_at(call.callee_address?)?;
        Some((caller as u32, callee as u32))
    });
    let graph = Graph::from_edges(program.functions.len(), edges);
    let components = strong_components(&graph);
    let mut members = vec![Vec::new(); components.count as usize];
    for vertex in graph.vertices() {
        members[components.component[vertex as usize] as usize].push(vertex);
    }
    // Edges between components go to lower numbers, whose levels are known.
    let mut level_of = vec![0_usize; members.len()];
    let mut levels: Vec<Vec<u32>> = Vec::new();
    for (component, functions) in members.iter().enumerate() {
        let callees = functions.iter().flat_map(|function| graph.successors(*function));
        let others = callees.map(|callee| components.component[*callee as usize] as usize);
        let above = others.filter(|other| *other != component).map(|other| level_of[other] + 1);
        let level = above.max().unwrap_or(0);
        level_of[component] = level;
        if levels.len() <= level {
            levels.resize_with(level + 1, Vec::new);
        }
        levels[level].extend(functions);
    }
    levels
}
