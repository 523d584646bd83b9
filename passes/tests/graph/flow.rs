//! The structure of flow graphs.

use super::{edges, exits, immediate, reached, reverse, strict_dominators};
use binframe_passes::graph::{FlowAnalysis, FlowStructure, Loop, NONE};
use proptest::prelude::*;

/// Compares the result with the definitions. Edges to [`NONE`] are exits of the function.
fn check(analysis: &mut FlowAnalysis, count: usize, all: &[(u32, u32)]) -> Result<(), TestCaseError> {
    let mut found = FlowStructure::default();
    analysis.run(count, all, &mut found);
    let edges: Vec<_> = all.iter().copied().filter(|edge| edge.1 != NONE).collect();
    let stated: Vec<_> = all.iter().filter(|edge| edge.1 == NONE).map(|edge| edge.0).collect();
    let strict = strict_dominators(count, &edges, &[0]);
    let option = |list: &[u32]| -> Vec<_> { list.iter().map(|v| (*v != NONE).then_some(*v)).collect() };
    prop_assert_eq!(option(&found.immediate_dominator), immediate(&strict));
    let post = strict_dominators(count, &reverse(&edges), &exits(count, &edges, &stated));
    prop_assert_eq!(option(&found.immediate_post_dominator), immediate(&post));

    let live = reached(count, &edges, &[0], None);
    let dominates = |a: u32, b: u32| a == b || strict[b as usize].contains(&a);
    let is_back = |edge: &&(u32, u32)| live[edge.0 as usize] && dominates(edge.1, edge.0);
    let mut loops = Vec::new();
    for header in 0..count as u32 {
        let ends: Vec<_> =
            edges.iter().filter(is_back).filter(|edge| edge.1 == header).map(|e| e.0).collect();
        if !ends.is_empty() {
            // The vertices that reach the source of a back edge without passing through the header.
            let mut body = reached(count, &reverse(&edges), &ends, Some(header));
            body[header as usize] = true;
            let body: Vec<_> = (0..count as u32).filter(|v| body[*v as usize] && live[*v as usize]).collect();
            loops.push((header, body, ends.len()));
        }
    }
    let around = |vertex: u32| loops.iter().filter(move |(_, body, _)| body.contains(&vertex));
    let innermost = |vertex: u32, without: u32| {
        let others = around(vertex).filter(|(header, ..)| *header != without);
        others.min_by_key(|(_, body, _)| body.len()).map_or(NONE, |(header, ..)| *header)
    };
    for vertex in 0..count as u32 {
        prop_assert_eq!(found.loop_header[vertex as usize], innermost(vertex, NONE));
        prop_assert_eq!(found.loop_depth[vertex as usize] as usize, around(vertex).count());
    }
    let expected = loops.iter().map(|(header, body, ends)| Loop {
        header: *header,
        parent: innermost(*header, *header),
        depth: around(*header).count() as u32,
        block_count: body.len() as u32,
        back_edge_count: *ends as u32,
    });
    prop_assert!(expected.eq(found.loops.iter().copied()));

    // Without its back edges a reducible graph has no cycle.
    let others: Vec<_> =
        edges.iter().filter(|edge| live[edge.0 as usize] && !is_back(edge)).copied().collect();
    let is_cyclic = others.iter().any(|edge| reached(count, &others, &[edge.1], None)[edge.0 as usize]);
    prop_assert_eq!(found.is_reducible, !is_cyclic);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn structure_agrees_with_the_definitions(graphs in prop::collection::vec((edges(), 0u32..40, any::<bool>()), 1..4)) {
        let mut analysis = FlowAnalysis::default();
        for ((count, mut edges), leaving, is_chained) in graphs {
            if (leaving as usize) < count {
                edges.push((leaving, NONE));
            }
            if is_chained {
                edges.truncate(count / 2);
                edges.extend((1..count as u32).map(|block| (block - 1, block)));
            }
            check(&mut analysis, count, &edges)?;
        }
    }
}

#[test]
fn straight_line_functions_agree_with_the_definitions() {
    let mut analysis = FlowAnalysis::default();
    let mut found = FlowStructure::default();
    analysis.run(0, &[], &mut found);
    assert_eq!(found.loops, []);
    for count in 1..5 {
        let edges: Vec<_> = (1..count as u32).map(|block| (block - 1, block)).collect();
        check(&mut analysis, count, &edges).unwrap();
        let leaving: Vec<_> = edges.into_iter().chain([(count as u32 - 1, NONE)]).collect();
        check(&mut analysis, count, &leaving).unwrap();
    }
}

/// A name, a number of blocks, and edges.
type NamedGraph = (&'static str, u32, Vec<(u32, u32)>);

/// Graphs that are hard for one algorithm or another.
fn hard_graphs(count: u32) -> Vec<NamedGraph> {
    let chain = || (1..count).map(|block| (block - 1, block));
    let last = count - 1;
    let half = count / 2;
    let nested = |depth: u32| {
        // Groups of headers, each with a back edge from the mirrored block in the second half of its group.
        let length = 2 * depth;
        let back = (0..count / length).flat_map(move |run| {
            let first = run * length;
            (0..depth).map(move |level| (first + length - 1 - level, first + level))
        });
        chain().chain(back).collect::<Vec<_>>()
    };
    vec![
        ("chain", count, chain().chain([(last, NONE)]).collect()),
        ("switch", count, (1..last).flat_map(|block| [(0, block), (block, last)]).collect()),
        ("loops of depth 1000", count, nested(count.min(1000))),
        ("loops of any depth", count, nested(half)),
        // Two chains with edges between them in both directions: each pass of the iterative algorithm changes the
        // dominators of few blocks.
        (
            "ladder",
            2 * half,
            (1..half)
                .flat_map(|block| {
                    [
                        (block - 1, block),
                        (half + block - 1, half + block),
                        (half - block, half + block),
                        (half + block, half - block),
                    ]
                })
                .chain([(0, half)])
                .collect(),
        ),
        // A chain with edges from each block to the one before, entered at its end too.
        (
            "backwards",
            count,
            chain().chain((2..count).map(|block| (block, block - 1))).chain([(0, last)]).collect(),
        ),
        ("every block to the first", count, chain().chain((0..count).map(|block| (block, 0))).collect()),
        ("every block to the last", count, chain().chain((0..last).map(|block| (block, last))).collect()),
        ("no exit", count, (1..count).flat_map(|block| [(block - 1, block), (block, block)]).collect()),
    ]
}

#[test]
fn small_hard_graphs_agree_with_the_definitions() {
    let mut analysis = FlowAnalysis::default();
    for (name, count, edges) in hard_graphs(12) {
        let found = check(&mut analysis, count as usize, &edges);
        assert!(found.is_ok(), "{name}: {found:?}");
    }
}

#[test]
fn hard_graphs_take_nearly_linear_time() {
    // An algorithm that is quadratic for such a graph would not finish a million blocks within hours.
    let mut analysis = FlowAnalysis::default();
    let mut found = FlowStructure::default();
    for (name, count, edges) in hard_graphs(1_000_000) {
        analysis.run(count as usize, &edges, &mut found);
        assert_eq!(found.immediate_dominator.len(), count as usize, "{name}");
    }
}
