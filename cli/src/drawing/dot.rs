//! A graph in the language of graphviz.

use super::{colour, edge_text, look, title};
use binframe_inspect::{FunctionGraph, GraphNode};
use std::fmt::Write as _;

/// The graph, a line for each node and each edge.
pub(crate) fn dot(graph: &FunctionGraph) -> String {
    let mut text = "digraph cfg {\n".to_owned();
    _ = writeln!(text, "  graph [label=\"{}\", labelloc=t, fontname=monospace];", quoted(&title(graph)));
    text += "  node [shape=box, style=filled, fontname=monospace, fontsize=10];\n";
    text += "  edge [fontname=monospace, fontsize=9];\n";
    for (position, node) in graph.nodes.iter().enumerate() {
        let look = look(graph, node);
        // What ends a line of a label also puts it to the left.
        let label: String = look.lines.iter().map(|line| quoted(line) + "\\l").collect();
        let dashed = if look.is_dashed { ", style=\"filled,dashed\"" } else { "" };
        let id = identifier(graph, position);
        _ = writeln!(text, "  {id} [label=\"{label}\", fillcolor=\"{}\"{dashed}];", look.fill);
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

/// The name of a node: that of a block says where it is.
fn identifier(graph: &FunctionGraph, position: usize) -> String {
    match &graph.nodes[position] {
        GraphNode::Block(block) => format!("block_{:x}", block.address),
        GraphNode::Function { address, .. } => format!("other_{address:x}"),
        GraphNode::Import { .. } => format!("import_{position}"),
        GraphNode::Unknown => format!("unknown_{position}"),
    }
}

/// The text as it stands between quotation marks in a label, where `\` and `&` begin escapes.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('&', "&amp;")
}

#[cfg(test)]
mod tests {
    use super::{dot, quoted};
    use crate::drawing::test_graph;

    #[test]
    fn names_cannot_end_what_they_stand_in() {
        assert_eq!(quoted(r#"a"b\n{c}&lt;"#), r#"a\"b\\n{c}&amp;lt;"#);
        let text = dot(&test_graph("odd\"]; {name}\\\n\x1b[31m\u{85}", 3, &[(0, 1), (1, 2)]));
        assert!(text.contains(r#"label="odd\"]; {name}\\\\n\\u{1b}[31m\\u{85}, 0x0 in "#), "{text}");
    }
}
