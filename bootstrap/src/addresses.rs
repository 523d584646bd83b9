//! Selection of rows by address: `(rows, address ranges) -> positions of rows`.

use binframe_ir::tables::{BinarySections, BinarySymbols, SymbolType};
use binframe_ir::{Batch, ColumnInfo, Enumeration, Rows, TableInfo, integers};
use std::ops::Range;

/// Column by which rows are selected: the start address if rows cover address ranges; otherwise the first column of
/// addresses in the key, or else in the table. `None` for a table without addresses.
pub fn address_column(table: &'static TableInfo) -> Option<&'static str> {
    let is_key = |column: &&ColumnInfo| table.key.contains(&column.name);
    let mut addresses = table.columns.iter().filter(|column| column.is_address());
    let named = || addresses.clone().find(is_key).or_else(|| addresses.next()).map(|column| column.name);
    table.span.map(|(start, _)| start).or_else(named)
}

/// Positions of the rows that cover an address of one of the ranges or, in tables whose rows cover no range, whose
/// [`address_column`] is in one. A row of size 0 is at its start address.
pub fn rows_in(batch: &Batch, ranges: &[Range<u64>]) -> Vec<u32> {
    let Some(column) = address_column(batch.info()) else { return Vec::new() };
    let sizes: Vec<_> = match batch.info().span {
        Some((_, size)) => integers(batch.column(size)).map(Option::unwrap_or_default).collect(),
        None => vec![0; batch.rows()],
    };
    let overlaps = |start: u64, size: u64, range: &Range<u64>| {
        start < range.end && (start >= range.start || range.start - start < size)
    };
    let sections = Rows::<BinarySections>::from_batch(batch.clone());
    let symbols = Rows::<BinarySymbols>::from_batch(batch.clone());
    // Sections that are not loaded have no address; neither have undefined, absolute and thread-local symbols.
    let has_address = |row: usize| match (&sections, &symbols) {
        (Some(sections), _) => sections.columns().row(row).is_readable,
        (_, Some(symbols)) => {
            let symbol = symbols.columns().row(row);
            symbol.section_index.is_some() && symbol.symbol_type != SymbolType::Tls.name()
        }
        (None, None) => true,
    };
    let is_selected = |(row, start): (usize, Option<u64>)| {
        let is_inside =
            ranges.iter().any(|range| start.is_some_and(|start| overlaps(start, sizes[row], range)));
        (is_inside && has_address(row)).then_some(row as u32)
    };
    integers(batch.column(column)).enumerate().filter_map(is_selected).collect()
}

#[cfg(test)]
mod tests {
    use super::{address_column, rows_in};
    use binframe_ir::tables::{
        BasicBlocks, Binaries, BinaryHeaders, BinarySections, BinarySymbols, CfgEdges, Diagnostics,
        Functions, MemoryAccesses, MemoryRegions, StackFrames,
    };
    use binframe_ir::{Table, TableInfo, from_text};

    /// Positions of the rows in ranges, each given by start and end.
    fn selected(table: &'static TableInfo, text: &str, ranges: &[(u64, u64)]) -> Vec<u32> {
        let ranges: Vec<_> = ranges.iter().map(|(start, end)| *start..*end).collect();
        rows_in(&from_text(table, text).unwrap(), &ranges)
    }

    #[test]
    fn rows_are_selected_by_span_then_key_then_any_address() {
        let expected = [
            (Functions::INFO, Some("address")),
            (MemoryRegions::INFO, Some("start_address")),
            (CfgEdges::INFO, Some("source_address")),
            (MemoryAccesses::INFO, Some("instruction_address")),
            (StackFrames::INFO, Some("function_address")),
            (BinaryHeaders::INFO, Some("entry_address")),
            (Diagnostics::INFO, Some("address")),
            (Binaries::INFO, None),
        ];
        for (table, column) in expected {
            assert_eq!(address_column(table), column, "{}", table.name);
        }
    }

    #[test]
    fn rows_that_overlap_a_range_are_selected() {
        let blocks = "address | size\n0x10 | 8\n0x18 | 8\n0x20 | 0\n0x20 | 16";
        assert_eq!(selected(BasicBlocks::INFO, blocks, &[(0x17, 0x18)]), [0]);
        assert_eq!(selected(BasicBlocks::INFO, blocks, &[(0x18, 0x19)]), [1]);
        assert_eq!(selected(BasicBlocks::INFO, blocks, &[(0x1f, 0x21)]), [1, 2, 3]);
        assert_eq!(selected(BasicBlocks::INFO, blocks, &[(0x21, 0x22)]), [3]);
        assert_eq!(selected(BasicBlocks::INFO, blocks, &[(0x0, 0x10), (0x30, 0x40)]), [] as [u32; 0]);
        assert_eq!(selected(BasicBlocks::INFO, blocks, &[(0x10, 0x11), (0x2f, 0x40)]), [0, 3]);
    }

    #[test]
    fn the_end_of_the_address_space_does_not_wrap() {
        let blocks = "address | size\n0xfffffffffffffff0 | 16";
        assert_eq!(selected(BasicBlocks::INFO, blocks, &[(0xffff_ffff_ffff_fff8, u64::MAX)]), [0]);
        assert_eq!(selected(BasicBlocks::INFO, blocks, &[(0, 1)]), [] as [u32; 0]);
    }

    #[test]
    fn rows_without_an_address_are_not_selected() {
        let sections = "section_name | address | size | is_readable | section_index
                        .text        | 0x10    | 16   | true        | 1
                        .symtab      | 0x0     | 64   | false       | 2";
        assert_eq!(selected(BinarySections::INFO, sections, &[(0x0, 0x40)]), [0]);
        let symbols =
            "symbol_name | symbol_type | symbol_address | symbol_size | section_index | symbol_index
                       main        | function    | 0x10         | 4           | 1             | 0
                       puts        | function    | 0x0          | 0           | -             | 1
                       errno       | tls         | 0x0          | 4           | 3             | 2";
        assert_eq!(selected(BinarySymbols::INFO, symbols, &[(0x0, 0x40)]), [0]);
        let regions = "region_id | type | start_address | size\n0 | stack | - | 64\n0x10 | code | 0x10 | 16";
        assert_eq!(selected(MemoryRegions::INFO, regions, &[(0x0, 0x40)]), [1]);
    }
}
