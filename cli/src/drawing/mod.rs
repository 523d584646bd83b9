//! Control-flow graphs as pictures.

mod dot;
mod layout;
mod svg;

pub(crate) use dot::dot;
pub(crate) use svg::svg;

use crate::table_text::escaped;
use binframe::ir::Enumeration;
use binframe::ir::tables::{BlockEvidence, Confidence, EdgeEvidence, EdgeKind};
use binframe_inspect::{FunctionGraph, GraphEdge, GraphNode};

/// Instructions of a block that are drawn.
const INSTRUCTIONS_SHOWN_MAX: usize = 40;

/// Letters of a line that are drawn.
const LETTERS_SHOWN_MAX: usize = 80;

/// How a node looks.
struct Look {
    /// What stands in it.
    lines: Vec<String>,
    fill: &'static str,
    is_dashed: bool,
}

/// The lines and the look of a node.
fn look(graph: &FunctionGraph, node: &GraphNode) -> Look {
    let outside = |lines| Look { lines, fill: "#ffffff", is_dashed: true };
    let block = match node {
        GraphNode::Block(block) => block,
        GraphNode::Function { address, name } => {
            let name = name.as_deref().map(shown);
            return outside(name.into_iter().chain([format!("{address:#x}")]).collect());
        }
        GraphNode::Import { name } => {
            return outside(vec![name.as_deref().map_or("imported".to_owned(), shown)]);
        }
        GraphNode::Unknown => return outside(vec!["?".to_owned()]),
    };
    let is_unreached = block.evidence == BlockEvidence::Gap;
    let (note, fill) = match (is_unreached, block.is_in_part) {
        (true, _) => (" (not known to be reached)", "#d0d7de"),
        (false, true) => (" (part)", "#fff8c5"),
        (false, false) if block.address == graph.address => (" (entry)", "#ddf4ff"),
        (false, false) => ("", "#ffffff"),
    };
    let mut lines = vec![format!("{:#x}{note}", block.address)];
    let line = |(address, text): &(u64, String)| shown(&format!("{address:#x}  {text}"));
    lines.extend(block.instructions.iter().take(INSTRUCTIONS_SHOWN_MAX).map(line));
    if block.instructions.is_empty() {
        lines.push(format!("{} instructions", block.instruction_count));
    }
    if block.instructions.len() > INSTRUCTIONS_SHOWN_MAX {
        lines.push(format!("… {} more", block.instructions.len() - INSTRUCTIONS_SHOWN_MAX));
    }
    Look { lines, fill, is_dashed: is_unreached }
}

/// The text in one line that is not too long.
fn shown(text: &str) -> String {
    match text.char_indices().nth(LETTERS_SHOWN_MAX) {
        Some((end, _)) => escaped(&text[..end]) + "…",
        None => escaped(text),
    }
}

/// A count as a number to draw with.
fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// What the picture is of.
fn title(graph: &FunctionGraph) -> String {
    let name = graph.name.as_deref().map_or("(no name)".to_owned(), shown);
    format!("{name}, {:#x} in {}", graph.address, shown(&graph.binary))
}

/// What an edge is: its kind, and what is remarkable of it.
fn edge_text(edge: &GraphEdge) -> String {
    let mut text = edge.kind.name().to_owned();
    if !matches!(edge.evidence, EdgeEvidence::Encoding | EdgeEvidence::ExceptionTable) {
        text = format!("{text}, {}", edge.evidence.name());
    }
    if edge.confidence != Confidence::Certain {
        text = format!("{text}, {}", edge.confidence.name());
    }
    if edge.is_back {
        text += ", closes a loop";
    }
    text
}

/// The colour of edges of a kind.
fn colour(kind: EdgeKind) -> &'static str {
    match kind {
        EdgeKind::Taken => "#1a7f37",
        EdgeKind::Fallthrough => "#57606a",
        EdgeKind::Jump => "#0969da",
        EdgeKind::Indirect => "#bf3989",
        EdgeKind::LandingPad => "#cf222e",
        EdgeKind::CallReturn => "#9a6700",
        EdgeKind::Return => "#000000",
    }
}

/// A graph with a name, `count` blocks without instructions, and edges between them.
#[cfg(test)]
fn test_graph(name: &str, count: usize, edges: &[(usize, usize)]) -> FunctionGraph {
    let block = |position: usize| {
        GraphNode::Block(binframe_inspect::GraphBlock {
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
