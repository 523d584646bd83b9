//! Debug information with cyclic references or deep nesting.

use super::reports::Reports;
use super::sections::{BuildBudget, DebugSections};
use super::tables;
use crate::file::sections::SectionsIr;
use binframe_ir::tables::{DebugFunctions, DebugTypes, DebugVariables};
use binframe_ir::{Batch, Rows, Table};

/// For each abbreviation: code, tag, whether it has children, then names and forms of attributes.
const ABBREVIATIONS: &[u8] = &[
    1, 0x11, 1, 0, 0, // a compilation unit
    2, 0x2e, 1, 0x11, 0x01, 0x12, 0x06, 0x31, 0x13, 0, 0, // a function: address, size, origin
    3, 0x34, 0, 0x49, 0x13, 0x31, 0x13, 0, 0, // a variable: type, origin
    4, 0x26, 0, 0x49, 0x13, 0, 0, // a constant type: type
    5, 0x01, 0, 0x49, 0x13, 0, 0, // an array: type
    6, 0x0b, 1, 0, 0, // a block
    0,
];

/// A DWARF 4 unit with the given entries. The first entry is at offset 11.
fn unit(entries: &[u8]) -> Vec<u8> {
    let mut unit = ((entries.len() + 7) as u32).to_le_bytes().to_vec();
    unit.extend([4, 0, 0, 0, 0, 0, 8]);
    unit.extend(entries);
    unit
}

/// An entry whose attributes are references.
fn reference_entry(code: u8, offsets: &[u32]) -> Vec<u8> {
    [code].into_iter().chain(offsets.iter().flat_map(|offset| offset.to_le_bytes())).collect()
}

/// A function of 16 bytes whose origin is the entry at offset 12.
fn function() -> Vec<u8> {
    [&[2], &0x1000_u64.to_le_bytes()[..], &16_u32.to_le_bytes(), &12_u32.to_le_bytes()].concat()
}

/// The tables of a `.debug_info` section.
fn read(info: &[u8]) -> Vec<Batch> {
    let main = DebugSections::of(&[(".debug_info", info), (".debug_abbrev", ABBREVIATIONS)]);
    let sections = SectionsIr {
        headers: Rows::default(),
        segments: Rows::default(),
        sections: Rows::default(),
        symbols: Rows::default(),
        unwind_entries: Rows::default(),
        diagnostics: Rows::default(),
    };
    let mut reports = Reports::new(0);
    let parts = tables(&main, &sections, &[], &mut BuildBudget::of(0), &mut reports);
    assert!(reports.collector.finish().is_empty());
    parts
}

fn rows<T: Table>(parts: &[Batch]) -> Rows<T> {
    let batch = parts.iter().find(|batch| batch.info() == T::INFO).expect("the table has rows");
    Rows::from_batch(batch.clone()).expect("rows of the table")
}

#[test]
fn cyclic_references_terminate() {
    let mut entries = vec![1];
    // At 12, a function that is its own origin.
    entries.extend(function());
    // At 29 and 38, variables that are origins of each other, of cyclic types.
    entries.extend(reference_entry(3, &[48, 38]));
    entries.extend(reference_entry(3, &[53, 29]));
    entries.push(0);
    // At 48, an array of itself; at 53 and 58, types derived from each other.
    entries.extend(reference_entry(5, &[48]));
    entries.extend(reference_entry(4, &[58]));
    entries.extend(reference_entry(4, &[53]));
    entries.push(0);
    let parts = read(&unit(&entries));
    let functions = rows::<DebugFunctions>(&parts);
    assert_eq!(
        functions.columns().iter().map(|row| (row.address, row.size, row.function_name)).collect::<Vec<_>>(),
        [(0x1000, 16, None)]
    );
    let variables = rows::<DebugVariables>(&parts);
    assert_eq!(variables.len(), 2);
    for variable in variables.columns().iter() {
        assert_eq!(variable.size, None);
        assert!(variable.type_name.is_some_and(|name| name.starts_with('?')), "{variable:?}");
    }
    let types = rows::<DebugTypes>(&parts);
    let targets: Vec<_> = types.columns().iter().map(|row| row.target_type_index).collect();
    assert_eq!(targets, [Some(0), Some(2), Some(1)]);
}

#[test]
fn deep_nesting_does_not_exhaust_the_stack() {
    const BLOCKS: usize = 1_000_000;
    let mut entries = vec![1];
    entries.extend(function());
    entries.extend([6].repeat(BLOCKS));
    entries.extend(reference_entry(3, &[0, 0]));
    entries.extend([0].repeat(BLOCKS + 2));
    let parts = read(&unit(&entries));
    let variables = rows::<DebugVariables>(&parts);
    assert_eq!(variables.columns().row(0).function_index, Some(0));
    assert_eq!(variables.columns().row(0).scope_address, Some(0x1000));
}
