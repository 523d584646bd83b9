//! Who calls whom.

use super::program::{FunctionNames, Program, names, numbers};
use super::{Answer, Argument, Column, TableFunction};
use arrow_array::{ArrayRef, Float64Array};
use binframe::graph::{Graph, NONE, Vertices, breadth_first, page_rank};
use binframe::ir::tables::{CallEdge, CallEdges, CfgEdges};
use binframe::ir::{Enumeration, Rows};
use datafusion::common::{Result, plan_err};
use std::sync::Arc;

pub(super) const CALLERS: TableFunction = TableFunction {
    name: "callers",
    parameters: &["function"],
    doc: "The calls of a function or an import, given by its name or an address in it.",
    columns: &[
        Column::Address("caller_address"),
        Column::Name("caller_name"),
        Column::Address("call_address"),
        Column::Name("kind"),
        Column::Name("confidence"),
    ],
    compute: callers,
};

pub(super) const CALLEES: TableFunction = TableFunction {
    name: "callees",
    parameters: &["function"],
    doc: "The calls that a function makes, and what they call; null where that is not known.",
    columns: &[
        Column::Address("callee_address"),
        Column::Name("callee_name"),
        Column::Address("call_address"),
        Column::Name("kind"),
        Column::Name("confidence"),
    ],
    compute: callees,
};

pub(super) const REACHABLE: TableFunction = TableFunction {
    name: "reachable",
    parameters: &["function"],
    doc: "The functions and imports that known calls lead to from a function, nearest first, and over how many calls.",
    columns: &[Column::Count("calls"), Column::Address("function_address"), Column::Name("function_name")],
    compute: reachable,
};

pub(super) const PATH: TableFunction = TableFunction {
    name: "path",
    parameters: &["from", "to"],
    doc: "A shortest chain of known calls from one function to another or to an import; no rows where there is none.",
    columns: &[Column::Count("step"), Column::Address("function_address"), Column::Name("function_name")],
    compute: path,
};

pub(super) const PAGERANK: TableFunction = TableFunction {
    name: "pagerank",
    parameters: &["edges"],
    doc: "How often a random walk along 'call_edges' or 'cfg_edges' comes by a function or block, most often first.",
    columns: &[Column::Share("rank"), Column::Address("address"), Column::Name("name")],
    compute: pagerank,
};

fn callers(program: &Program<'_>, arguments: &[Argument]) -> Result<Answer> {
    let functions = program.functions()?;
    let asked = functions.asked_for(&arguments[0]);
    let rows = program.rows::<CallEdges>()?;
    let is_asked = |call: &CallEdge<'_>| {
        let is_function = call.callee_address.is_some_and(|callee| asked.contains(&callee));
        is_function || matches!(&arguments[0], Argument::Text(name) if call.import_name == Some(name))
    };
    let calls: Vec<_> = rows.iter().flat_map(|rows| rows.columns().iter()).filter(is_asked).collect();
    if asked.is_empty() && calls.is_empty() {
        return Ok(None);
    }
    let mut columns = vec![
        numbers(calls.iter().map(|call| Some(call.caller_address))),
        names(calls.iter().map(|call| functions.name(call.caller_address))),
    ];
    columns.extend(places(&calls));
    Ok(Some(columns))
}

fn callees(program: &Program<'_>, arguments: &[Argument]) -> Result<Answer> {
    let functions = program.functions()?;
    let asked = functions.asked_for(&arguments[0]);
    if asked.is_empty() {
        return Ok(None);
    }
    let rows = program.rows::<CallEdges>()?;
    let all = rows.iter().flat_map(|rows| rows.columns().iter());
    let calls: Vec<_> = all.filter(|call| asked.contains(&call.caller_address)).collect();
    let callee_name = |call: &CallEdge<'_>| {
        let own = call.callee_address.and_then(|callee| functions.name(callee));
        own.or_else(|| call.import_name.map(str::to_owned))
    };
    let mut columns =
        vec![numbers(calls.iter().map(|call| call.callee_address)), names(calls.iter().map(callee_name))];
    columns.extend(places(&calls));
    Ok(Some(columns))
}

/// Where calls are, and how they are known.
fn places(calls: &[CallEdge<'_>]) -> [ArrayRef; 3] {
    [
        numbers(calls.iter().map(|call| Some(call.call_address))),
        names(calls.iter().map(|call| Some(call.kind.name()))),
        names(calls.iter().map(|call| Some(call.confidence.name()))),
    ]
}

/// The known calls of a binary as a graph: its functions, then the imports that they call.
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
        // An import that is called through a stub of its own is the function that the stub is.
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

    fn vertices(&self, argument: &Argument) -> Vec<u32> {
        let address = |address: u64| self.addresses.binary_search(&address).ok();
        let functions = self.functions.asked_for(argument).into_iter().filter_map(address);
        let is_asked = |name: &&String| matches!(argument, Argument::Text(asked) if asked == *name);
        let import =
            self.imports.iter().position(|name| is_asked(&name)).map(|import| self.addresses.len() + import);
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

    /// The columns of addresses and names of vertices.
    fn columns(&self, vertices: &[u32]) -> [ArrayRef; 2] {
        [
            numbers(vertices.iter().map(|vertex| self.address(*vertex))),
            names(vertices.iter().map(|vertex| self.name(*vertex))),
        ]
    }
}

fn reachable(program: &Program<'_>, arguments: &[Argument]) -> Result<Answer> {
    let calls = CallGraph::of(program)?;
    let roots = calls.vertices(&arguments[0]);
    if roots.is_empty() {
        return Ok(None);
    }
    let walk = breadth_first(&calls.graph, &roots);
    let levels = numbers(walk.order.iter().map(|vertex| Some(walk.levels[*vertex as usize].into())));
    let [addresses, names] = calls.columns(&walk.order);
    Ok(Some(vec![levels, addresses, names]))
}

fn path(program: &Program<'_>, arguments: &[Argument]) -> Result<Answer> {
    let calls = CallGraph::of(program)?;
    let (from, to) = (calls.vertices(&arguments[0]), calls.vertices(&arguments[1]));
    if from.is_empty() || to.is_empty() {
        return Ok(None);
    }
    let walk = breadth_first(&calls.graph, &from);
    let nearest = to.into_iter().min_by_key(|vertex| walk.levels[*vertex as usize]);
    let mut chain = Vec::new();
    let mut next = nearest.filter(|vertex| walk.levels[*vertex as usize] != NONE);
    while let Some(vertex) = next {
        chain.push(vertex);
        next = Some(walk.parents[vertex as usize]).filter(|parent| *parent != NONE);
    }
    chain.reverse();
    let steps = numbers((0..chain.len() as u64).map(Some));
    let [addresses, names] = calls.columns(&chain);
    Ok(Some(vec![steps, addresses, names]))
}

/// Of what a walk does, this part follows edges.
const DAMPING: f64 = 0.85;
/// Ranks that change by less in all are done.
const TOLERANCE: f64 = 1e-9;
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
            Ok(Some(vec![ranks, own, names(order.iter().map(name))]))
        }
        other => plan_err!("pagerank takes 'call_edges' or 'cfg_edges', not `{other}`"),
    }
}
