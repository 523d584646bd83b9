//! Writes rows of the heap into the dataset of a capture, from the thread of the reader.

use crate::error::Error;
use crate::store::writer::DatasetWriter;
use binframe_ir::parquet::TableEncoder;
use binframe_ir::{Batch, TableInfo};
use std::sync::{Arc, Mutex, PoisonError};

/// The dataset, and the encoders of its tables.
pub(in crate::capture) struct HeapOutput {
    writer: Arc<Mutex<DatasetWriter>>,
    encoders: Vec<(&'static TableInfo, TableEncoder)>,
    /// The value of the column `binary_name`.
    name: String,
}

impl HeapOutput {
    pub(in crate::capture) fn new(writer: &Arc<Mutex<DatasetWriter>>, name: &str) -> Result<Self, Error> {
        let encoders = writer.lock().unwrap_or_else(PoisonError::into_inner).encoders()?;
        Ok(Self { writer: Arc::clone(writer), encoders, name: name.to_owned() })
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
