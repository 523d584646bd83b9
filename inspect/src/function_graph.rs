//! One function as a graph: its blocks, their instructions as text, and where control goes from them.

use binframe::ir::tables::{
    BasicBlock, BasicBlocks, BinaryHeader, BinaryHeaders, BlockEvidence, CallEdges, CfgEdge, CfgEdges,
    Confidence, EdgeEvidence, EdgeKind, FunctionParts, Functions, Instructions, Loops,
};
use binframe::ir::{Table, TableInfo};
use binframe::passes::isa::Isa;
use binframe::{Error, Filter, Source};
use std::collections::BTreeMap;
use std::ops::Range;

/// One function, the blocks of which are vertices.
#[derive(Debug, Clone)]
pub struct FunctionGraph {
    /// The input that it is in.
    pub binary: String,
    /// Where it begins.
    pub address: u64,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Its blocks by address, then what else control goes to.
    pub nodes: Vec<GraphNode>,
    /// The edges by source; those of returns, which lead to no node, are left out.
    pub edges: Vec<GraphEdge>,
}

/// Where control is, or goes.
#[derive(Debug, Clone)]
pub enum GraphNode {
    /// A block of the function.
    Block(GraphBlock),
    /// A block of another function.
    Function {
        /// The block.
        address: u64,
        /// The name of the function that it is in.
        name: Option<String>,
    },
    /// A function of another file.
    Import {
        /// Its name, if it has one.
        name: Option<String>,
    },
    /// A place that is not known.
    Unknown,
}

/// A basic block.
#[derive(Debug, Clone)]
pub struct GraphBlock {
    /// Address of the first byte.
    pub address: u64,
    /// Its instructions by address, as text; none where the source was made without them.
    pub instructions: Vec<(u64, String)>,
    /// Number of its instructions.
    pub instruction_count: u32,
    /// Whether it lies in a part of the function that begins elsewhere.
    pub is_in_part: bool,
    /// How it is known to be executed.
    pub evidence: BlockEvidence,
}

/// A way for control from one node to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GraphEdge {
    /// Position of the node that is left, a block.
    pub source: usize,
    /// Position of the node that is entered.
    pub target: usize,
    /// Why control passes.
    pub kind: EdgeKind,
    /// How the edge is known.
    pub evidence: EdgeEvidence,
    /// How sure it is.
    pub confidence: Confidence,
    /// Whether it leads from within a loop back to the loop's header.
    pub is_back: bool,
}

impl FunctionGraph {
    /// Tables that a graph cannot be made without.
    pub const NEEDED: [&'static TableInfo; 5] =
        [Functions::INFO, FunctionParts::INFO, BasicBlocks::INFO, CfgEdges::INFO, Loops::INFO];

    /// The graph of the function that begins at an address.
    pub fn of(source: &Source, binary: &str, address: u64) -> Result<Self, Error> {
        let rows = FunctionRows::read(source, binary, address)?;
        let name = rows.names.get(&address).and_then(|function| function.1.clone());
        let mut nodes: Vec<_> = rows
            .blocks
            .iter()
            .map(|block| {
                GraphNode::Block(GraphBlock {
                    address: block.address,
                    instructions: Vec::new(),
                    instruction_count: block.instruction_count,
                    is_in_part: !rows.range.contains(&block.address),
                    evidence: block.evidence,
                })
            })
            .collect();
        for range in std::iter::once(&rows.range).chain(&rows.parts) {
            rows.push_instructions(source, binary, range, &mut nodes)?;
        }
        let mut edges = Vec::new();
        let mut others = BTreeMap::new();
        for edge in rows.edges.iter().filter(|edge| edge.kind != EdgeKind::Return) {
            let Some(from) = rows.position(edge.source_address) else { continue };
            let inside = edge.target_address.and_then(|target| rows.position(target));
            let target = inside.unwrap_or_else(|| {
                let node = rows.outside(edge);
                // Each place that is not known is one of its own; others have one node, however often control goes there.
                let key = edge.target_address.ok_or((from, edge.kind as u8));
                *others.entry(key).or_insert_with(|| {
                    nodes.push(node);
                    nodes.len() - 1
                })
            });
            let is_back = inside.is_some_and(|to| rows.is_in_loop(from, rows.blocks[to].address));
            let CfgEdge { kind, evidence, confidence, .. } = *edge;
            edges.push(GraphEdge { source: from, target, kind, evidence, confidence, is_back });
        }
        Ok(Self { binary: binary.to_owned(), address, name, nodes, edges })
    }
}

/// The rows that a graph is made of.
struct FunctionRows {
    range: Range<u64>,
    parts: Vec<Range<u64>>,
    blocks: Vec<BasicBlock>,
    edges: Vec<CfgEdge>,
    /// The next loop around each loop, by their headers.
    loops: BTreeMap<u64, Option<u64>>,
    /// The end and the name of every function, by address.
    names: BTreeMap<u64, (u64, Option<String>)>,
    /// What instructions call: the function, or the name of one of another file.
    calls: BTreeMap<u64, (Option<u64>, Option<String>)>,
    /// The function of each block of another function that an edge leads to.
    functions_of: BTreeMap<u64, u64>,
    isa: Isa,
}

impl FunctionRows {
    fn read(source: &Source, binary: &str, address: u64) -> Result<Self, Error> {
        let filter = Filter::of(binary);
        let mut rows = Self {
            range: address..address,
            parts: Vec::new(),
            blocks: Vec::new(),
            edges: Vec::new(),
            loops: BTreeMap::new(),
            names: BTreeMap::new(),
            calls: BTreeMap::new(),
            functions_of: BTreeMap::new(),
            isa: isa_of(source, binary)?,
        };
        for (_, functions) in source.all::<Functions>(&filter)? {
            for row in functions.columns().iter() {
                rows.names.insert(row.address, (row.address + row.size, row.name.map(str::to_owned)));
            }
        }
        rows.range.end = rows.names.get(&address).map_or(address, |function| function.0);
        for (_, parts) in source.all::<FunctionParts>(&filter)? {
            let own = parts.columns().iter().filter(|part| part.function_address == address);
            rows.parts.extend(own.map(|part| part.address..part.address + part.size));
        }
        for (_, blocks) in source.all::<BasicBlocks>(&filter)? {
            for block in blocks.columns().iter() {
                match block.function_address == address {
                    true => rows.blocks.push(block),
                    false => _ = rows.functions_of.insert(block.address, block.function_address),
                }
            }
        }
        for (_, edges) in source.all::<CfgEdges>(&filter)? {
            let own: Vec<_> =
                edges.columns().iter().filter(|edge| rows.position(edge.source_address).is_some()).collect();
            rows.edges.extend(own);
        }
        for (_, loops) in source.all::<Loops>(&filter)? {
            let own = loops.columns().iter().filter(|row| row.function_address == address);
            rows.loops.extend(own.map(|row| (row.header_address, row.parent_header_address)));
        }
        for (_, calls) in source.all::<CallEdges>(&filter)? {
            for call in calls.columns().iter().filter(|call| call.caller_address == address) {
                let import = call.import_name.map(str::to_owned);
                rows.calls.insert(call.call_address, (call.callee_address, import));
            }
        }
        Ok(rows)
    }

    /// The position of the block that begins at an address.
    fn position(&self, address: u64) -> Option<usize> {
        self.blocks.binary_search_by_key(&address, |block| block.address).ok()
    }

    /// Whether a block is in the loop of that header, or in one inside it.
    fn is_in_loop(&self, block: usize, header: u64) -> bool {
        // The headers of loops around a block are fewer than there are loops, whatever rows say.
        let next = |inner: &u64| self.loops.get(inner).copied().flatten();
        let around = std::iter::successors(self.blocks[block].loop_header, next);
        around.take(self.loops.len()).any(|found| found == header)
    }

    /// What an edge leads to that is no block of the function.
    fn outside(&self, edge: &CfgEdge) -> GraphNode {
        match edge.target_address {
            Some(address) => {
                let function = self.functions_of.get(&address).and_then(|start| self.names.get(start));
                let import = self.last_call(edge.source_address).and_then(|call| call.1.clone());
                GraphNode::Function { address, name: function.and_then(|found| found.1.clone()).or(import) }
            }
            None if edge.evidence == EdgeEvidence::Import => {
                let call = self.last_call(edge.source_address);
                GraphNode::Import { name: call.and_then(|call| call.1.clone()) }
            }
            None => GraphNode::Unknown,
        }
    }

    /// What the last call of a block calls: where a block ends with a jump to another function, that is the jump.
    fn last_call(&self, block: u64) -> Option<&(Option<u64>, Option<String>)> {
        let block = &self.blocks[self.position(block)?];
        let within = block.address..block.address.saturating_add(block.size);
        self.calls.range(within).next_back().map(|(_, call)| call)
    }

    /// What stands behind a call: the name of what it calls.
    fn callee_name(&self, instruction: u64) -> Option<&str> {
        let (callee, import) = self.calls.get(&instruction)?;
        let function = callee.and_then(|callee| self.names.get(&callee));
        import.as_deref().or_else(|| function.and_then(|found| found.1.as_deref()))
    }

    /// Adds to blocks their instructions of a range.
    fn push_instructions(
        &self,
        source: &Source,
        binary: &str,
        range: &Range<u64>,
        nodes: &mut [GraphNode],
    ) -> Result<(), Error> {
        let filter = Filter { addresses: Some(range.clone()), ..Filter::of(binary) };
        for (_, rows) in source.all::<Instructions>(&filter)? {
            for row in rows.columns().iter().filter(|row| range.contains(&row.address)) {
                let behind = self.blocks.partition_point(|block| block.address <= row.address);
                let Some(position) = behind.checked_sub(1) else { continue };
                let block = &self.blocks[position];
                if row.address - block.address >= block.size {
                    continue;
                }
                let mut text = self.isa.disassemble(row.bytes, row.address);
                if let Some(name) = self.callee_name(row.address) {
                    text += "  ; ";
                    text += name;
                }
                if let Some(GraphNode::Block(block)) = nodes.get_mut(position) {
                    block.instructions.push((row.address, text));
                }
            }
        }
        Ok(())
    }
}

/// How the code of an input is read; as x86-64 where the source was made without headers.
pub(crate) fn isa_of(source: &Source, binary: &str) -> Result<Isa, Error> {
    let headers = source.all::<BinaryHeaders>(&Filter::of(binary))?;
    let isa = |header: BinaryHeader<'_>| header.architecture.and_then(Isa::of);
    let found = headers.iter().find_map(|(_, rows)| rows.columns().iter().find_map(isa));
    Ok(found.unwrap_or(Isa::X86_64))
}
