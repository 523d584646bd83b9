//! Rows of a table in memory.

use crate::table::{Batch, Rows, Table, TableInfo};
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::ArrowError;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

impl Batch {
    /// A batch of the given columns, in declared order.
    ///
    /// # Panics
    /// If the columns do not have the declared types, or differ in length.
    pub fn new(info: &'static TableInfo, columns: Vec<ArrayRef>) -> Self {
        assert_eq!(columns.len(), info.columns.len(), "columns of {}", info.name);
        let rows = columns.first().map_or(0, |column| column.len());
        for (array, column) in columns.iter().zip(info.columns) {
            assert_eq!(*array.data_type(), (column.memory_type)(), "type of {}.{}", info.name, column.name);
            assert_eq!(array.len(), rows, "rows of {}.{}", info.name, column.name);
        }
        Self { info, columns, rows }
    }

    /// Declaration of the table.
    pub fn info(&self) -> &'static TableInfo {
        self.info
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The columns, in declared order.
    pub fn columns(&self) -> &[ArrayRef] {
        &self.columns
    }

    /// A column.
    ///
    /// # Panics
    /// If the table has no such column.
    pub fn column(&self, name: &str) -> &ArrayRef {
        let index = self.info.column_index(name);
        &self.columns[index.unwrap_or_else(|| panic!("table {} has no column {name}", self.info.name))]
    }

    /// Copy with one column replaced.
    ///
    /// # Panics
    /// If the table has no such column, or the array has another type or length.
    #[must_use]
    pub fn with_column(&self, name: &str, array: ArrayRef) -> Self {
        let index = self.info.column_index(name);
        let index = index.unwrap_or_else(|| panic!("table {} has no column {name}", self.info.name));
        let mut columns = self.columns.clone();
        columns[index] = array;
        let changed = Self::new(self.info, columns);
        assert_eq!(changed.rows, self.rows, "rows of {}.{name}", self.info.name);
        changed
    }

    /// The rows `offset..offset + length`, without a copy.
    #[must_use]
    pub fn slice(&self, offset: usize, length: usize) -> Self {
        if (offset, length) == (0, self.rows) {
            return self.clone();
        }
        Self::new(self.info, self.columns.iter().map(|column| column.slice(offset, length)).collect())
    }

    /// The rows at the given positions, in that order.
    #[must_use]
    pub fn take(&self, positions: &[u32]) -> Self {
        let positions = arrow_array::UInt32Array::from(positions.to_vec());
        let taken = self.columns.iter().map(|column| arrow_select::take::take(column, &positions, None));
        Self::new(self.info, taken.collect::<Result<_, _>>().expect("positions are within the batch"))
    }

    /// Concatenation of batches of one table.
    ///
    /// # Panics
    /// If `batches` is empty or contains batches of several tables.
    pub fn concat(batches: &[Self]) -> Self {
        if let [only] = batches {
            return only.clone();
        }
        let info = batches[0].info;
        let column = |index: usize| {
            let arrays: Vec<_> = batches.iter().map(|batch| batch.columns[index].as_ref()).collect();
            arrow_select::concat::concat(&arrays).expect("batches of one table have the same column types")
        };
        Self::new(info, (0..info.columns.len()).map(column).collect())
    }

    /// The rows as an Arrow record batch of the declared schema, for other libraries. Columns of bytes are copied.
    pub fn to_record_batch(&self) -> Result<RecordBatch, ArrowError> {
        let columns = self.columns.iter().zip(self.info.columns);
        let columns = columns.map(|(array, column)| arrow_cast::cast(array, &(column.data_type)()));
        let columns = columns.collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        RecordBatch::try_new_with_options(Arc::new(self.info.schema()), columns, &options)
    }
}

impl<T: Table> Rows<T> {
    /// Rows of the given columns, in declared order.
    ///
    /// # Panics
    /// If the columns do not have the declared types, or differ in length.
    pub fn new(columns: Vec<ArrayRef>) -> Self {
        Self { batch: Batch::new(T::INFO, columns), table: PhantomData }
    }

    /// The batch as rows of `T`; `None` if it is of another table.
    pub fn from_batch(batch: Batch) -> Option<Self> {
        (batch.info == T::INFO).then_some(Self { batch, table: PhantomData })
    }

    /// Concatenation of `parts`.
    pub fn concat<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        let batches: Vec<_> = parts.into_iter().map(|rows| rows.batch.clone()).collect();
        match batches.is_empty() {
            true => Self::default(),
            false => Self { batch: Batch::concat(&batches), table: PhantomData },
        }
    }

    /// Some of the rows, without a copy.
    #[must_use]
    pub fn slice(&self, rows: Range<usize>) -> Self {
        Self { batch: self.batch.slice(rows.start, rows.len()), table: PhantomData }
    }

    /// The rows as an untyped batch.
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Typed views of all columns.
    pub fn columns(&self) -> T::Columns<'_> {
        T::columns(&self.batch)
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.batch.rows
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.batch.rows == 0
    }
}

impl<T: Table> Default for Rows<T> {
    fn default() -> Self {
        crate::Finish::finish(T::Builder::default())
    }
}
