//! The tables of .NET's metadata. Sizes of columns depend on the numbers of rows of other tables, thus the layout of all
//! tables has to be known to find one of them.
//!
//! Source: ECMA-335, partition II, chapters 22 and 24.2.6.

use super::super::pe::string;
use std::collections::BTreeMap;

/// Number of a table, and of a column in it.
pub(super) type Table = usize;
pub(super) type Column = usize;

pub(super) const TYPE: Table = 0x02;
pub(super) const METHOD_POINTER: Table = 0x05;
pub(super) const METHOD: Table = 0x06;
const NESTED_TYPE: Table = 0x29;

/// What a column holds.
#[derive(Clone, Copy)]
enum Kind {
    /// A number, with its size in bytes.
    Number(usize),
    /// Offset in the heap of strings, of GUIDs, of blobs.
    Text,
    Guid,
    Blob,
    /// Row of a table.
    Row(Table),
    /// Row of one of some tables, after the number of low bits that select the table.
    OneOf(usize, &'static [Table]),
}

use Kind::{Blob, Guid, Number, OneOf, Row, Text};

const TYPE_DEF_OR_REF: Kind = OneOf(2, &[0x02, 0x01, 0x1b]);
const HAS_CONSTANT: Kind = OneOf(2, &[0x04, 0x08, 0x17]);
const HAS_CUSTOM_ATTRIBUTE: Kind = OneOf(
    5,
    &[
        0x06, 0x04, 0x01, 0x02, 0x08, 0x09, 0x0a, 0x00, 0x0e, 0x17, 0x14, 0x11, 0x1a, 0x1b, 0x20, 0x23, 0x26,
        0x27, 0x28, 0x2a, 0x2c, 0x2b,
    ],
);
const HAS_FIELD_MARSHAL: Kind = OneOf(1, &[0x04, 0x08]);
const HAS_DECLARED_SECURITY: Kind = OneOf(2, &[0x02, 0x06, 0x20]);
const MEMBER_REF_PARENT: Kind = OneOf(3, &[0x02, 0x01, 0x1a, 0x06, 0x1b]);
const HAS_SEMANTICS: Kind = OneOf(1, &[0x14, 0x17]);
const METHOD_DEF_OR_REF: Kind = OneOf(1, &[0x06, 0x0a]);
const MEMBER_FORWARDED: Kind = OneOf(1, &[0x04, 0x06]);
const IMPLEMENTATION: Kind = OneOf(2, &[0x26, 0x23, 0x27]);
const CUSTOM_ATTRIBUTE_TYPE: Kind = OneOf(3, &[0x06, 0x0a]);
const RESOLUTION_SCOPE: Kind = OneOf(2, &[0x00, 0x1a, 0x23, 0x01]);

/// The columns of each table up to that of nested types; further tables are not read.
const LAYOUT: [&[Kind]; NESTED_TYPE + 1] = [
    &[Number(2), Text, Guid, Guid, Guid],
    &[RESOLUTION_SCOPE, Text, Text],
    &[Number(4), Text, Text, TYPE_DEF_OR_REF, Row(0x04), Row(METHOD)],
    &[Row(0x04)],
    &[Number(2), Text, Blob],
    &[Row(METHOD)],
    &[Number(4), Number(2), Number(2), Text, Blob, Row(0x08)],
    &[Row(0x08)],
    &[Number(2), Number(2), Text],
    &[Row(TYPE), TYPE_DEF_OR_REF],
    &[MEMBER_REF_PARENT, Text, Blob],
    &[Number(2), HAS_CONSTANT, Blob],
    &[HAS_CUSTOM_ATTRIBUTE, CUSTOM_ATTRIBUTE_TYPE, Blob],
    &[HAS_FIELD_MARSHAL, Blob],
    &[Number(2), HAS_DECLARED_SECURITY, Blob],
    &[Number(2), Number(4), Row(TYPE)],
    &[Number(4), Row(0x04)],
    &[Blob],
    &[Row(TYPE), Row(0x14)],
    &[Row(0x14)],
    &[Number(2), Text, TYPE_DEF_OR_REF],
    &[Row(TYPE), Row(0x17)],
    &[Row(0x17)],
    &[Number(2), Text, Blob],
    &[Number(2), Row(METHOD), HAS_SEMANTICS],
    &[Row(TYPE), METHOD_DEF_OR_REF, METHOD_DEF_OR_REF],
    &[Text],
    &[Blob],
    &[Number(2), MEMBER_FORWARDED, Text, Row(0x1a)],
    &[Number(4), Row(0x04)],
    &[Number(4), Number(4)],
    &[Number(4)],
    &[Number(4), Number(2), Number(2), Number(2), Number(2), Number(4), Blob, Text, Text],
    &[Number(4)],
    &[Number(4), Number(4), Number(4)],
    &[Number(2), Number(2), Number(2), Number(2), Number(4), Blob, Text, Text, Blob],
    &[Number(4), Row(0x23)],
    &[Number(4), Number(4), Number(4), Row(0x23)],
    &[Number(4), Text, Blob],
    &[Number(4), Number(4), Text, Text, IMPLEMENTATION],
    &[Number(4), Number(4), Text, IMPLEMENTATION],
    &[Row(TYPE), Row(TYPE)],
];

/// The tables of a file and the heap of their strings.
pub(super) struct Tables<'a> {
    strings: &'a [u8],
    /// Number of rows of each table.
    counts: [u32; 64],
    /// Bits of the header: which heaps have offsets of four bytes.
    heap_sizes: u8,
    /// The rows of each table.
    rows: Vec<&'a [u8]>,
    /// The enclosing type of each nested type.
    enclosing: BTreeMap<u32, u32>,
}

impl<'a> Tables<'a> {
    /// Finds the tables in metadata.
    pub(super) fn find(root: &'a [u8]) -> Result<Self, String> {
        let stream = |names: &[&str]| {
            streams(root)?.into_iter().find(|(name, _)| names.contains(name)).map(|found| found.1)
        };
        if !root.starts_with(b"BSJB") {
            return Err("the metadata does not start with `BSJB`".to_owned());
        }
        let tables = stream(&["#~", "#-"]).ok_or("the metadata has no stream of tables")?;
        let strings = stream(&["#Strings"]).unwrap_or(&[]);
        Self::of(tables, strings).ok_or_else(|| "the tables of the metadata are cut short".to_owned())
    }

    fn of(stream: &'a [u8], strings: &'a [u8]) -> Option<Self> {
        /// Bit of the heaps' sizes: a number follows the numbers of rows.
        const HAS_EXTRA: u8 = 0x40;
        let heap_sizes = *stream.get(6)?;
        let valid = u64::from_le_bytes(*stream.get(8..)?.first_chunk()?);
        let mut rest = stream.get(24..)?;
        let mut counts = [0; 64];
        for (table, count) in counts.iter_mut().enumerate().filter(|(table, _)| valid >> table & 1 == 1) {
            let (number, after) = rest.split_first_chunk()?;
            *count = u32::from_le_bytes(*number);
            // A number of rows has 24 bits in a token.
            if *count >= 1 << 24 || table >= LAYOUT.len() + 16 {
                return None;
            }
            rest = after;
        }
        if heap_sizes & HAS_EXTRA != 0 {
            rest = rest.get(4..)?;
        }
        let mut tables = Self { strings, counts, heap_sizes, rows: Vec::new(), enclosing: BTreeMap::new() };
        for (table, columns) in LAYOUT.iter().enumerate() {
            let row_size: usize = columns.iter().map(|kind| tables.size(*kind)).sum();
            let (rows, after) = rest.split_at_checked(row_size * counts[table] as usize)?;
            tables.rows.push(rows);
            rest = after;
        }
        let nested = (1..=counts[NESTED_TYPE])
            .map(|number| (tables.number(NESTED_TYPE, number, 0), tables.number(NESTED_TYPE, number, 1)));
        tables.enclosing = nested.collect();
        Some(tables)
    }

    /// Number of rows of a table.
    pub(super) fn count(&self, table: Table) -> u32 {
        self.counts[table]
    }

    /// The type that a nested type is in.
    pub(super) fn enclosing_type(&self, number: u32) -> Option<u32> {
        self.enclosing.get(&number).copied()
    }

    /// A column of a row, as a number; 0 if there is no such row. The first row has number 1.
    pub(super) fn number(&self, table: Table, number: u32, column: Column) -> u32 {
        let columns = LAYOUT[table];
        let before: usize = columns[..column].iter().map(|kind| self.size(*kind)).sum();
        let row_size: usize = columns.iter().map(|kind| self.size(*kind)).sum();
        let size = self.size(columns[column]);
        let row = (number as usize).checked_sub(1).map(|row| row * row_size + before);
        let field = row.and_then(|at| self.rows.get(table)?.get(at..at + size));
        field.map_or(0, |bytes| bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    /// A column of text; empty if there is no such row.
    pub(super) fn text(&self, table: Table, number: u32, column: Column) -> &'a [u8] {
        let start = self.number(table, number, column) as usize;
        self.strings.get(start..).and_then(string).unwrap_or(&[])
    }

    /// Size of a column in bytes.
    fn size(&self, kind: Kind) -> usize {
        let heap = |bit: u8| if self.heap_sizes & bit == 0 { 2 } else { 4 };
        // The low bits that select a table leave fewer for the row.
        let row = |bits: usize, count: u32| if count < 1 << (16 - bits) { 2 } else { 4 };
        match kind {
            Number(size) => size,
            Text => heap(1),
            Guid => heap(2),
            Blob => heap(4),
            Row(table) => row(0, self.counts[table]),
            OneOf(bits, tables) => {
                let most = tables.iter().map(|table| self.counts[*table]).max();
                row(bits, most.unwrap_or(0))
            }
        }
    }
}

/// Names and contents of the streams of metadata.
fn streams(root: &[u8]) -> Option<Vec<(&str, &[u8])>> {
    let version_size = u32::from_le_bytes(*root.get(12..)?.first_chunk()?) as usize;
    let mut rest = root.get(16_usize.checked_add(version_size)?..)?;
    let count = u16::from_le_bytes(*rest.get(2..)?.first_chunk()?);
    rest = &rest[4..];
    let mut streams = Vec::new();
    for _ in 0..count {
        let ([offset, size], _) = rest.as_chunks::<4>().0.split_first_chunk::<2>()?;
        let [offset, size] = [offset, size].map(|number| u32::from_le_bytes(*number) as usize);
        let name = rest.get(8..)?;
        let end = name.iter().take(32).position(|byte| *byte == 0)?;
        let content = root.get(offset..offset.checked_add(size)?)?;
        streams.push((str::from_utf8(&name[..end]).ok()?, content));
        rest = name.get((end + 1).next_multiple_of(4)..)?;
    }
    Some(streams)
}
