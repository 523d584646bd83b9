//! Invariants that hold for the tables of any input: rows conform to the declarations of their tables, the `cfg`
//! tables have the invariants of [`control_flow`], and the extents cover the file exactly.

use crate::control_flow;
use crate::lowering::{self, Tables};
use binframe::ir::tables::{BinaryExtent, BinaryExtents, BinarySections, Diagnostics, ExtentOwner};
use binframe::ir::{
    Batch, Reference, Rows, TABLES, Table, TableInfo, reference_values, references, validate,
};
use binframe::passes::Unsupported;
use binframe::passes::file::sections;
use bytes::Bytes;
use std::collections::BTreeMap;

/// Computes the tables of a file and of its members, and returns all violations of the invariants.
pub fn violations(file: &Bytes) -> Result<Vec<String>, Unsupported> {
    let tables = lowering::try_tables(file)?;
    let mut violations = control_flow::violations(&tables);
    let tables = batches(tables);
    violations.extend(invalid_rows(&tables));
    violations.extend(extent_violations(file, &rows(&tables), &rows(&tables)));
    for member in sections::members(file) {
        match self::violations(&member.bytes) {
            Ok(found) => {
                violations.extend(found.into_iter().map(|found| format!("{}: {found}", member.name)));
            }
            Err(error) => violations.push(format!("{} is a member, but {error}", member.name)),
        }
    }
    Ok(violations)
}

fn batches(tables: Tables) -> Vec<Batch> {
    let Tables { lowered, instructions, memory_accesses, data_flow_edges } = tables;
    let outputs = lowered.outputs();
    let computed = [instructions.batch(), memory_accesses.batch(), data_flow_edges.batch()];
    let all: Vec<&Batch> = outputs.iter().flat_map(|output| output.batches()).chain(computed).collect();
    // A pass may produce several batches of a large table. Diagnostics of different passes are not concatenated.
    let is_same = |one: &TableInfo, next: &TableInfo| one == next && one != Diagnostics::INFO;
    let tables = all.chunk_by(|one, next| is_same(one.info(), next.info()));
    tables
        .map(|batches| Batch::concat(&batches.iter().map(|batch| (*batch).clone()).collect::<Vec<_>>()))
        .collect()
}

/// The rows of a table that one pass produces.
fn rows<T: Table>(tables: &[Batch]) -> Rows<T> {
    let batch = tables.iter().find(|batch| batch.info() == T::INFO);
    Rows::from_batch(batch.expect("every table is computed").clone()).expect("the batch is of this table")
}

/// Rows that violate the declaration of their table.
fn invalid_rows(tables: &[Batch]) -> Vec<String> {
    let mut targets = BTreeMap::new();
    for Reference { table, targets: columns, .. } in TABLES.iter().flat_map(|table| references(table)) {
        let batches = tables.iter().filter(|batch| batch.info().name == table);
        let mut values: Vec<u64> =
            batches.flat_map(|batch| reference_values(batch, &columns).flatten()).collect();
        values.sort_unstable();
        targets.insert((table, columns), values);
    }
    let known =
        |reference: &Reference| targets.get(&(reference.table, reference.targets.clone())).map(Vec::as_slice);
    let violations = tables.iter().flat_map(|batch| validate(batch, None, &known));
    violations.map(|violation| violation.to_string()).collect()
}

/// Extents that are not contiguous, or whose stored bytes differ from the file.
fn extent_violations(
    file: &Bytes,
    sections: &Rows<BinarySections>,
    extents: &Rows<BinaryExtents>,
) -> Vec<String> {
    let members = sections::members(file);
    let contents = sections.columns();
    let contents = contents.iter().map(|section| (section.section_index, section));
    let contents: BTreeMap<u32, _> =
        contents.map(|(index, section)| (index, (section.file_offset, section.content))).collect();
    let mut violations = Vec::new();
    let mut end = 0;
    for extent in extents.columns().iter() {
        let BinaryExtent { file_offset, size, owner_kind: owner, section_index, member_index, content } =
            extent;
        let place =
            format!("{size:#x} bytes at {file_offset:#x} of {owner:?} {section_index:?} {member_index:?}");
        if file_offset != end || size == 0 {
            violations.push(format!(
                "{place} are empty or do not start at the end of the previous extent, {end:#x}"
            ));
        }
        end = file_offset.saturating_add(size);
        let stored = match (content, owner) {
            (Some(content), _) => Some((file_offset, content)),
            (None, ExtentOwner::Section) => section_index.and_then(|index| contents.get(&index).copied()),
            (None, ExtentOwner::Member) => member_index
                .and_then(|index| members.get(index as usize))
                .map(|member| (member.range.start, member.bytes.as_ref())),
            (None, _) => None,
        };
        let found = stored.and_then(|(start, bytes)| {
            let from = usize::try_from(file_offset.checked_sub(start)?).ok()?;
            bytes.get(from..from.checked_add(size as usize)?)
        });
        let expected = file.get(file_offset as usize..end as usize);
        if expected.is_none() || found != expected {
            violations.push(format!("{place} differ from the file"));
        }
    }
    if end != file.len() as u64 {
        violations.push(format!("the extents end at {end:#x}, the file at {:#x}", file.len()));
    }
    violations
}
