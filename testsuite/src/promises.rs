//! What the tables of any file keep, however broken it is: rows are what their tables declare, control flow is
//! that of [`control_flow`], and extents are the file.

use crate::control_flow;
use crate::lowering::{self, Tables};
use binframe::ir::tables::{BinarySections, Diagnostics, ExtentOwner, FileExtent, FileExtents};
use binframe::ir::{Batch, Rows, TABLES, Table, TableInfo, integers, validate};
use binframe::passes::Unsupported;
use binframe::passes::file::sections;
use bytes::Bytes;
use std::collections::BTreeMap;

/// Lowers a file and the members that it has through all passes, and says what is not as promised.
pub fn broken(file: &Bytes) -> Result<Vec<String>, Unsupported> {
    let tables = lowering::try_tables(file)?;
    let mut broken = control_flow::broken(&tables);
    let tables = batches(tables);
    broken.extend(invalid_rows(&tables));
    broken.extend(unlike_file(file, &rows(&tables), &rows(&tables)));
    for member in sections::members(file) {
        match self::broken(&member.bytes) {
            Ok(found) => broken.extend(found.into_iter().map(|found| format!("{}: {found}", member.name))),
            Err(error) => broken.push(format!("{} is a member, but {error}", member.name)),
        }
    }
    Ok(broken)
}

/// The tables of all passes over one file; each pass that has diagnostics has a table of them.
pub fn all_tables(file: &Bytes) -> Result<Vec<Batch>, Unsupported> {
    lowering::try_tables(file).map(batches)
}

fn batches(tables: Tables) -> Vec<Batch> {
    let Tables { lowered, instructions, memory_accesses, data_flow } = tables;
    let outputs = lowered.outputs();
    let computed = [instructions.batch(), memory_accesses.batch(), data_flow.batch()];
    let all: Vec<&Batch> = outputs.iter().flat_map(|output| output.batches()).chain(computed).collect();
    // A large table of a pass has several batches; diagnostics of two passes stay apart.
    let is_same = |one: &TableInfo, next: &TableInfo| one == next && one != Diagnostics::INFO;
    let tables = all.chunk_by(|one, next| is_same(one.info(), next.info()));
    tables
        .map(|batches| Batch::concat(&batches.iter().map(|batch| (*batch).clone()).collect::<Vec<_>>()))
        .collect()
}

/// The rows of a table that one pass makes.
fn rows<T: Table>(tables: &[Batch]) -> Rows<T> {
    let batch = tables.iter().find(|batch| batch.info() == T::INFO);
    Rows::from_batch(batch.expect("every table is made").clone()).expect("it is of this table")
}

/// Rows that break the declaration of their table.
fn invalid_rows(tables: &[Batch]) -> Vec<String> {
    let mut targets = BTreeMap::new();
    for (table, column) in
        TABLES.iter().flat_map(|table| table.columns.iter().filter_map(|column| column.references))
    {
        let batches = tables.iter().filter(|batch| batch.info().name == table);
        let mut values: Vec<u64> =
            batches.flat_map(|batch| integers(batch.column(column)).flatten()).collect();
        values.sort_unstable();
        targets.insert((table, column), values);
    }
    let known = |table: &str, column: &str| {
        targets.iter().find(|(key, _)| **key == (table, column)).map(|(_, values)| values.as_slice())
    };
    let violations = tables.iter().flat_map(|batch| validate(batch, None, &known));
    violations.map(|violation| violation.to_string()).collect()
}

/// Extents that do not follow each other, or whose bytes, wherever they stand, are not those of the file.
fn unlike_file(file: &Bytes, sections: &Rows<BinarySections>, extents: &Rows<FileExtents>) -> Vec<String> {
    let members = sections::members(file);
    let contents = sections.columns();
    let contents = contents.iter().map(|section| (section.section_index, section));
    let contents: BTreeMap<u32, _> =
        contents.map(|(index, section)| (index, (section.file_offset, section.content))).collect();
    let mut broken = Vec::new();
    let mut end = 0;
    for extent in extents.columns().iter() {
        let FileExtent { file_offset, size, owner, section_index, member_index, content } = extent;
        let place =
            format!("{size:#x} bytes at {file_offset:#x} of {owner:?} {section_index:?} {member_index:?}");
        if file_offset != end || size == 0 {
            broken.push(format!("{place} follow those before {end:#x}"));
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
            broken.push(format!("{place} are not those of the file"));
        }
    }
    if end != file.len() as u64 {
        broken.push(format!("the extents end at {end:#x}, the file at {:#x}", file.len()));
    }
    broken
}
