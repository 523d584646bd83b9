//! Reference implementation of dominators and loops directly from their definitions: a block dominates another if the
//! other is unreachable without it.

use crate::graph::Graph;
use binframe::ir::tables::{BlockEvidence, EdgeKind};
use binframe_testsuite::lowering::Tables;
use std::collections::{BTreeMap, BTreeSet};

/// Checks dominators, loops and reducibility of a function; returns the number of loops.
pub(crate) fn check(name: &str, function_address: u64, graph: &Graph, tables: &Tables) -> u32 {
    let cfg = &tables.lowered.cfg;
    let rows = cfg.basic_blocks.columns();
    let own = rows.iter().filter(|row| graph.blocks.contains(&row.address));
    let before = dominators(graph, &[function_address], |edge| edge);
    let exits = exits(graph, tables);
    let post_dominators = dominators(graph, &exits, |(from, to)| (to, from));
    let loops = loops(graph, &before);
    for row in own {
        assert_eq!(row.evidence, BlockEvidence::Flow);
        let dominator = immediate(row.address, &before);
        assert_eq!(row.immediate_dominator_address, dominator, "{name}: {row:x?}");
        // In an infinite loop, the choice of the block that is connected to the exit is arbitrary.
        if post_dominators.len() == graph.blocks.len() {
            assert_eq!(
                row.immediate_post_dominator_address,
                immediate(row.address, &post_dominators),
                "{name}: {row:x?}"
            );
        }
        let around: Vec<_> = loops.iter().filter(|(_, members)| members.contains(&row.address)).collect();
        let innermost = around.iter().min_by_key(|(_, members)| members.len()).map(|(header, _)| **header);
        assert_eq!(
            (row.loop_header_address, row.loop_depth as usize),
            (innermost, around.len()),
            "{name}: {row:x?}"
        );
    }
    let found = cfg.loops.columns();
    let found = found.iter().filter(|row| row.function_address == function_address);
    let found: BTreeMap<u64, usize> =
        found.map(|row| (row.header_address, row.block_count as usize)).collect();
    let expected: BTreeMap<u64, usize> =
        loops.iter().map(|(header, members)| (*header, members.len())).collect();
    assert_eq!(found, expected, "{name}: loops");
    let row = cfg.functions.columns().address.binary_search(&function_address).expect("the function exists");
    let is_reducible = is_reducible(graph, function_address, &before);
    assert_eq!(cfg.functions.columns().row(row).is_reducible, is_reducible, "{name}");
    loops.len() as u32
}

/// Blocks with an edge out of the function, or without edges.
fn exits(graph: &Graph, tables: &Tables) -> Vec<u64> {
    let edges = tables.lowered.cfg.cfg_edges.columns();
    let open = edges.iter().filter(|edge| edge.target_address.is_none() || edge.kind == EdgeKind::Return);
    let mut exits: BTreeSet<u64> = open.map(|edge| edge.source_address).collect();
    exits.extend(graph.blocks.iter().filter(|block| graph.edges.iter().all(|edge| edge.0 != **block)));
    exits.into_iter().filter(|block| graph.blocks.contains(block)).collect()
}

fn reached(
    graph: &Graph,
    starts: &[u64],
    without: Option<u64>,
    turn: impl Fn((u64, u64)) -> (u64, u64),
) -> BTreeSet<u64> {
    let mut reached = BTreeSet::new();
    let mut work: Vec<u64> = starts.to_vec();
    while let Some(block) = work.pop() {
        if Some(block) != without && reached.insert(block) {
            let edges = graph.edges.iter().map(|edge| turn(*edge));
            work.extend(edges.filter(|edge| edge.0 == block).map(|edge| edge.1));
        }
    }
    reached
}

/// For each block reached from the starts, the blocks without which it is not reached, including itself.
fn dominators(
    graph: &Graph,
    starts: &[u64],
    turn: impl Fn((u64, u64)) -> (u64, u64) + Copy,
) -> BTreeMap<u64, BTreeSet<u64>> {
    let all = reached(graph, starts, None, turn);
    let mut dominators: BTreeMap<u64, BTreeSet<u64>> =
        all.iter().map(|block| (*block, BTreeSet::new())).collect();
    for dominator in &all {
        let rest = reached(graph, starts, Some(*dominator), turn);
        for block in all.difference(&rest) {
            dominators.get_mut(block).expect("the block is reached").insert(*dominator);
        }
    }
    dominators
}

/// The immediate dominator: the other dominator of a block that all its other dominators dominate.
fn immediate(block: u64, dominators: &BTreeMap<u64, BTreeSet<u64>>) -> Option<u64> {
    let own = &dominators[&block];
    let is_last =
        |other: &u64| own.iter().all(|earlier| *earlier == block || dominators[other].contains(earlier));
    own.iter().copied().find(|other| *other != block && is_last(other))
}

/// Blocks of natural loops by header: blocks that reach a back edge without passing the header.
fn loops(graph: &Graph, dominators: &BTreeMap<u64, BTreeSet<u64>>) -> BTreeMap<u64, BTreeSet<u64>> {
    let mut loops: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    for (source, header) in graph.edges.iter().filter(|(source, header)| dominators[source].contains(header))
    {
        let members = reached(graph, &[*source], Some(*header), |(from, to)| (to, from));
        let own = loops.entry(*header).or_insert_with(|| BTreeSet::from([*header]));
        own.extend(members.into_iter().filter(|block| dominators[block].contains(header)));
    }
    loops
}

/// Whether the graph is acyclic without edges to dominators.
fn is_reducible(graph: &Graph, entry: u64, dominators: &BTreeMap<u64, BTreeSet<u64>>) -> bool {
    let mut forward = graph.clone();
    forward.edges.retain(|(source, target)| !dominators[source].contains(target));
    let goes_back = |block: &u64| {
        let next = forward.edges.iter().filter(|edge| edge.0 == *block).map(|edge| edge.1);
        next.into_iter().any(|next| reached(&forward, &[next], None, |edge| edge).contains(block))
    };
    reached(graph, &[entry], None, |edge| edge).iter().all(|block| !goes_back(block))
}
