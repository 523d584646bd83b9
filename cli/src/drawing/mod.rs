//! Drawings of control-flow graphs: as DOT for Graphviz, and as SVG.

mod dot;
mod layout;
mod style;
mod svg;
#[cfg(test)]
mod test_graph;

pub(crate) use dot::dot;
pub(crate) use svg::svg;
