//! Columns of text.

use super::column_type::{ColumnType, downcast};
use arrow_array::{ArrayRef, StringArray};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::DataType;
use std::sync::Arc;

/// Builder of a text column: all values concatenated in one buffer, and their offsets.
#[derive(Debug)]
pub struct TextBuilder {
    offsets: Vec<i32>,
    text: Vec<u8>,
}

impl Default for TextBuilder {
    fn default() -> Self {
        Self { offsets: vec![0], text: Vec::new() }
    }
}

impl TextBuilder {
    /// Appends a value.
    ///
    /// # Panics
    /// If all values together exceed 2 GiB, Arrow's limit for an array.
    pub fn push(&mut self, value: &str) {
        self.text.extend_from_slice(value.as_bytes());
        self.offsets.push(i32::try_from(self.text.len()).expect("text of one column under 2 GiB"));
    }
}

impl ColumnType for &'static str {
    type Value<'a> = &'a str;
    type Builder = TextBuilder;
    type View<'a> = &'a StringArray;

    fn data_type() -> DataType {
        DataType::Utf8
    }
    fn reserve(builder: &mut TextBuilder, count: usize) {
        builder.offsets.reserve(count);
    }
    fn push(builder: &mut TextBuilder, value: &str) {
        builder.push(value);
    }
    fn push_fillers(builder: &mut TextBuilder, count: usize) {
        (0..count).for_each(|_| builder.push(""));
    }
    fn finish(builder: TextBuilder, nulls: Option<NullBuffer>) -> ArrayRef {
        let offsets = OffsetBuffer::new(builder.offsets.into());
        let text = StringArray::try_new(offsets, builder.text.into(), nulls);
        Arc::new(text.expect("whole strings were appended"))
    }
    fn view(array: &ArrayRef) -> &StringArray {
        downcast(array)
    }
    fn get<'a: 'a>(view: &'a StringArray, row: usize) -> &'a str {
        view.value(row)
    }
}
