//! Table functions of the call graph: direct callers and callees, reachability, shortest paths, `PageRank`.

use super::definition::{Answer, Argument, Column, TableFunction, numbers, texts};
use crate::program::{FunctionNames, Program};
use arrow_array::{ArrayRef, Float64Array};
use binframe::graph::{Graph, NONE, Vertices, breadth_first, page_rank};
use binframe::ir::tables::{CallEdge, CallEdges, CfgEdges};
use binframe::ir::{Enumeration, Rows};
use datafusion::common::{Result, plan_err};
use std::sync::Arc;

pub(super) const CALLERS: TableFunction = TableFunction {
    name: "callers",
    parameters: &["function"],
    doc: "The calls of a function or an import, given by its name or by an address in it.",
    columns: &[
        Column::Address("caller_address"),
        Column::Text("caller_name"),
        Column::Address("call_address"),
        Column::Text("kind"),
        Column::Text("confidence"),
    ],
    compute: callers,
};

pub(super) const CALLEES: TableFunction = TableFunction {
    name: "callees",
    parameters: &["function"],
    doc: "The calls in a function, and their callees; null if the callee is unknown.",
    columns: &[
        Column::Address("callee_address"),
        Column::Text("callee_name"),
        Column::Address("call_address"),
        Column::Text("kind"),
        Column::Text("confidence"),
    ],
    compute: callees,
};

pub(super) const REACHABLE: TableFunction = TableFunction {
    name: "reachable",
    parameters: &["function"],
    doc: "The functions and imports that a function reaches by known calls, nearest first, with the number of calls.",
    columns: &[Column::Count("calls"), Column::Address("function_address"), Column::Text("function_name")],
    compute: reachable,
};

pub(super) const PATH: TableFunction = TableFunction {
    name: "path",
    parameters: &["from", "to"],
    doc: "A shortest path of known calls from one function to another or to an import; no rows if there is none.",
    columns: &[Column::Count("step"), Column::Address("function_address"), Column::Text("function_name")],
    compute: path,
};

pub(super) const PAGERANK: TableFunction = TableFunction {
    name: "pagerank",
    parameters: &["edges"],
    doc: "The PageRank of functions by 'call_edges', or of basic blocks by 'cfg_edges', highest first.",
    columns: &[Column::Fraction("rank"), Column::Address("address"), Column::Text("name")],
    compute: pagerank,
};

fn callers(program: &Program<'_>, arguments: &[Argument]) -> Result<Answer> {
    let functions = program.functions()?;
    let named = arguments[0].functions(&functions);
    let rows = program.rows::<CallEdges>()?;
    let is_named = |call: &CallEdge<'_>| {
        let is_function = call.callee_address.is_some_and(|callee| named.contains(&callee));
        is_function || matches!(&arguments[0], Argument::Text(name) if call.import_name == Some(name))
    };
    let calls: Vec<_> = rows.iter().flat_map(|rows| rows.columns().iter()).filter(is_named).collect();
    if named.is_empty() && calls.is_empty() {
        return Ok(None);
    }
    let mut columns = vec![
        numbers(calls.iter().map(|call| Some(call.caller_address))),
        texts(calls.iter().map(|call| functions.name(call.caller_address))),
    ];
    columns.extend(call_columns(&calls));
    Ok(Some(columns))
}

fn callees(program: &Program<'_>, arguments: &[Argument]) -> Result<Answer> {
    let functions = program.functions()?;
    let named = arguments[0].functions(&functions);
    if named.is_empty() {
        return Ok(None);
    }
    let rows = program.rows::<CallEdges>()?;
    let all = rows.iter().flat_map(|rows| rows.columns().iter());
    let calls: Vec<_> = all.filter(|call| named.contains(&call.caller_address)).collect();
    let callee_name = |call: &CallEdge<'_>| {
        let own = call.callee_address.and_then(|callee| functions.name(callee));
        own.or_else(|| call.import_name.map(str::to_owned))
    };
    let mut columns =
        vec![numbers(calls.iter().map(|call| call.callee_address)), texts(calls.iter().map(callee_name))];
    columns.extend(call_columns(&calls));
    Ok(Some(columns))
}

/// The address, the kind and the confidence of calls.
fn call_columns(calls: &[CallEdge<'_>]) -> [ArrayRef; 3] {
    [
        numbers(calls.iter().map(|call| Some(call.call_address))),
        texts(calls.iter().map(|call| Some(call.kind.name()))),
        texts(calls.iter().map(|call| Some(call.confidence.name()))),
    ]
}

/// The call graph of a binary, restricted to known callees. Vertices are its functions, then the imports that it calls.
struct CallGraph {
    functions: FunctionNames,
    addresses: Vec<u64>,
    imports: Vec<String>,
    graph: Graph,
}

impl CallGraph {
    fn of(program: &Program<'_>) -> Result<Self> {
        let (functions, rows) = (program.functions()?, program.rows::<CallEdges>()?);
        let addresses: Vec<_> = functions.iter().map(|function| function.address).collect();
        let calls = || rows.iter().flat_map(|rows: &Rows<CallEdges>| rows.columns().iter());
        // A call through a stub has the stub, which is a function of the binary, as its callee.
        let import = |call: &CallEdge<'_>| {
            call.import_name.filter(|_| call.callee_address.is_none()).map(str::to_owned)
        };
        let mut imports: Vec<_> = calls().filter_map(|call| import(&call)).collect();
        imports.sort();
        imports.dedup();
        let vertex = |address: u64| addresses.binary_search(&address).ok().map(|position| position as u32);
        let edge = |call: CallEdge<'_>| {
            let callee = match call.callee_address {
                Some(callee) => vertex(callee)?,
                None => (addresses.len() + imports.binary_search(&import(&call)?).ok()?) as u32,
            };
            Some((vertex(call.caller_address)?, callee))
        };
        let edges: Vec<_> = calls().filter_map(edge).collect();
        let graph = Graph::from_edges(addresses.len() + imports.len(), edges);
        Ok(Self { functions, addresses, imports, graph })
    }

    /// The functions and the import that an argument names.
    fn vertices(&self, argument: &Argument) -> Vec<u32> {
        let address = |address: u64| self.addresses.binary_search(&address).ok();
        let functions = argument.functions(&self.functions).into_iter().filter_map(address);
        let is_named = |import: &String| matches!(argument, Argument::Text(name) if name == import);
        let import = self.imports.iter().position(is_named).map(|import| self.addresses.len() + import);
        functions.chain(import).map(|vertex| vertex as u32).collect()
    }

    fn address(&self, vertex: u32) -> Option<u64> {
        self.addresses.get(vertex as usize).copied()
    }

    fn name(&self, vertex: u32) -> Option<String> {
        match self.address(vertex) {
            Some(address) => self.functions.name(address),
            None => Some(self.imports[vertex as usize - self.addresses.len()].clone()),
        }
    }

    /// The addresses and the names of vertices, as columns.
    fn columns(&self, vertices: &[u32]) -> [ArrayRef; 2] {
        [
            numbers(vertices.iter().map(|vertex| self.address(*vertex))),
            texts(vertices.iter().map(|vertex| self.name(*vertex))),
        ]
    }
}

fn reachable(program: &Program<'_>, arguments: &[Argument]) -> Result<Answer> {
    let calls = CallGraph::of(program)?;
    let roots = calls.vertices(&arguments[0]);
    if roots.is_empty() {
        return Ok(None);
    }
    let search = breadth_first(&calls.graph, &roots);
    let levels = numbers(search.order.iter().map(|vertex| Some(search.levels[*vertex as usize].into())));
    let [addresses, names] = calls.columns(&search.order);
    Ok(Some(vec![levels, addresses, names]))
}

fn path(program: &Program<'_>, arguments: &[Argument]) -> Result<Answer> {
    let calls = CallGraph::of(program)?;
    let (from, to) = (calls.vertices(&arguments[0]), calls.vertices(&arguments[1]));
    if from.is_empty() || to.is_empty() {
        return Ok(None);
    }
    let search = breadth_first(&calls.graph, &from);
    let nearest = to.into_iter().min_by_key(|vertex| search.levels[*vertex as usize]);
    let mut path = Vec::new();
    let mut next = nearest.filter(|vertex| search.levels[*vertex as usize] != NONE);
    while let Some(vertex) = next {
        path.push(vertex);
        next = Some(search.parents[vertex as usize]).filter(|parent| *parent != NONE);
    }
    path.reverse();
    let steps = numbers((0..path.len() as u64).map(Some));
    let [addresses, names] = calls.columns(&path);
    Ok(Some(vec![steps, addresses, names]))
}

/// Probability that the random surfer of PageRank follows an edge.
const DAMPING: f64 = 0.85;
/// Total change of ranks below which the iteration ends.
const TOLERANCE: f64 = 1e-9;
/// Iterations after which it ends in any case.
const ROUNDS_MAX: usize = 200;

fn pagerank(program: &Program<'_>, arguments: &[Argument]) -> Result<Answer> {
    let ranks_of = |graph: &Graph| page_rank(graph, &graph.reversed(), DAMPING, TOLERANCE, ROUNDS_MAX).ranks;
    let by_rank = |ranks: &[f64]| {
        let mut order: Vec<_> = (0..ranks.len() as u32).collect();
        order.sort_by(|one, other| ranks[*other as usize].total_cmp(&ranks[*one as usize]));
        let sorted: Vec<_> = order.iter().map(|vertex| ranks[*vertex as usize]).collect();
        (order, Arc::new(Float64Array::from(sorted)) as ArrayRef)
    };
    match &arguments[0] {
        Argument::Text(table) if table == "call_edges" => {
            let calls = CallGraph::of(program)?;
            let (order, ranks) = by_rank(&ranks_of(&calls.graph));
            let [addresses, names] = calls.columns(&order);
            Ok(Some(vec![ranks, addresses, names]))
        }
        Argument::Text(table) if table == "cfg_edges" => {
            let rows = program.rows::<CfgEdges>()?;
            let edges = rows.iter().flat_map(|rows| rows.columns().iter());
            let edges: Vec<_> = edges.map(|edge| (Some(edge.source_address), edge.target_address)).collect();
            let (blocks, graph) = Vertices::of_edges(edges.iter().copied());
            let (order, ranks) = by_rank(&ranks_of(&graph));
            let functions = program.functions()?;
            let name =
                |vertex: &u32| functions.at(blocks.key(*vertex)).and_then(|start| functions.name(start));
            let own = numbers(order.iter().map(|vertex| Some(blocks.key(*vertex))));
            Ok(Some(vec![ranks, own, texts(order.iter().map(name))]))
        }
        other => plan_err!("pagerank takes 'call_edges' or 'cfg_edges', not `{other}`"),
    }
}
