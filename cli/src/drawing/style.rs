//! The text and the colours of nodes and edges, in any drawing.

use crate::output::cell_text::truncated;
use binframe::ir::Enumeration;
use binframe::ir::tables::{BlockEvidence, Confidence, EdgeEvidence, EdgeKind};
use binframe_inspect::{FunctionGraph, GraphEdge, GraphNode};

/// Instructions of a block that are drawn.
const INSTRUCTIONS_SHOWN_MAX: usize = 40;

/// Appearance of a node.
pub(super) struct NodeStyle {
    pub(super) lines: Vec<String>,
    pub(super) fill: &'static str,
    pub(super) is_dashed: bool,
}

/// The text and the colours of a node.
pub(super) fn node_style(graph: &FunctionGraph, node: &GraphNode) -> NodeStyle {
    let outside = |lines| NodeStyle { lines, fill: "#ffffff", is_dashed: true };
    let block = match node {
        GraphNode::Block(block) => block,
        GraphNode::Function { address, name } => {
            let name = name.as_deref().map(truncated);
            return outside(name.into_iter().chain([format!("{address:#x}")]).collect());
        }
        GraphNode::Import { name } => {
            return outside(vec![name.as_deref().map_or("imported".to_owned(), truncated)]);
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
    let line = |(address, text): &(u64, String)| truncated(&format!("{address:#x}  {text}"));
    lines.extend(block.instructions.iter().take(INSTRUCTIONS_SHOWN_MAX).map(line));
    if block.instructions.is_empty() {
        lines.push(format!("{} instructions", block.instruction_count));
    }
    if block.instructions.len() > INSTRUCTIONS_SHOWN_MAX {
        lines.push(format!("… {} more", block.instructions.len() - INSTRUCTIONS_SHOWN_MAX));
    }
    NodeStyle { lines, fill, is_dashed: is_unreached }
}

/// The title of a drawing: function, address and input.
pub(super) fn title(graph: &FunctionGraph) -> String {
    let name = graph.name.as_deref().map_or("(no name)".to_owned(), truncated);
    format!("{name}, {:#x} in {}", graph.address, truncated(&graph.binary))
}

/// The label of an edge: its kind; evidence other than the usual; confidence below `certain`; whether it closes a loop.
pub(super) fn edge_text(edge: &GraphEdge) -> String {
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

/// The colour of an edge.
pub(super) fn colour(kind: EdgeKind) -> &'static str {
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
