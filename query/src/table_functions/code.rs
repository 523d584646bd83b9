//! Table functions of code: references to an address, and the control-flow graph of a function.

use super::definition::{Answer, Argument, Column, TableFunction, numbers, texts};
use crate::error::external;
use crate::program::Program;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use binframe::TablePart;
use binframe::ir::tables::{
    BasicBlocks, BinaryInitializers, BinaryRelocations, CfgEdges, Flow, Instruction, Instructions,
    JumpTableEntries,
};
use binframe::ir::{Enumeration, Rows};
use datafusion::common::{Result, plan_err};

pub(super) const XREFS: TableFunction = TableFunction {
    name: "xrefs",
    parameters: &["address"],
    doc: "References to an address: branches to it, accesses of it, instructions with it as a constant, and pointers in data.",
    columns: &[
        Column::Address("address"),
        Column::Text("kind"),
        Column::Address("function_address"),
        Column::Text("function_name"),
    ],
    compute: xrefs,
};

pub(super) const CFG: TableFunction = TableFunction {
    name: "cfg",
    parameters: &["function"],
    doc: "The edges of a function's control-flow graph, with their kind, evidence and confidence.",
    columns: &[
        Column::Address("source_address"),
        Column::Address("target_address"),
        Column::Text("kind"),
        Column::Text("evidence"),
        Column::Text("confidence"),
        Column::Address("function_address"),
    ],
    compute: cfg,
};

/// A reference to an address.
struct Reference {
    /// Address of the instruction or the pointer.
    address: u64,
    kind: String,
    is_code: bool,
}

fn xrefs(program: &Program<'_>, arguments: &[Argument]) -> Result<Answer> {
    let Argument::Number(target) = arguments[0] else {
        return plan_err!("xrefs takes an address, not `{}`", arguments[0]);
    };
    let mut found = Vec::new();
    for part in program.parts::<Instructions>()? {
        add_instructions(&part, target, &mut found)?;
    }
    add_pointers(program, target, &mut found)?;
    found.sort_by(|one, other| (one.address, &one.kind).cmp(&(other.address, &other.kind)));
    if found.is_empty() {
        return Ok(Some(vec![numbers([]), texts::<&str>([]), numbers([]), texts::<&str>([])]));
    }
    let functions = program.functions()?;
    let owners: Vec<_> =
        found.iter().map(|found| functions.at(found.address).filter(|_| found.is_code)).collect();
    Ok(Some(vec![
        numbers(found.iter().map(|found| Some(found.address))),
        texts(found.iter().map(|found| Some(found.kind.as_str()))),
        numbers(owners.iter().copied()),
        texts(owners.iter().map(|owner| functions.name((*owner)?))),
    ]))
}

/// Adds the instructions of a part that refer to `target`.
fn add_instructions(part: &TablePart, target: u64, found: &mut Vec<Reference>) -> Result<()> {
    let batch = part.rows().map_err(external)?;
    let accessed = batch.column("mem_address").clone();
    let accessed = accessed.as_primitive::<UInt64Type>();
    let rows = Rows::<Instructions>::from_batch(batch).expect("parts are of the requested table");
    for (instruction, accessed) in rows.columns().iter().zip(accessed) {
        let kind = if instruction.target_address == Some(target) {
            Some(instruction.flow.name().to_owned())
        } else if accessed == Some(target) {
            Some(instruction.mem_access.map_or("address", |access| access.name()).to_owned())
        } else {
            is_constant(&instruction, target).then(|| "constant".to_owned())
        };
        found.extend(kind.map(|kind| Reference { address: instruction.address, kind, is_code: true }));
    }
    Ok(())
}

/// Whether an instruction that is not a branch has the address as an immediate operand.
fn is_constant(instruction: &Instruction<'_>, target: u64) -> bool {
    instruction.flow == Flow::Next
        && [instruction.immediate, instruction.immediate2]
            .iter()
            .flatten()
            .any(|number| *number as u64 == target)
}

/// Adds the pointers to `target` that relocations, initializers and jump tables state.
fn add_pointers(program: &Program<'_>, target: u64, found: &mut Vec<Reference>) -> Result<()> {
    let mut add = |address: u64, kind: &str, is_code: bool| {
        found.push(Reference { address, kind: kind.to_owned(), is_code });
    };
    for rows in program.rows::<BinaryRelocations>()? {
        let pointing = rows.columns().iter().filter(|row| {
            row.symbol_index.is_none() && row.addend.map(|addend| addend as u64) == Some(target)
        });
        pointing.for_each(|row| add(row.address, "pointer", false));
    }
    for rows in program.rows::<BinaryInitializers>()? {
        let pointing = rows.columns().iter().filter(|row| row.function_address == Some(target));
        pointing.filter_map(|row| row.slot_address).for_each(|slot| add(slot, "initializer", false));
    }
    for rows in program.rows::<JumpTableEntries>()? {
        let pointing = rows.columns().iter().filter(|row| row.target_address == target);
        pointing.for_each(|row| add(row.jump_address, "jump_table", true));
    }
    Ok(())
}

fn cfg(program: &Program<'_>, arguments: &[Argument]) -> Result<Answer> {
    let functions = program.functions()?;
    let named = arguments[0].functions(&functions);
    if named.is_empty() {
        return Ok(None);
    }
    let (blocks, edges) = (program.rows::<BasicBlocks>()?, program.rows::<CfgEdges>()?);
    let blocks = blocks.iter().flat_map(|rows| rows.columns().iter());
    // Blocks are sorted by address.
    let own: Vec<_> = blocks
        .filter(|block| named.contains(&block.function_address))
        .map(|block| (block.address, block.function_address))
        .collect();
    let owner = |address: u64| Some(own[own.binary_search_by_key(&address, |block| block.0).ok()?].1);
    let all = edges.iter().flat_map(|rows| rows.columns().iter());
    let edges: Vec<_> = all.filter_map(|edge| Some((edge, owner(edge.source_address)?))).collect();
    Ok(Some(vec![
        numbers(edges.iter().map(|(edge, _)| Some(edge.source_address))),
        numbers(edges.iter().map(|(edge, _)| edge.target_address)),
        texts(edges.iter().map(|(edge, _)| Some(edge.kind.name()))),
        texts(edges.iter().map(|(edge, _)| Some(edge.evidence.name()))),
        texts(edges.iter().map(|(edge, _)| Some(edge.confidence.name()))),
        numbers(edges.iter().map(|(_, owner)| Some(*owner))),
    ]))
}
