//! Explanation of an address in sentences: what is there, and the evidence for it.

use crate::facts::{Facts, Line, covers};
use binframe::ir::Enumeration;
use binframe::ir::tables::{BasicBlock, BlockEvidence, CallKind, CfgEdge, EdgeEvidence, Flow, Terminator};
use binframe::{Error, Source};
use std::fmt::Write as _;

/// Maximal number of items in a list: edges into a block, entries of a jump table, symbols.
const LISTED_MAX: usize = 6;

/// Explains an address of a binary in a paragraph. In code, it names the instruction, block, loop and function, the
/// evidence of each, and the callee. Elsewhere, it names the section, the data, or the neighbouring functions. Tables
/// that the source does not have are left out.
pub fn explain(source: &Source, binary: &str, address: u64) -> Result<String, Error> {
    let facts = Facts::read(source, binary, address)?;
    let mut text = String::new();
    match facts.block_at(address) {
        Some(block) => facts.describe_code(&mut text, &block),
        None => facts.describe_other(&mut text),
    }
    Ok(text)
}

impl Facts {
    /// Describes an address in a block.
    fn describe_code(&self, text: &mut String, block: &BasicBlock) {
        let at = self.address;
        let position = self.lines.iter().position(|line| covers(line.address, line.size, at));
        let range = format!("{:#x}..{:#x}", block.address, block.address + block.size);
        let count = block.instruction_count;
        _ = match position.map(|position| (position + 1, &self.lines[position])) {
            Some((number, line)) if line.address == at => {
                write!(
                    text,
                    "{at:#x} `{}` is instruction {number} of {count} of the block {range}",
                    line.text
                )
            }
            Some((number, line)) => write!(
                text,
                "{at:#x} lies inside `{}` at {:#x}, instruction {number} of {count} of the block {range}",
                line.text, line.address
            ),
            None => write!(text, "{at:#x} lies in the block {range}"),
        };
        self.describe_entry(text, block);
        self.describe_function(text, block);
        if let Some(line) = position.map(|position| &self.lines[position]) {
            describe_context(text, block, line);
            self.describe_jump(text, line);
            self.describe_call(text, line);
        }
    }

    /// Describes how control enters a block.
    fn describe_entry(&self, text: &mut String, block: &BasicBlock) {
        let mut entries = Vec::new();
        if block.address == block.function_address {
            entries.push("by the function's start".to_owned());
        }
        let mut edges = self.edges.columns().iter().filter(|edge| edge.target_address == Some(block.address));
        entries.extend(edges.by_ref().take(LISTED_MAX).map(|edge| self.describe_edge(&edge)));
        match edges.count() {
            0 => {}
            1 => entries.push("by 1 other edge".to_owned()),
            more => entries.push(format!("by {more} other edges")),
        }
        if !entries.is_empty() {
            _ = write!(text, ", which is entered {}", listed(&entries));
        }
        if block.evidence == BlockEvidence::Gap {
            text.push_str(", which no known path from the function's start reaches");
        }
        text.push('.');
    }

    /// An edge into a block, with its evidence.
    fn describe_edge(&self, edge: &CfgEdge) -> String {
        let (kind, from) = (edge.kind.name(), edge.source_address);
        let mut evidence = edge.evidence.name().to_owned();
        let source = self.block_at(from);
        let table = source.and_then(|block| self.jump_table(|jump| covers(block.address, block.size, jump)));
        if let (EdgeEvidence::JumpTable, Some(table)) = (edge.evidence, table) {
            let entries = self.entries.columns().iter().filter(|entry| {
                entry.jump_address == table.jump_address && Some(entry.target_address) == edge.target_address
            });
            let mut numbers: Vec<_> = entries.map(|entry| entry.entry_index.to_string()).collect();
            let more = numbers.len().saturating_sub(LISTED_MAX);
            numbers.truncate(LISTED_MAX);
            if more > 0 {
                numbers.push(format!("{more} more"));
            }
            let (plural, bound) = (if numbers.len() == 1 { "y" } else { "ies" }, table.bound_evidence.name());
            let start = table.table_address;
            evidence =
                format!("jump table at {start:#x}, entr{plural} {}, bound by {bound}", listed(&numbers));
        }
        format!("by `{kind}` from {from:#x} ({evidence}; {})", edge.confidence.name())
    }

    /// Describes the function and loop of a block, with the evidence for the function.
    fn describe_function(&self, text: &mut String, block: &BasicBlock) {
        let start = block.function_address;
        _ = write!(text, " It belongs to {}", self.function_name(start));
        let mut parts = self.parts.columns().iter();
        if let Some(part) = parts.find(|part| covers(part.address, part.size, block.address)) {
            let (evidence, reason) = (part.evidence.name(), reason(part.evidence));
            _ = write!(text, ", as its part at {:#x} ({evidence}: {reason})", part.address);
        }
        if let Some(header) = block.loop_header_address {
            let depth = block.loop_depth;
            match header == block.address {
                true => _ = write!(text, ", and begins a loop (depth {depth})"),
                false => _ = write!(text, ", in the loop that {header:#x} begins (depth {depth})"),
            }
        }
        text.push('.');
        let Some(function) = self.function_at(start) else { return };
        let (evidence, confidence) = (function.evidence.name(), function.confidence.name());
        let reason = reason(function.evidence);
        _ = write!(text, " The function begins at {start:#x} ({evidence}, {confidence}): {reason}.");
        text.push_str(if function.may_return { " It may return." } else { " It never returns." });
    }

    /// Describes the targets of an indirect jump.
    fn describe_jump(&self, text: &mut String, line: &Line) {
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
        } else if line.flow == Flow::IndirectJump
            && !self.calls.columns().iter().any(|call| call.call_address == line.address)
        {
            text.push_str(" The instruction jumps to an unknown address.");
        }
    }

    /// Describes the callee of a call or tail call.
    fn describe_call(&self, text: &mut String, line: &Line) {
        let Some(call) = self.calls.columns().iter().find(|call| call.call_address == line.address) else {
            return;
        };
        let callee = match (call.callee_address, call.import_name) {
            (Some(callee), Some(import)) => {
                format!("the imported {import}, through {}", self.function_name(callee))
            }
            (Some(callee), None) => self.function_name(callee),
            (None, Some(import)) => format!("the imported {import}"),
            (None, None) => "an unknown function".to_owned(),
        };
        let action = if call.kind == CallKind::Tail { "tail-calls" } else { "calls" };
        let (kind, evidence, confidence) = (call.kind.name(), call.evidence.name(), call.confidence.name());
        let returns = if call.may_return { "may return" } else { "never returns" };
        _ = write!(
            text,
            " The instruction {action} {callee} ({kind}, {evidence}; {confidence}), which {returns}."
        );
        let function = call.callee_address.and_then(|callee| self.function_at(callee));
        let is_status = |name: &str| ["error", "error_at_line"].contains(&name);
        let passes_status = call.import_name.is_some_and(is_status)
            || function.is_some_and(|function| function.function_name.is_some_and(is_status));
        if passes_status && !call.may_return {
            text.push_str(" It passes an exit status that is not 0.");
        }
    }

    /// Describes an address that is not in a block.
    fn describe_other(&self, text: &mut String) {
        let at = self.address;
        let mut sections = self.sections.columns().iter();
        let section = sections.find(|row| row.is_readable && covers(row.address, row.size, at));
        _ = match &section {
            Some(row) => {
                let (name, offset, permissions) = (row.section_name, at - row.address, row.permissions);
                write!(text, "{at:#x} lies in {name} ({permissions}), {offset} bytes from its start.")
            }
            None => write!(text, "{at:#x} lies in no section."),
        };
        self.describe_jump_table_entry(text);
        self.describe_data(text);
        if section.is_some_and(|row| row.is_executable) {
            self.describe_gap(text);
        }
    }

    /// Describes the entries of jump tables at the address.
    fn describe_jump_table_entry(&self, text: &mut String) {
        let at = self.address;
        for table in self.jump_tables.columns().iter().filter(|table| table.entry_size > 0) {
            let (start, entry_size) = (table.table_address, u64::from(table.entry_size));
            if !covers(start, entry_size.saturating_mul(table.entry_count.into()), at) {
                continue;
            }
            let (index, jump) = ((at - start) / entry_size, table.jump_address);
            _ = write!(
                text,
                " It is in entry {index} of the jump table at {start:#x} of the jump at {jump:#x}"
            );
            let mut entries = self.entries.columns().iter();
            let entry = entries.find(|row| row.jump_address == jump && u64::from(row.entry_index) == index);
            _ = match entry {
                Some(entry) => write!(text, ", whose target is {:#x}.", entry.target_address),
                None => write!(text, ", which has no target in the function."),
            };
        }
    }

    /// Describes the import slots, symbols and strings at the address.
    fn describe_data(&self, text: &mut String) {
        let at = self.address;
        for import in self.imports.columns().iter().filter(|import| import.slot_address == Some(at)) {
            let name = import.import_name.unwrap_or("function without a name");
            _ = write!(text, " The loader stores the address of the imported {name} there.");
        }
        let symbols = self.symbols.columns().iter().filter(|row| {
            row.section_index.is_some()
                && row.symbol_type != "tls"
                && covers(row.symbol_address, row.symbol_size, at)
        });
        for symbol in symbols.take(LISTED_MAX) {
            let (name, kind, offset) = (symbol.symbol_name, symbol.symbol_type, at - symbol.symbol_address);
            _ = write!(text, " A symbol of type {kind} names it: {name}, {offset} bytes from its start.");
        }
        let covering = |start: Option<u64>, size| start.is_some_and(|start| covers(start, size, at));
        if let Some(string) = self.strings.columns().iter().find(|row| covering(row.address, row.size)) {
            let start = string.address.unwrap_or_default();
            _ = write!(text, " It is in a string of {} bytes at {start:#x}.", string.size);
        }
    }

    /// Describes an address of an executable section that is not in a block: the instruction there, and the functions
    /// around it.
    fn describe_gap(&self, text: &mut String) {
        let at = self.address;
        match self.lines.first() {
            Some(line) if line.is_padding => _ = write!(text, " It is padding (`{}`),", line.text),
            Some(line) if line.flow == Flow::Invalid => text.push_str(" It is an invalid instruction,"),
            Some(line) => _ = write!(text, " The instruction there would be `{}`; it lies", line.text),
            None => text.push_str(" It lies"),
        }
        let functions = || self.functions.columns().iter();
        if let Some(function) = functions().find(|row| covers(row.address, row.size, at)) {
            let name = self.function_name(function.address);
            _ = write!(text, " in no block, between those of {name}.");
            return;
        }
        let before = functions().take_while(|row| row.address < at).last();
        let after = functions().find(|row| row.address > at);
        let [before, after] =
            [before, after].map(|function| function.map(|row| self.function_name(row.address)));
        _ = match (before, after) {
            (Some(before), Some(after)) => write!(text, " in no function, between {before} and {after}."),
            (Some(before), None) => write!(text, " in no function, after {before}, the last one."),
            (None, Some(after)) => write!(text, " in no function, before {after}, the first one."),
            (None, None) => write!(text, " in no function: none is known."),
        };
    }
}

/// `a`, `a and b`, `a, b and c`.
fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Documentation of a kind of evidence, without capital and full stop.
fn reason<E: Enumeration>(evidence: E) -> String {
    let documented = E::DOCS[evidence.code() as usize].trim().trim_end_matches('.');
    let mut letters = documented.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// Describes why the last instruction of a block does something else than its encoding says.
fn describe_context(text: &mut String, block: &BasicBlock, line: &Line) {
    if line.address + line.size != block.address + block.size {
        return;
    }
    text.push_str(match (block.terminator, line.flow) {
        (Terminator::Jump, Flow::Call) => " The callee takes its return address, so the call is a jump.",
        (Terminator::Jump, Flow::Ret) => " Its target was pushed before, so the return is a jump.",
        (Terminator::IndirectJump, Flow::Ret) => {
            " The return address was overwritten before, so the return is an indirect jump."
        }
        (Terminator::Call | Terminator::CallNoReturn, Flow::Jump | Flow::Ret) => {
            " The address behind it was pushed before, so it is a call."
        }
        (Terminator::Trap, Flow::Next) => " The system call ends the process.",
        _ => "",
    });
}
