//! A control-flow graph for tests of the drawings.

use binframe::ir::Enumeration;
use binframe::ir::tables::{BlockEvidence, Confidence, EdgeEvidence, EdgeKind};
use binframe_inspect::{FunctionGraph, GraphBlock, GraphEdge, GraphNode};

/// A graph of `count` blocks with these edges. The function and every instruction have the text `name`.
pub(super) fn test_graph(name: &str, count: usize, edges: &[(usize, usize)]) -> FunctionGraph {
    let block = |position: usize| {
        GraphNode::Block(GraphBlock {
            address: position as u64 * 16,
            instructions: vec![(position as u64 * 16, name.to_owned()); position % 50],
            instruction_count: position as u32,
            is_in_part: position % 7 == 3,
            evidence: if position % 5 == 4 { BlockEvidence::Gap } else { BlockEvidence::Flow },
        })
    };
    let edge = |(source, target): &(usize, usize)| GraphEdge {
        source: *source,
        target: *target,
        kind: EdgeKind::from_code(((source + target) % EdgeKind::NAMES.len()) as u8),
        evidence: EdgeEvidence::Encoding,
        confidence: Confidence::Certain,
        is_back: target <= source,
    };
    FunctionGraph {
        binary: "app".to_owned(),
        address: 0,
        name: Some(name.to_owned()),
        nodes: (0..count).map(block).collect(),
        edges: edges.iter().map(edge).collect(),
    }
}
