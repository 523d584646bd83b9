//! A control-flow graph in the DOT language of Graphviz.

use super::style::{colour, edge_text, node_style, title};
use binframe_inspect::{FunctionGraph, GraphNode};
use std::fmt::Write as _;

/// The graph, with a line for each node and each edge.
pub(crate) fn dot(graph: &FunctionGraph) -> String {
    let mut text = "digraph cfg {\n".to_owned();
    _ = writeln!(text, "  graph [label=\"{}\", labelloc=t, fontname=monospace];", quoted(&title(graph)));
    text += "  node [shape=box, style=filled, fontname=monospace, fontsize=10];\n";
    text += "  edge [fontname=monospace, fontsize=9];\n";
    for (position, node) in graph.nodes.iter().enumerate() {
        let style = node_style(graph, node);
        // `\l` ends a line and aligns it to the left.
        let label: String = style.lines.iter().map(|line| quoted(line) + "\\l").collect();
        let dashed = if style.is_dashed { ", style=\"filled,dashed\"" } else { "" };
        let id = identifier(graph, position);
        _ = writeln!(text, "  {id} [label=\"{label}\", fillcolor=\"{}\"{dashed}];", style.fill);
    }
    for edge in &graph.edges {
        let (source, target) = (identifier(graph, edge.source), identifier(graph, edge.target));
        let (label, colour) = (edge_text(edge), colour(edge.kind));
        let bold = if edge.is_back { ", style=bold" } else { "" };
        _ = writeln!(
            text,
            "  {source} -> {target} [label=\"{label}\", color=\"{colour}\", fontcolor=\"{colour}\"{bold}];"
        );
    }
    text + "}\n"
}

/// The identifier of a node; that of a block contains its address.
fn identifier(graph: &FunctionGraph, position: usize) -> String {
    match &graph.nodes[position] {
        GraphNode::Block(block) => format!("block_{:x}", block.address),
        GraphNode::Function { address, .. } => format!("other_{address:x}"),
        GraphNode::Import { .. } => format!("import_{position}"),
        GraphNode::Unknown => format!("unknown_{position}"),
    }
}

/// The text for a quoted label, in which `\` and `&` begin escapes.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('&', "&amp;")
}

#[cfg(test)]
mod tests {
    use super::{dot, quoted};
    use crate::drawing::test_graph::test_graph;

    #[test]
    fn names_cannot_end_their_label() {
        assert_eq!(quoted(r#"a"b\n{c}&lt;"#), r#"a\"b\\n{c}&amp;lt;"#);
        let text = dot(&test_graph("odd\"]; {name}\\\n\x1b[31m\u{85}", 3, &[(0, 1), (1, 2)]));
        assert!(text.contains(r#"label="odd\"]; {name}\\\\n\\u{1b}[31m\\u{85}, 0x0 in "#), "{text}");
    }
}
