//! The trait of column types, and the conversions that its implementations share.

use arrow_array::types::ArrowDictionaryKeyType;
use arrow_array::{Array, ArrayRef, DictionaryArray, PrimitiveArray};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use std::fmt;
use std::sync::Arc;

/// A type that a column can have.
///
/// Implemented by the unsigned and signed integers, `bool`, `&str`, `&[u8]`, [`Term`](super::Term), [`Timestamp`](super::Timestamp), every
/// enumeration, and `Option` of each.
pub trait ColumnType: 'static {
    /// One value.
    type Value<'a>: Copy;
    /// Collects values.
    type Builder: Default + fmt::Debug;
    /// Reads values from an array without a copy.
    type View<'a>: Copy + fmt::Debug;
    /// Whether a value may be null.
    const NULLABLE: bool = false;
    /// The names of an enumeration; `None` for other types.
    const NAMES: Option<&'static [&'static str]> = None;
    /// The documentation of each of `NAMES`.
    const DOCS: &'static [&'static str] = &[];

    /// The Arrow type in schemas and files.
    fn data_type() -> DataType;
    /// The Arrow type of the array in memory.
    fn memory_type() -> DataType {
        Self::data_type()
    }
    /// Reserves capacity for `count` more values.
    fn reserve(builder: &mut Self::Builder, count: usize);
    /// Appends a value.
    fn push(builder: &mut Self::Builder, value: Self::Value<'_>);
    /// Appends `count` placeholder values for nulls.
    fn push_fillers(builder: &mut Self::Builder, count: usize);
    /// Passes the buffers to Arrow without a copy.
    fn finish(builder: Self::Builder, nulls: Option<NullBuffer>) -> ArrayRef;
    /// Typed view of an array of the memory type.
    fn view(array: &ArrayRef) -> Self::View<'_>;
    /// The value in a row. (`'a: 'a` binds the lifetime early, which the projections require of implementations.)
    fn get<'a: 'a>(view: Self::View<'a>, row: usize) -> Self::Value<'a>;
    /// Converts an array of the declared type, as read from a file, to the memory type.
    fn adopt(array: &ArrayRef) -> Result<ArrayRef, String> {
        arrow_cast::cast(array, &Self::memory_type()).map_err(|error| error.to_string())
    }
}

/// A dictionary array of valid codes.
pub(crate) fn dictionary<K: ArrowDictionaryKeyType>(
    codes: Vec<K::Native>,
    nulls: Option<NullBuffer>,
    values: ArrayRef,
) -> ArrayRef {
    Arc::new(DictionaryArray::<K>::new(PrimitiveArray::new(codes.into(), nulls), values))
}

pub(super) fn downcast<A: Array + 'static>(array: &ArrayRef) -> &A {
    array.as_any().downcast_ref().unwrap_or_else(|| panic!("a column of {}", array.data_type()))
}
