//! Destinations of encoded rows: the dataset, a buffer for an input whose turn has not come, and an adapter that
//! restores order.

use crate::error::Error;
use crate::store::writer::DatasetWriter;
use binframe_ir::parquet::EncodedRows;
use std::collections::BTreeMap;

/// A destination of encoded rows. The rows of each table must come in order.
pub(super) trait RowOutput: Send {
    /// Prepares a table for the rows of the next binary.
    fn begin_binary(&mut self, table_index: usize) -> Result<(), Error>;

    /// Appends rows to the table.
    fn append(&mut self, table_index: usize, rows: EncodedRows) -> Result<(), Error>;
}

impl RowOutput for DatasetWriter {
    fn begin_binary(&mut self, table_index: usize) -> Result<(), Error> {
        self.begin_binary(table_index)
    }

    fn append(&mut self, table_index: usize, rows: EncodedRows) -> Result<(), Error> {
        self.append(table_index, rows)
    }
}

/// Rows of an input that are held until the rows of all earlier inputs are written.
#[derive(Default)]
pub(super) struct BufferedRows {
    /// Position of the table, and rows, of each call of `begin_binary`.
    tables: Vec<(usize, Vec<EncodedRows>)>,
    bytes: u64,
}

impl BufferedRows {
    /// Memory of the rows in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends all rows to another output.
    pub(super) fn move_to(self, output: &mut dyn RowOutput) -> Result<(), Error> {
        for (table, rows) in self.tables {
            output.begin_binary(table)?;
            rows.into_iter().try_for_each(|rows| output.append(table, rows))?;
        }
        Ok(())
    }
}

impl RowOutput for BufferedRows {
    fn begin_binary(&mut self, table_index: usize) -> Result<(), Error> {
        self.tables.push((table_index, Vec::new()));
        Ok(())
    }

    fn append(&mut self, _: usize, rows: EncodedRows) -> Result<(), Error> {
        self.bytes += rows.bytes();
        self.tables.last_mut().expect("begin_binary comes before append").1.push(rows);
        Ok(())
    }
}

/// Appends the parts of a table in order, although threads finish them in any order.
pub(super) struct InOrderAppender<'a> {
    output: &'a mut dyn RowOutput,
    table_index: usize,
    /// Number of appended parts.
    pub(super) parts: usize,
    /// Rows of the appended parts.
    pub(super) rows: u64,
    /// Encoded bytes of the appended parts.
    pub(super) bytes: u64,
    /// Parts that were finished before an earlier part: usually about as many as there are threads.
    early: BTreeMap<usize, EncodedRows>,
}

impl<'a> InOrderAppender<'a> {
    pub(super) fn new(output: &'a mut dyn RowOutput, table_index: usize) -> Self {
        Self { output, table_index, parts: 0, rows: 0, bytes: 0, early: BTreeMap::new() }
    }

    /// Takes the part at a position, and appends all parts whose predecessors are appended.
    pub(super) fn put(&mut self, position: usize, rows: EncodedRows) -> Result<(), Error> {
        self.early.insert(position, rows);
        while let Some(rows) = self.early.remove(&self.parts) {
            self.rows += rows.rows();
            self.bytes += rows.bytes();
            self.parts += 1;
            self.output.append(self.table_index, rows)?;
        }
        Ok(())
    }
}
