//! Columns of bytes.

use super::column_type::{ColumnType, downcast};
use arrow_array::builder::make_view;
use arrow_array::{ArrayRef, BinaryViewArray};
use arrow_buffer::{Buffer, NullBuffer};
use arrow_schema::DataType;
use std::sync::Arc;

/// Builder of a column of bytes. Values inside a registered source buffer, such as a mapped file, are referenced, not
/// copied.
#[derive(Debug, Default)]
pub struct BytesBuilder {
    views: Vec<u128>,
    buffers: Vec<Buffer>,
    source: Option<Buffer>,
}

impl BytesBuilder {
    /// Size of the longest value that is stored inside its view.
    const INLINE_MAX: usize = 12;

    /// Registers `source`: values inside it are referenced from now on.
    ///
    /// # Panics
    /// If values were appended already.
    pub fn refer_to(&mut self, source: &bytes::Bytes) {
        assert!(self.views.is_empty(), "the source is registered before the first value");
        let buffer = Buffer::from(source.clone());
        self.buffers = vec![buffer.clone()];
        self.source = Some(buffer);
    }

    /// Appends a value.
    ///
    /// # Panics
    /// If the value has 2 GiB or more, Arrow's limit for a view.
    #[inline]
    pub fn push(&mut self, value: &[u8]) {
        if value.len() <= Self::INLINE_MAX {
            return self.views.push(make_view(value, 0, 0));
        }
        self.push_long(value);
    }

    fn push_long(&mut self, value: &[u8]) {
        assert!(i32::try_from(value.len()).is_ok(), "a value under 2 GiB");
        let offset = self.source.as_ref().and_then(|source| {
            let offset = (value.as_ptr() as usize).checked_sub(source.as_ptr() as usize)?;
            (offset.checked_add(value.len())? <= source.len()).then_some(offset)
        });
        let (block, offset) = match (offset, &self.source) {
            (Some(offset), Some(source)) => match i32::try_from(offset) {
                Ok(offset) => (0, offset as u32),
                // The offset of a view has 32 bits: a value at a higher offset gets a buffer of its own.
                Err(_) => {
                    self.buffers.push(source.slice_with_length(offset, value.len()));
                    (self.buffers.len() as u32 - 1, 0)
                }
            },
            _ => {
                self.buffers.push(Buffer::from(value));
                (self.buffers.len() as u32 - 1, 0)
            }
        };
        self.views.push(make_view(value, block, offset));
    }
}

impl ColumnType for &'static [u8] {
    type Value<'a> = &'a [u8];
    type Builder = BytesBuilder;
    type View<'a> = &'a BinaryViewArray;

    fn data_type() -> DataType {
        DataType::Binary
    }
    fn memory_type() -> DataType {
        DataType::BinaryView
    }
    fn reserve(builder: &mut BytesBuilder, count: usize) {
        builder.views.reserve(count);
    }
    #[inline]
    fn push(builder: &mut BytesBuilder, value: &[u8]) {
        builder.push(value);
    }
    fn push_fillers(builder: &mut BytesBuilder, count: usize) {
        builder.views.resize(builder.views.len() + count, 0);
    }
    fn finish(builder: BytesBuilder, nulls: Option<NullBuffer>) -> ArrayRef {
        let array = BinaryViewArray::try_new(builder.views.into(), builder.buffers, nulls);
        Arc::new(array.expect("views refer to bytes inside the buffers"))
    }
    fn view(array: &ArrayRef) -> &BinaryViewArray {
        downcast(array)
    }
    fn get<'a: 'a>(view: &'a BinaryViewArray, row: usize) -> &'a [u8] {
        view.value(row)
    }
}
