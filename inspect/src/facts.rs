//! The rows about an address that its explanation is made of.

use binframe::ir::tables::{
    BasicBlock, BasicBlocks, BinaryImports, BinarySections, BinaryStrings, BinarySymbols, CallEdges,
    CfgEdges, Flow, Function, FunctionParts, Functions, Instruction, Instructions, JumpTable,
    JumpTableEntries, JumpTables,
};
use binframe::ir::{Rows, Table};
use binframe::passes::isa::Isa;
use binframe::{Error, Filter, Source};
use std::ops::Range;

/// The tables of a binary that an explanation needs. Tables whose rows cover addresses are read for one address only,
/// but those of functions, blocks, edges and calls completely, because their rows refer to each other. A table that the
/// source does not have is empty.
pub(crate) struct Facts {
    pub(crate) address: u64,
    /// Instructions of the block at the address; without a block, the instruction at the address.
    pub(crate) lines: Vec<Line>,
    pub(crate) functions: Rows<Functions>,
    pub(crate) blocks: Rows<BasicBlocks>,
    pub(crate) edges: Rows<CfgEdges>,
    pub(crate) parts: Rows<FunctionParts>,
    pub(crate) calls: Rows<CallEdges>,
    pub(crate) jump_tables: Rows<JumpTables>,
    pub(crate) entries: Rows<JumpTableEntries>,
    pub(crate) sections: Rows<BinarySections>,
    pub(crate) symbols: Rows<BinarySymbols>,
    pub(crate) strings: Rows<BinaryStrings>,
    pub(crate) imports: Rows<BinaryImports>,
}

/// A disassembled instruction.
pub(crate) struct Line {
    pub(crate) address: u64,
    /// Size in bytes.
    pub(crate) size: u64,
    pub(crate) flow: Flow,
    pub(crate) is_padding: bool,
    pub(crate) text: String,
}

impl Facts {
    pub(crate) fn read(source: &Source, binary: &str, address: u64) -> Result<Self, Error> {
        let here = || Some(address..address.saturating_add(1));
        let mut facts = Self {
            address,
            lines: Vec::new(),
            functions: rows(source, binary, None)?,
            blocks: rows(source, binary, None)?,
            edges: rows(source, binary, None)?,
            parts: rows(source, binary, None)?,
            calls: rows(source, binary, None)?,
            jump_tables: rows(source, binary, None)?,
            entries: rows(source, binary, None)?,
            sections: rows(source, binary, here())?,
            symbols: rows(source, binary, here())?,
            strings: rows(source, binary, here())?,
            imports: rows(source, binary, None)?,
        };
        let range = facts.block_at(address).map_or(address..address.saturating_add(1), |block| {
            block.address..block.address.saturating_add(block.size)
        });
        let instructions = rows(source, binary, Some(range.clone()))?;
        facts.lines = disassemble(&instructions, &range, source.isa_of(binary)?);
        Ok(facts)
    }

    /// The block that covers an address.
    pub(crate) fn block_at(&self, address: u64) -> Option<BasicBlock> {
        self.blocks.columns().iter().find(|block| covers(block.address, block.size, address))
    }

    /// The function that starts at an address.
    pub(crate) fn function_at(&self, start: u64) -> Option<Function<'_>> {
        self.functions.columns().iter().find(|row| row.address == start)
    }

    /// Name and address of the function that starts at an address.
    pub(crate) fn function_name(&self, start: u64) -> String {
        let name = self.function_at(start).and_then(|function| function.function_name);
        name.map_or(format!("the function at {start:#x}"), |name| format!("{name} ({start:#x})"))
    }

    /// The first jump table whose jump is at an address that satisfies a condition.
    pub(crate) fn jump_table(&self, is_jump: impl Fn(u64) -> bool) -> Option<JumpTable> {
        self.jump_tables.columns().iter().find(|table| is_jump(table.jump_address))
    }
}

/// The rows of a table that may be in `addresses`.
fn rows<T: Table>(source: &Source, binary: &str, addresses: Option<Range<u64>>) -> Result<Rows<T>, Error> {
    let parts = source.all::<T>(&Filter { addresses, ..Filter::of(binary) })?;
    Ok(Rows::concat(parts.iter().map(|(_, rows)| rows)))
}

/// The instructions that overlap a range.
fn disassemble(instructions: &Rows<Instructions>, range: &Range<u64>, isa: Isa) -> Vec<Line> {
    let overlaps =
        |start: u64, size: u8| start < range.end && start.saturating_add(size.into()) > range.start;
    let rows = instructions.columns().iter().filter(|row| overlaps(row.address, row.size));
    let line = |row: Instruction<'_>| Line {
        address: row.address,
        size: row.size.into(),
        flow: row.flow,
        is_padding: isa.is_padding(row.bytes),
        text: isa.disassemble(row.bytes, row.address),
    };
    rows.map(line).collect()
}

/// Whether a range covers an address. An empty range covers its start.
pub(crate) fn covers(start: u64, size: u64, address: u64) -> bool {
    address >= start && (address - start < size || address == start)
}
