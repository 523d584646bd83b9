//! A control-flow graph as an SVG image.

use super::layout::{Segment, TooLarge, float, layout};
use super::style::{NodeStyle, colour, edge_text, node_style, title};
use binframe::ir::Enumeration;
use binframe::ir::tables::EdgeKind;
use binframe_inspect::{FunctionGraph, GraphEdge, GraphNode};
use std::fmt::Write as _;

/// Width of a character in common monospaced fonts of 12 pixels, rounded up.
const CHARACTER_WIDTH: f64 = 7.3;

/// Height of a line.
const LINE_HEIGHT: f64 = 15.0;

/// Space around the text of a node.
const MARGIN: f64 = 8.0;

/// The graph as an image. An error if it is too large to be laid out.
pub(crate) fn svg(graph: &FunctionGraph) -> Result<String, TooLarge> {
    let styles: Vec<_> = graph.nodes.iter().map(|node| node_style(graph, node)).collect();
    let sizes: Vec<_> = styles.iter().map(size).collect();
    let edges: Vec<_> = graph.edges.iter().map(|edge| (edge.source, edge.target)).collect();
    let is_entry =
        |node: &GraphNode| matches!(node, GraphNode::Block(block) if block.address == graph.address);
    let entry = graph.nodes.iter().position(is_entry).unwrap_or(0);
    let layout = layout(&sizes, &edges, entry)?;
    let heading = title(graph);
    let legend = legend(graph);
    let characters = heading.chars().count().max(legend.iter().map(|kind| kind.name().len() + 4).sum());
    let width = layout.width.max(float(characters) * CHARACTER_WIDTH + 2.0 * MARGIN);
    let top = 2.0 * LINE_HEIGHT + MARGIN;
    let height = layout.height + top;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"monospace\" font-size=\"12\">\n\
         <title>{}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
        escaped(&heading)
    );
    push_heading(&mut text, &heading, &legend);
    _ = writeln!(text, "<g transform=\"translate(0 {top:.1})\">");
    for (edge, route) in graph.edges.iter().zip(&layout.routes) {
        let (corner, size) = (layout.corners[edge.source], sizes[edge.source]);
        let path = match route.is_empty() {
            true => self_loop(corner.0 + size.0, corner.1),
            false => path(route),
        };
        push_edge(&mut text, edge, &path);
    }
    for (node, style) in styles.iter().enumerate() {
        push_node(&mut text, style, layout.corners[node], sizes[node]);
    }
    text += "</g>\n</svg>\n";
    Ok(text)
}

fn size(style: &NodeStyle) -> (f64, f64) {
    let characters = style.lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    let width = float(characters) * CHARACTER_WIDTH + 2.0 * MARGIN;
    (width, float(style.lines.len()) * LINE_HEIGHT + MARGIN)
}

/// The kinds of edges that occur in the graph.
fn legend(graph: &FunctionGraph) -> Vec<EdgeKind> {
    let codes = 0..EdgeKind::NAMES.len() as u8;
    let occurs = |kind: &EdgeKind| graph.edges.iter().any(|edge| edge.kind == *kind);
    codes.map(EdgeKind::from_code).filter(occurs).collect()
}

fn push_heading(text: &mut String, heading: &str, legend: &[EdgeKind]) {
    _ = writeln!(
        text,
        "<text x=\"{MARGIN}\" y=\"{LINE_HEIGHT}\" font-weight=\"bold\">{}</text>",
        escaped(heading)
    );
    text.push_str("<defs>\n");
    for kind in legend {
        _ = writeln!(
            text,
            "<marker id=\"{}\" markerUnits=\"userSpaceOnUse\" markerWidth=\"8\" markerHeight=\"8\" refX=\"8\" refY=\"4\" \
             orient=\"auto\"><path d=\"M 0 0 L 8 4 L 0 8 z\" fill=\"{}\"/></marker>",
            kind.name(),
            colour(*kind)
        );
    }
    text.push_str("</defs>\n");
    let mut x = MARGIN;
    for kind in legend {
        let (y, name) = (2.0 * LINE_HEIGHT, kind.name());
        _ = writeln!(text, "<text x=\"{x:.1}\" y=\"{y}\" fill=\"{}\">— {name}</text>", colour(*kind));
        x += float(name.len() + 4) * CHARACTER_WIDTH;
    }
}

fn push_node(text: &mut String, style: &NodeStyle, corner: (f64, f64), size: (f64, f64)) {
    let dashed = if style.is_dashed { " stroke-dasharray=\"4 3\"" } else { "" };
    _ = writeln!(
        text,
        "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"3\" fill=\"{}\" stroke=\"#57606a\"{dashed}/>",
        corner.0, corner.1, size.0, size.1, style.fill
    );
    for (line, y) in style.lines.iter().zip(1..) {
        let (x, y) = (corner.0 + MARGIN, corner.1 + f64::from(y) * LINE_HEIGHT);
        _ = writeln!(text, "<text x=\"{x:.1}\" y=\"{y:.1}\" xml:space=\"preserve\">{}</text>", escaped(line));
    }
}

fn push_edge(text: &mut String, edge: &GraphEdge, path: &str) {
    let (colour, name) = (colour(edge.kind), edge_text(edge));
    let width = if edge.is_back { "2.4" } else { "1.2" };
    _ = writeln!(
        text,
        "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" \
         marker-end=\"url(#{})\"><title>{name}</title></path>",
        edge.kind.name()
    );
}

/// The segments of a route as lines, joined by curves.
fn path(route: &[Segment]) -> String {
    let mut path = String::new();
    let mut last: Option<(f64, f64)> = None;
    for (start, end) in route {
        _ = match last {
            None => write!(path, "M {:.1} {:.1}", start.0, start.1),
            Some(last) => {
                let middle = f64::midpoint(last.1, start.1);
                let (from, to) = (last.0, start.0);
                write!(path, " C {from:.1} {middle:.1}, {to:.1} {middle:.1}, {to:.1} {:.1}", start.1)
            }
        };
        _ = write!(path, " L {:.1} {:.1}", end.0, end.1);
        last = Some(*end);
    }
    path
}

/// A loop at the right side of a node, whose upper right corner is given.
fn self_loop(x: f64, y: f64) -> String {
    let (out, from, to) = (x + 2.5 * MARGIN, y + 0.5 * LINE_HEIGHT, y + 1.2 * LINE_HEIGHT);
    format!("M {x:.1} {from:.1} C {out:.1} {from:.1}, {out:.1} {to:.1}, {x:.1} {to:.1}")
}

/// The text for XML, which cannot contain noncharacters.
fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::svg;
    use crate::drawing::test_graph::test_graph;

    #[test]
    fn names_are_text() {
        let graph = test_graph("<b>&\"'\\\n\u{1}\u{ffff}]]>", 3, &[(0, 1), (1, 1), (1, 2), (2, 0)]);
        let text = svg(&graph).expect("it is small");
        assert!(text.contains("&lt;b&gt;&amp;\"'\\\\n\\u{1}\u{fffd}]]&gt;, 0x0 in app"), "{text}");
        let count = |pattern: &str| text.matches(pattern).count();
        // The background is a rectangle too.
        assert_eq!((count("<rect "), count("stroke-width=")), (3 + 1, 4), "{text}");
        assert!(!text.contains('\u{1}') && count("<b>") == 0);
    }
}
