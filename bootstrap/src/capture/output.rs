//! Writes rows into the dataset of a capture, from the thread of snapshots and from the reader of the heap.

use crate::error::Error;
use crate::store::writer::DatasetWriter;
use binframe_ir::parquet::TableEncoder;
use binframe_ir::{Batch, TableInfo};
use std::sync::{Arc, Mutex, PoisonError};

/// The dataset, and the encoders of its tables.
pub(super) struct Output {
    writer: Arc<Mutex<DatasetWriter>>,
    encoders: Vec<(&'static TableInfo, TableEncoder)>,
    /// The value of the column `binary_name`.
    name: String,
}

impl Output {
    pub(super) fn new(writer: Arc<Mutex<DatasetWriter>>, name: String) -> Result<Self, Error> {
        let encoders = writer.lock().unwrap_or_else(PoisonError::into_inner).encoders()?;
        Ok(Self { writer, encoders, name })
    }

    /// Another output into the same dataset, for another thread.
    pub(super) fn another(&self) -> Result<Self, Error> {
        Self::new(Arc::clone(&self.writer), self.name.clone())
    }

    /// The dataset, and the value of the column `binary_name`. There must be no other output.
    pub(super) fn into_parts(self) -> (DatasetWriter, String) {
        let writer = Arc::into_inner(self.writer).expect("the reader of the heap has ended");
        (writer.into_inner().unwrap_or_else(PoisonError::into_inner), self.name)
    }

    /// Appends rows of a table.
    pub(super) fn append(&mut self, batch: &Batch) -> Result<(), Error> {
        let index = self.encoders.iter().position(|(table, _)| *table == batch.info());
        let index = index.expect("a table of captures");
        let encoded = self.encoders[index].1.encode(batch, &self.name);
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let encoded = encoded.map_err(Error::write(writer.directory()))?;
        writer.append(index, encoded)
    }
}
