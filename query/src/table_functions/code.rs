//! What refers to an address, and the flow graph of a function.

use super::program::{FunctionNames, Program, names, numbers, typed};
use super::{Answer, Argument, Column, TableFunction};
use crate::error::external;
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
    doc: "What refers to an address: instructions that go there, touch it or hold it, and pointers in data.",
    columns: &[
        Column::Address("address"),
        Column::Name("kind"),
        Column::Address("function_address"),
        Column::Name("function_name"),
    ],
    compute: xrefs,
};

pub(super) const CFG: TableFunction = TableFunction {
    name: "cfg",
    parameters: &["function"],
    doc: "The edges of a function's flow graph: from block to block, and why.",
    columns: &[
        Column::Address("source_address"),
        Column::Address("target_address"),
        Column::Name("kind"),
        Column::Name("evidence"),
        Column::Name("confidence"),
        Column::Address("function_address"),
    ],
    compute: cfg,
};

/// Something that refers to an address.
struct Reference {
    address: u64,
    kind: String,
    is_code: bool,
}

fn xrefs(program: &Program<'_>, arguments: &[Argument]) -> Result<Answer> {
    let Argument::Number(asked) = arguments[0] else {
        return plan_err!("xrefs takes an address, not `{}`", arguments[0]);
    };
    let mut found = Vec::new();
    for part in program.parts::<Instructions>()? {
        add_instructions(&part, asked, &mut found)?;
    }
    add_pointers(program, asked, &mut found)?;
    found.sort_by(|one, other| (one.address, &one.kind).cmp(&(other.address, &other.kind)));
    if found.is_empty() {
        return Ok(Some(vec![numbers([]), names::<&str>([]), numbers([]), names::<&str>([])]));
    }
    let functions = program.functions()?;
    let owners: Vec<_> =
        found.iter().map(|found| functions.at(found.address).filter(|_| found.is_code)).collect();
    Ok(Some(vec![
        numbers(found.iter().map(|found| Some(found.address))),
        names(found.iter().map(|found| Some(found.kind.as_str()))),
        numbers(owners.iter().copied()),
        names(owners.iter().map(|owner| functions.name((*owner)?))),
    ]))
}

fn add_instructions(part: &TablePart, asked: u64, found: &mut Vec<Reference>) -> Result<()> {
    let batch = part.rows().map_err(external)?;
    let touched = batch.column("mem_address").clone();
    let touched = touched.as_primitive::<UInt64Type>();
    let rows: Rows<Instructions> = typed(batch);
    for (instruction, touched) in rows.columns().iter().zip(touched) {
        let kind = if instruction.target == Some(asked) {
            Some(instruction.flow.name().to_owned())
        } else if touched == Some(asked) {
            Some(instruction.mem_access.map_or("address", |access| access.name()).to_owned())
        } else {
            is_constant(&instruction, asked).then(|| "constant".to_owned())
        };
        found.extend(kind.map(|kind| Reference { address: instruction.address, kind, is_code: true }));
    }
    Ok(())
}

/// Whether an instruction has the address as a number: one that is no address of anything is not asked for.
fn is_constant(instruction: &Instruction<'_>, asked: u64) -> bool {
    instruction.flow == Flow::Next
        && [instruction.immediate, instruction.immediate2]
            .iter()
            .flatten()
            .any(|number| *number as u64 == asked)
}

/// Adds what the file says are pointers.
fn add_pointers(program: &Program<'_>, asked: u64, found: &mut Vec<Reference>) -> Result<()> {
    let mut add = |address: u64, kind: &str, is_code: bool| {
        found.push(Reference { address, kind: kind.to_owned(), is_code });
    };
    for rows in program.rows::<BinaryRelocations>()? {
        let pointing = rows.columns().iter().filter(|row| {
            row.symbol_index.is_none() && row.addend.map(|addend| addend as u64) == Some(asked)
        });
        pointing.for_each(|row| add(row.address, "pointer", false));
    }
    for rows in program.rows::<BinaryInitializers>()? {
        let pointing = rows.columns().iter().filter(|row| row.function_address == Some(asked));
        pointing.filter_map(|row| row.slot_address).for_each(|slot| add(slot, "initializer", false));
    }
    for rows in program.rows::<JumpTableEntries>()? {
        let pointing = rows.columns().iter().filter(|row| row.target_address == asked);
        pointing.for_each(|row| add(row.jump_address, "jump_table", true));
    }
    Ok(())
}

fn cfg(program: &Program<'_>, arguments: &[Argument]) -> Result<Answer> {
    let functions: FunctionNames = program.functions()?;
    let asked = functions.asked_for(&arguments[0]);
    if asked.is_empty() {
        return Ok(None);
    }
    let (blocks, edges) = (program.rows::<BasicBlocks>()?, program.rows::<CfgEdges>()?);
    let blocks = blocks.iter().flat_map(|rows| rows.columns().iter());
    // Blocks stand in the order of their addresses.
    let own: Vec<_> = blocks
        .filter(|block| asked.contains(&block.function_address))
        .map(|block| (block.address, block.function_address))
        .collect();
    let owner = |address: u64| Some(own[own.binary_search_by_key(&address, |block| block.0).ok()?].1);
    let all = edges.iter().flat_map(|rows| rows.columns().iter());
    let edges: Vec<_> = all.filter_map(|edge| Some((edge, owner(edge.source_address)?))).collect();
    Ok(Some(vec![
        numbers(edges.iter().map(|(edge, _)| Some(edge.source_address))),
        numbers(edges.iter().map(|(edge, _)| edge.target_address)),
        names(edges.iter().map(|(edge, _)| Some(edge.kind.name()))),
        names(edges.iter().map(|(edge, _)| Some(edge.evidence.name()))),
        names(edges.iter().map(|(edge, _)| Some(edge.confidence.name()))),
        numbers(edges.iter().map(|(_, owner)| Some(*owner))),
    ]))
}
