//! `(binary_headers, binary_sections) -> binary_strings`
//!
//! Runs of printable characters, in sections that may hold text.

use crate::sections::SectionsIr;
use binframe_ir::Rows;
use binframe_ir::tables::BinaryStrings;

/// Finds the strings.
pub fn run(_sections: &SectionsIr) -> Rows<BinaryStrings> {
    Rows::default()
}
