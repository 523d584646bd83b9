//! Control-flow graph of one function, with disassembled instructions: what a drawing of the function shows.

use binframe::ir::tables::{
    BasicBlock, BasicBlocks, BlockEvidence, CallEdges, CfgEdge, CfgEdges, Confidence, EdgeEvidence, EdgeKind,
    FunctionParts, Functions, Instructions, Loops,
};
use binframe::ir::{Table, TableInfo};
use binframe::passes::isa::Isa;
use binframe::{Error, Filter, Source};
use std::collections::BTreeMap;
use std::ops::Range;

/// Control-flow graph of a function.
#[derive(Debug, Clone)]
pub struct FunctionGraph {
    /// Name of the binary.
    pub binary: String,
    /// Entry address.
    pub address: u64,
    /// Name of the function; `None` if no symbol names it.
    pub name: Option<String>,
    /// Blocks of the function by address, then the targets outside the function.
    pub nodes: Vec<GraphNode>,
    /// Edges by source. Returns are left out: they have no target node.
    pub edges: Vec<GraphEdge>,
}

/// A node: a block, or a target outside the function.
#[derive(Debug, Clone)]
pub enum GraphNode {
    /// A block of the function.
    Block(GraphBlock),
    /// A block of another function.
    Function {
        /// Address of the block.
        address: u64,
        /// Name of its function; `None` if no symbol names it.
        name: Option<String>,
    },
    /// An imported function.
    Import {
        /// Name; `None` if it is imported by ordinal, or the name is unknown.
        name: Option<String>,
    },
    /// An unknown target.
    Unknown,
}

/// A basic block.
#[derive(Debug, Clone)]
pub struct GraphBlock {
    /// Address of the first byte.
    pub address: u64,
    /// Addresses and texts of the instructions. Empty if the source has no instructions.
    pub instructions: Vec<(u64, String)>,
    /// Number of instructions.
    pub instruction_count: u32,
    /// Whether the block is in a fragment of the function (table `function_parts`).
    pub is_in_part: bool,
    /// How the block was reached.
    pub evidence: BlockEvidence,
}

/// A possible transfer of control from one node to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GraphEdge {
    /// Position of the source node, a block.
    pub source: usize,
    /// Position of the target node.
    pub target: usize,
    /// Kind of the transfer.
    pub kind: EdgeKind,
    /// How the edge was found.
    pub evidence: EdgeEvidence,
    /// Confidence in the edge.
    pub confidence: Confidence,
    /// Whether this is a back edge: from a block of a loop to its header.
    pub is_back: bool,
}

impl FunctionGraph {
    /// Tables that a graph needs.
    pub const NEEDED: [&'static TableInfo; 5] =
        [Functions::INFO, FunctionParts::INFO, BasicBlocks::INFO, CfgEdges::INFO, Loops::INFO];

    /// The graph of the function at an entry address.
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
        let mut outside = BTreeMap::new();
        for edge in rows.edges.iter().filter(|edge| edge.kind != EdgeKind::Return) {
            let Some(from) = rows.position(edge.source_address) else { continue };
            let inside = edge.target_address.and_then(|target| rows.position(target));
            let target = inside.unwrap_or_else(|| {
                let node = rows.target_outside(edge);
                // An unknown target has a node per edge; a known target has one node for all edges.
                let key = edge.target_address.ok_or((from, edge.kind as u8));
                *outside.entry(key).or_insert_with(|| {
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

/// The rows that a graph is built from.
struct FunctionRows {
    /// Address range of the function.
    range: Range<u64>,
    /// Address ranges of its fragments.
    parts: Vec<Range<u64>>,
    /// Its blocks, by address.
    blocks: Vec<BasicBlock>,
    edges: Vec<CfgEdge>,
    /// Header of the enclosing loop of each loop, by header.
    loops: BTreeMap<u64, Option<u64>>,
    /// End address and name of every function, by entry address.
    names: BTreeMap<u64, (u64, Option<String>)>,
    /// Callee of each call: address of the function and name of the import, by call address.
    calls: BTreeMap<u64, (Option<u64>, Option<String>)>,
    /// Function of each block of other functions, by block address.
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
            isa: source.isa_of(binary)?,
        };
        for (_, functions) in source.all::<Functions>(&filter)? {
            for row in functions.columns().iter() {
                rows.names
                    .insert(row.address, (row.address + row.size, row.function_name.map(str::to_owned)));
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

    /// Position of the block that starts at an address.
    fn position(&self, address: u64) -> Option<usize> {
        self.blocks.binary_search_by_key(&address, |block| block.address).ok()
    }

    /// Whether a block is in the loop with a header, or in a loop nested in it.
    fn is_in_loop(&self, block: usize, header: u64) -> bool {
        // Rows of a dataset may be cyclic: nesting cannot be deeper than the number of loops.
        let next = |inner: &u64| self.loops.get(inner).copied().flatten();
        let around = std::iter::successors(self.blocks[block].loop_header_address, next);
        around.take(self.loops.len()).any(|found| found == header)
    }

    /// The node of a target that is not a block of the function.
    fn target_outside(&self, edge: &CfgEdge) -> GraphNode {
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

    /// Callee of the last call of a block: the tail call if the block ends with one.
    fn last_call(&self, block: u64) -> Option<&(Option<u64>, Option<String>)> {
        let block = &self.blocks[self.position(block)?];
        let within = block.address..block.address.saturating_add(block.size);
        self.calls.range(within).next_back().map(|(_, call)| call)
    }

    /// Name of the callee of an instruction.
    fn callee_name(&self, instruction: u64) -> Option<&str> {
        let (callee, import) = self.calls.get(&instruction)?;
        let function = callee.and_then(|callee| self.names.get(&callee));
        import.as_deref().or_else(|| function.and_then(|found| found.1.as_deref()))
    }

    /// Adds the instructions of an address range to their blocks.
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
                let after = self.blocks.partition_point(|block| block.address <= row.address);
                let Some(position) = after.checked_sub(1) else { continue };
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
