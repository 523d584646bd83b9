//! Which rows lie in a range of addresses.

use binframe_ir::tables::{BinarySections, BinarySymbols, SymbolType};
use binframe_ir::{Batch, ColumnInfo, Enumeration, Rows, TableInfo, integers};
use std::ops::Range;

/// The column by whose addresses rows are selected: where a row covers addresses, that of the first; else the first column
/// of the key that holds addresses, or the first column at all that does. A table without addresses has none.
pub fn address_column(table: &'static TableInfo) -> Option<&'static str> {
    let is_key = |column: &&ColumnInfo| table.key.contains(&column.name);
    let mut addresses = table.columns.iter().filter(|column| column.is_address());
    let named = || addresses.clone().find(is_key).or_else(|| addresses.next()).map(|column| column.name);
    table.span.map(|(start, _)| start).or_else(named)
}

/// The positions of the rows that cover an address of one of the ranges or, in tables whose rows cover none, whose
/// [`address_column`] lies in one. A row that covers no byte lies where it begins.
pub fn rows_in(batch: &Batch, ranges: &[Range<u64>]) -> Vec<u32> {
    let Some(column) = address_column(batch.info()) else { return Vec::new() };
    let sizes: Vec<_> = match batch.info().span {
        Some((_, size)) => integers(batch.column(size)).map(Option::unwrap_or_default).collect(),
        None => vec![0; batch.rows()],
    };
    let lies_in = |start: u64, size: u64, range: &Range<u64>| {
        start < range.end && (start >= range.start || range.start - start < size)
    };
    let sections = Rows::<BinarySections>::from_batch(batch.clone());
    let symbols = Rows::<BinarySymbols>::from_batch(batch.clone());
    // What is not loaded has no address, nor have undefined, absolute and thread-local symbols.
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
            ranges.iter().any(|range| start.is_some_and(|start| lies_in(start, sizes[row], range)));
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

    /// The rows that lie in ranges, each given as its start and its end.
    fn chosen(table: &'static TableInfo, text: &str, ranges: &[(u64, u64)]) -> Vec<u32> {
        let ranges: Vec<_> = ranges.iter().map(|(start, end)| *start..*end).collect();
        rows_in(&from_text(table, text).unwrap(), &ranges)
    }

    #[test]
    fn addresses_are_those_that_order_the_rows_if_some_do() {
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
    fn rows_that_reach_into_a_range_lie_in_it() {
        let blocks = "address | size\n0x10 | 8\n0x18 | 8\n0x20 | 0\n0x20 | 16";
        assert_eq!(chosen(BasicBlocks::INFO, blocks, &[(0x17, 0x18)]), [0]);
        assert_eq!(chosen(BasicBlocks::INFO, blocks, &[(0x18, 0x19)]), [1]);
        assert_eq!(chosen(BasicBlocks::INFO, blocks, &[(0x1f, 0x21)]), [1, 2, 3]);
        assert_eq!(chosen(BasicBlocks::INFO, blocks, &[(0x21, 0x22)]), [3]);
        assert_eq!(chosen(BasicBlocks::INFO, blocks, &[(0x0, 0x10), (0x30, 0x40)]), [] as [u32; 0]);
        assert_eq!(chosen(BasicBlocks::INFO, blocks, &[(0x10, 0x11), (0x2f, 0x40)]), [0, 3]);
    }

    #[test]
    fn the_last_addresses_do_not_wrap() {
        let blocks = "address | size\n0xfffffffffffffff0 | 16";
        assert_eq!(chosen(BasicBlocks::INFO, blocks, &[(0xffff_ffff_ffff_fff8, u64::MAX)]), [0]);
        assert_eq!(chosen(BasicBlocks::INFO, blocks, &[(0, 1)]), [] as [u32; 0]);
    }

    #[test]
    fn what_has_no_address_lies_nowhere() {
        let sections = "section_name | address | size | is_readable | section_index
                        \".text\"    | 0x10    | 16   | true        | 1
                        \".symtab\"  | 0x0     | 64   | false       | 2";
        assert_eq!(chosen(BinarySections::INFO, sections, &[(0x0, 0x40)]), [0]);
        let symbols =
            "symbol_name | symbol_type | symbol_address | symbol_size | section_index | symbol_index
                       \"main\"    | \"function\" | 0x10         | 4           | 1             | 0
                       \"puts\"    | \"function\" | 0x0          | 0           | -             | 1
                       \"errno\"   | \"tls\"      | 0x0          | 4           | 3             | 2";
        assert_eq!(chosen(BinarySymbols::INFO, symbols, &[(0x0, 0x40)]), [0]);
        let regions =
            "region_id | type | start_address | size\n0 | \"stack\" | - | 64\n1 | \"code\" | 0x10 | 16";
        assert_eq!(chosen(MemoryRegions::INFO, regions, &[(0x0, 0x40)]), [1]);
    }
}
