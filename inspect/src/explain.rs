//! Why the tables say of an address what they say, in sentences.

use crate::function_graph::isa_of;
use binframe::ir::tables::{
    BasicBlock, BasicBlocks, BinaryImports, BinarySections, BinaryStrings, BinarySymbols, BlockEvidence,
    CallEdges, CallKind, CfgEdge, CfgEdges, EdgeEvidence, Flow, Function, FunctionParts, Functions,
    Instructions, JumpTable, JumpTableEntries, JumpTables,
};
use binframe::ir::{Enumeration, Rows, Table};
use binframe::passes::isa::Isa;
use binframe::{Error, Filter, Source};
use std::fmt::Write as _;
use std::ops::Range;

/// Ways into a block, and entries of a jump table, that are told one by one.
const TOLD_MAX: usize = 6;

/// What an address of an input is, in a paragraph of sentences: of which instruction, block, loop and function it is, how each is
/// known, and what is called there; or between what it lies. Of tables that the source was made without, nothing is said.
pub fn explain(source: &Source, binary: &str, address: u64) -> Result<String, Error> {
    let facts = Facts::read(source, binary, address)?;
    let mut text = String::new();
    match facts.block() {
        Some(block) => facts.tell_code(&mut text, &block),
        None => facts.tell_place(&mut text),
    }
    Ok(text)
}

/// An instruction as text.
struct Line {
    address: u64,
    size: u64,
    flow: Flow,
    is_padding: bool,
    text: String,
}

/// The rows that sentences are made of. Tables are read as far as they speak of the address, but for those that are looked
/// through for what leads there.
struct Facts {
    address: u64,
    /// The instructions of the block that covers the address; where none does, the one there.
    lines: Vec<Line>,
    functions: Vec<Rows<Functions>>,
    blocks: Vec<Rows<BasicBlocks>>,
    edges: Vec<Rows<CfgEdges>>,
    parts: Vec<Rows<FunctionParts>>,
    calls: Vec<Rows<CallEdges>>,
    jump_tables: Vec<Rows<JumpTables>>,
    entries: Vec<Rows<JumpTableEntries>>,
    sections: Vec<Rows<BinarySections>>,
    symbols: Vec<Rows<BinarySymbols>>,
    strings: Vec<Rows<BinaryStrings>>,
    imports: Vec<Rows<BinaryImports>>,
}

/// All rows of a table and an input.
fn rows<T: Table>(
    source: &Source,
    binary: &str,
    addresses: Option<Range<u64>>,
) -> Result<Vec<Rows<T>>, Error> {
    let found = source.all::<T>(&Filter { addresses, ..Filter::of(binary) })?;
    Ok(found.into_iter().map(|(_, rows)| rows).collect())
}

impl Facts {
    fn read(source: &Source, binary: &str, address: u64) -> Result<Self, Error> {
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
        let range = facts.block().map_or(address..address.saturating_add(1), |block| {
            block.address..block.address.saturating_add(block.size)
        });
        let isa = isa_of(source, binary)?;
        for instructions in rows::<Instructions>(source, binary, Some(range.clone()))? {
            facts.push_lines(&instructions, &range, isa);
        }
        Ok(facts)
    }

    fn push_lines(&mut self, instructions: &Rows<Instructions>, range: &Range<u64>, isa: Isa) {
        let reaches =
            |start: u64, size: u8| start < range.end && start.saturating_add(size.into()) > range.start;
        for row in instructions.columns().iter().filter(|row| reaches(row.address, row.size)) {
            self.lines.push(Line {
                address: row.address,
                size: row.size.into(),
                flow: row.flow,
                is_padding: isa.is_padding(row.bytes),
                text: isa.disassemble(row.bytes, row.address),
            });
        }
    }

    /// The block that covers the address.
    fn block(&self) -> Option<BasicBlock> {
        self.block_at(self.address)
    }

    fn block_at(&self, address: u64) -> Option<BasicBlock> {
        let mut blocks = self.blocks.iter().flat_map(|rows| rows.columns().iter());
        blocks.find(|block| covers(block.address, block.size, address))
    }

    fn function_at(&self, start: u64) -> Option<Function<'_>> {
        self.functions.iter().flat_map(|rows| rows.columns().iter()).find(|row| row.address == start)
    }

    /// A function by its name, or else by its address.
    fn function_name(&self, start: u64) -> String {
        let name = self.function_at(start).and_then(|function| function.name);
        name.map_or(format!("the function at {start:#x}"), |name| format!("{name} ({start:#x})"))
    }

    fn jump_table(&self, jump: impl Fn(u64) -> bool) -> Option<JumpTable> {
        self.jump_tables.iter().flat_map(|rows| rows.columns().iter()).find(|table| jump(table.jump_address))
    }

    /// The sentences of an address in a block.
    fn tell_code(&self, text: &mut String, block: &BasicBlock) {
        let at = self.address;
        let position = self.lines.iter().position(|line| covers(line.address, line.size, at));
        let range = format!("{:#x}..{:#x}", block.address, block.address + block.size);
        _ = match position.map(|position| (position, &self.lines[position])) {
            Some((position, line)) => {
                let within = if line.address == at { "" } else { "lies inside " };
                let is = if line.address == at { " is" } else { "," };
                let whole =
                    if line.address == at { String::new() } else { format!(" at {:#x}", line.address) };
                let (number, count) = (position + 1, block.instruction_count);
                write!(
                    text,
                    "{at:#x} {within}`{}`{whole}{is} instruction {number} of {count} of the block {range}",
                    line.text
                )
            }
            None => write!(text, "{at:#x} lies in the block {range}"),
        };
        self.tell_ways(text, block);
        self.tell_function(text, block);
        if let Some(line) = position.map(|position| &self.lines[position]) {
            self.tell_call(text, line);
        }
    }

    /// How control gets into a block.
    fn tell_ways(&self, text: &mut String, block: &BasicBlock) {
        let mut ways = Vec::new();
        if block.address == block.function_address {
            ways.push("by the function's start".to_owned());
        }
        let edges = self.edges.iter().flat_map(|rows| rows.columns().iter());
        let mut edges = edges.filter(|edge| edge.target_address == Some(block.address));
        ways.extend(edges.by_ref().take(TOLD_MAX).map(|edge| self.way(&edge)));
        match edges.count() {
            0 => {}
            1 => ways.push("in one other way".to_owned()),
            more => ways.push(format!("in {more} other ways")),
        }
        if !ways.is_empty() {
            _ = write!(text, ", which is entered {}", listed(&ways));
        }
        if block.evidence == BlockEvidence::Gap {
            text.push_str(", to which no known way leads from the function's start");
        }
        text.push('.');
    }

    /// One way into a block, and how it is known.
    fn way(&self, edge: &CfgEdge) -> String {
        let (kind, from) = (edge.kind.name(), edge.source_address);
        let evidence = edge.evidence.name();
        let mut known = evidence.to_owned();
        let source = self.block_at(from);
        let table = source.and_then(|block| self.jump_table(|jump| covers(block.address, block.size, jump)));
        if let (EdgeEvidence::JumpTable, Some(table)) = (edge.evidence, table) {
            let entries = self.entries.iter().flat_map(|rows| rows.columns().iter());
            let of_edge = entries.filter(|entry| entry.jump_address == table.jump_address);
            let of_edge = of_edge.filter(|entry| Some(entry.target_address) == edge.target_address);
            let mut numbers: Vec<_> = of_edge.map(|entry| entry.entry_index.to_string()).collect();
            let more = numbers.len().saturating_sub(TOLD_MAX);
            numbers.truncate(TOLD_MAX);
            if more > 0 {
                numbers.push(format!("{more} more"));
            }
            let (plural, bound) = (if numbers.len() == 1 { "y" } else { "ies" }, table.bound_evidence.name());
            let start = table.table_address;
            known = format!("jump table at {start:#x}, entr{plural} {}, bound by {bound}", listed(&numbers));
        }
        format!("by `{kind}` from {from:#x} ({known}; {})", edge.confidence.name())
    }

    /// Which function and loop a block is in, and how they are known.
    fn tell_function(&self, text: &mut String, block: &BasicBlock) {
        let start = block.function_address;
        _ = write!(text, " It belongs to {}", self.function_name(start));
        let mut parts = self.parts.iter().flat_map(|rows| rows.columns().iter());
        if let Some(part) = parts.find(|part| covers(part.address, part.size, block.address)) {
            let reason = reason(part.evidence);
            _ = write!(text, ", as its part at {:#x} ({}: {reason})", part.address, part.evidence.name());
        }
        if let Some(header) = block.loop_header {
            let depth = block.loop_depth;
            match header == block.address {
                true => _ = write!(text, ", and begins a loop (depth {depth})"),
                false => _ = write!(text, ", in the loop that {header:#x} begins (depth {depth})"),
            }
        }
        text.push('.');
        let Some(function) = self.function_at(start) else { return };
        let (evidence, sure) = (function.evidence.name(), function.confidence.name());
        let reason = reason(function.evidence);
        _ = write!(text, " The function begins at {start:#x} ({evidence}, {sure}): {reason}.");
        text.push_str(if function.may_return { " It may return." } else { " It never returns." });
    }

    /// What an instruction calls or where it jumps, if that takes more than to read it.
    fn tell_call(&self, text: &mut String, line: &Line) {
        if let Some(table) = self.jump_table(|jump| jump == line.address) {
            _ = write!(
                text,
                " The instruction jumps by the table at {:#x}, which has {} entries ({}, bound by {}; {}).",
                table.table_address,
                table.entry_count,
                table.kind.name(),
                table.bound_evidence.name(),
                table.confidence.name()
            );
        }
        let mut calls = self.calls.iter().flat_map(|rows| rows.columns().iter());
        let Some(call) = calls.find(|call| call.call_address == line.address) else {
            let is_resolved = self.jump_table(|jump| jump == line.address).is_some();
            if line.flow == Flow::IndirectJump && !is_resolved {
                text.push_str(" The instruction jumps to an address that is not known.");
            }
            return;
        };
        let callee = match (call.callee_address, call.import_name) {
            (Some(callee), Some(import)) => {
                format!("{import} of another file, by {}", self.function_name(callee))
            }
            (Some(callee), None) => self.function_name(callee),
            (None, Some(import)) => format!("{import} of another file"),
            (None, None) => "what is not known".to_owned(),
        };
        let way = match call.kind {
            CallKind::Tail => "jumps for good, as a tail call, to",
            _ => "calls",
        };
        let (kind, evidence, sure) = (call.kind.name(), call.evidence.name(), call.confidence.name());
        let returns = match (call.kind, call.may_return) {
            (CallKind::Tail, true) => "may return",
            (_, true) => "may come back",
            (_, false) => "never comes back",
        };
        _ = write!(text, " The instruction {way} {callee} ({kind}, {evidence}; {sure}), which {returns}.");
    }

    /// The sentences of an address that is in no block.
    fn tell_place(&self, text: &mut String) {
        let at = self.address;
        let mut sections = self.sections.iter().flat_map(|rows| rows.columns().iter());
        let section = sections.find(|row| row.is_readable && covers(row.address, row.size, at));
        _ = match &section {
            Some(row) => {
                let (name, offset, permissions) = (row.section_name, at - row.address, row.permissions);
                write!(text, "{at:#x} lies in {name} ({permissions}), {offset} bytes from its start.")
            }
            None => write!(text, "{at:#x} lies in no section."),
        };
        self.tell_data(text);
        if section.is_some_and(|row| row.is_executable) {
            self.tell_between(text);
        }
    }

    /// What data there is known to be.
    fn tell_data(&self, text: &mut String) {
        let at = self.address;
        let tables = self.jump_tables.iter().flat_map(|rows| rows.columns().iter());
        for table in tables.filter(|table| table.entry_size > 0) {
            let (start, entry_size) = (table.table_address, u64::from(table.entry_size));
            if covers(start, entry_size.saturating_mul(table.entry_count.into()), at) {
                let (index, jump) = ((at - start) / entry_size, table.jump_address);
                _ = write!(
                    text,
                    " It is in entry {index} of the jump table at {start:#x} of the jump at {jump:#x}"
                );
                let mut entries = self.entries.iter().flat_map(|rows| rows.columns().iter());
                let entry =
                    entries.find(|row| row.jump_address == jump && u64::from(row.entry_index) == index);
                _ = match entry {
                    Some(entry) => write!(text, ", which leads to {:#x}.", entry.target_address),
                    None => write!(text, ", which leads out of the function."),
                };
            }
        }
        let imports = self.imports.iter().flat_map(|rows| rows.columns().iter());
        for import in imports.filter(|import| import.slot_address == Some(at)) {
            let name = import.import_name.unwrap_or("a function without a name");
            _ = write!(text, " The loader sets a pointer there to {name} of another file.");
        }
        let symbols = self.symbols.iter().flat_map(|rows| rows.columns().iter());
        let named = symbols
            .filter(|row| row.section_index.is_some() && covers(row.symbol_address, row.symbol_size, at));
        for symbol in named.filter(|row| row.symbol_type != "tls").take(TOLD_MAX) {
            let (name, kind, offset) = (symbol.symbol_name, symbol.symbol_type, at - symbol.symbol_address);
            _ = write!(text, " A symbol of type {kind} names it: {name}, {offset} bytes from its start.");
        }
        let strings = self.strings.iter().flat_map(|rows| rows.columns().iter());
        let covering = |start: Option<u64>, size| start.is_some_and(|start| covers(start, size, at));
        for string in strings.filter(|row| covering(row.address, row.size)).take(1) {
            let start = string.address.unwrap_or_default();
            _ = write!(text, " It is in a string of {} bytes at {start:#x}.", string.size);
        }
    }

    /// Between which functions code lies that is in no block.
    fn tell_between(&self, text: &mut String) {
        let at = self.address;
        match self.lines.first() {
            Some(line) if line.is_padding => _ = write!(text, " It is padding (`{}`),", line.text),
            Some(line) if line.flow == Flow::Invalid => text.push_str(" It is no instruction, and lies"),
            Some(line) => _ = write!(text, " The instruction there would be `{}`; it lies", line.text),
            None => text.push_str(" It lies"),
        }
        let functions = || self.functions.iter().flat_map(|rows| rows.columns().iter());
        if let Some(function) = functions().find(|row| covers(row.address, row.size, at)) {
            let name = self.function_name(function.address);
            _ = write!(text, " in no block, between those of {name}.");
            return;
        }
        let before = functions().take_while(|row| row.address < at).last().map(|row| row.address);
        let behind = functions().find(|row| row.address > at).map(|row| row.address);
        _ = match (before, behind) {
            (Some(before), Some(behind)) => {
                let (before, behind) = (self.function_name(before), self.function_name(behind));
                write!(text, " in no function, between {before} and {behind}.")
            }
            (Some(before), None) => {
                write!(text, " in no function, behind {}, the last.", self.function_name(before))
            }
            (None, Some(behind)) => {
                write!(text, " in no function, before {}, the first.", self.function_name(behind))
            }
            (None, None) => write!(text, " in no function: none is known."),
        };
    }
}

/// Whether a range covers an address; a size of 0 covers its start.
fn covers(start: u64, size: u64, address: u64) -> bool {
    address >= start && (address - start < size || address == start)
}

/// `a`, `a and b`, `a, b and c`.
fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// What a kind of evidence means, to stand within a sentence.
fn reason<E: Enumeration>(evidence: E) -> String {
    let documented = E::DOCS[evidence.code() as usize].trim().trim_end_matches('.');
    let mut letters = documented.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
