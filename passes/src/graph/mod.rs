//! Directed graphs and algorithms on them.
//!
//! A [`Graph`] has dense vertices and stores its edges in compressed sparse row form; edge weights are a separate
//! column in the same order. [`Vertices`] maps the addresses of an edge table to such vertices and back. Every
//! algorithm accepts any graph, including self-loops and parallel edges, gives the same result for any number of
//! threads, does not recurse, and takes linear or nearly linear time in vertices and edges.
//!
//! The crate petgraph has several of these algorithms, but none is used. On this representation, with a million
//! vertices and eight million edges, its dominators took 2.7 times as long, and they are quadratic for some graphs; its
//! Tarjan's algorithm recurses as deeply as the graph, and its Kosaraju's algorithm (1.3 times as long) needs the
//! reversed graph.
//!
//! [`FlowAnalysis`] computes the structure of one function's flow graph; it is built to run for a million functions.

mod components;
mod csr;
mod dominators;
mod flow;
mod loops;
mod page_rank;
mod traversal;
mod vertices;
mod worklist;

pub(crate) use components::StrongComponents;
pub use components::{Components, strong_components};
pub use csr::{Graph, NONE};
pub use flow::{FlowAnalysis, FlowStructure};
pub use loops::Loop;
pub use page_rank::{PageRank, page_rank};
pub use traversal::{BreadthFirst, DepthFirst, breadth_first, depth_first};
pub use vertices::Vertices;
pub(crate) use worklist::Worklist;
