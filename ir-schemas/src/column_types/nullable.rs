//! Nullable columns.

use super::column_type::ColumnType;
use super::term::Term;
use arrow_array::ArrayRef;
use arrow_buffer::{NullBuffer, NullBufferBuilder};
use arrow_schema::DataType;
use std::fmt;

/// Builder of a nullable column. Sequences of values and of nulls are counted and written to the bitmap when they end.
pub struct NullableBuilder<C: ColumnType> {
    values: C::Builder,
    nulls: NullBufferBuilder,
    /// Number of values that are not yet in the bitmap, and of nulls after them that are in neither buffer yet.
    pending: (usize, usize),
}

impl<C: ColumnType> fmt::Debug for NullableBuilder<C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("NullableBuilder").field("values", &self.values).finish_non_exhaustive()
    }
}

impl<C: ColumnType> Default for NullableBuilder<C> {
    fn default() -> Self {
        Self::over(C::Builder::default())
    }
}

impl<C: ColumnType> NullableBuilder<C> {
    /// A builder that appends its values to `values`, which is empty.
    pub fn over(values: C::Builder) -> Self {
        Self { values, nulls: NullBufferBuilder::new(0), pending: (0, 0) }
    }

    /// Appends a value or a null.
    #[inline]
    pub fn push(&mut self, value: Option<C::Value<'_>>) {
        match value {
            Some(value) => C::push(self.next_value(), value),
            None => self.push_null(),
        }
    }

    /// Appends a null.
    #[inline]
    pub fn push_null(&mut self) {
        self.pending.1 += 1;
    }

    /// The builder of the values, to which the caller must append exactly one.
    #[inline]
    fn next_value(&mut self) -> &mut C::Builder {
        if self.pending.1 > 0 {
            self.write_pending();
        }
        self.pending.0 += 1;
        &mut self.values
    }

    #[inline(never)]
    fn write_pending(&mut self) {
        let (values, nulls) = std::mem::take(&mut self.pending);
        self.nulls.append_n_non_nulls(values);
        self.nulls.append_n_nulls(nulls);
        C::push_fillers(&mut self.values, nulls);
    }
}

impl NullableBuilder<Term<'static>> {
    /// Appends the word at a position of the fixed vocabulary.
    #[inline]
    pub fn push_code(&mut self, code: u16) {
        self.next_value().push_code(code);
    }
}

/// Typed view of a nullable column.
pub struct NullableView<'a, C: ColumnType> {
    /// The values; placeholders for nulls have no meaning.
    pub values: C::View<'a>,
    nulls: Option<&'a NullBuffer>,
}

impl<C: ColumnType> Clone for NullableView<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C: ColumnType> Copy for NullableView<'_, C> {}

impl<C: ColumnType> fmt::Debug for NullableView<'_, C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("NullableView")
            .field("values", &self.values)
            .field("nulls", &self.nulls)
            .finish()
    }
}

impl<'a, C: ColumnType> NullableView<'a, C> {
    /// The value in a row; `None` if it is null.
    #[inline]
    pub fn get(&self, row: usize) -> Option<C::Value<'a>> {
        self.is_valid(row).then(|| C::get(self.values, row))
    }

    /// Whether the value in a row is not null.
    #[inline]
    pub fn is_valid(&self, row: usize) -> bool {
        self.nulls.is_none_or(|nulls| nulls.is_valid(row))
    }
}

impl<C: ColumnType> ColumnType for Option<C> {
    type Value<'a> = Option<C::Value<'a>>;
    type Builder = NullableBuilder<C>;
    type View<'a> = NullableView<'a, C>;
    const NULLABLE: bool = true;
    const NAMES: Option<&'static [&'static str]> = C::NAMES;
    const DOCS: &'static [&'static str] = C::DOCS;

    fn data_type() -> DataType {
        C::data_type()
    }
    fn memory_type() -> DataType {
        C::memory_type()
    }
    fn reserve(builder: &mut NullableBuilder<C>, count: usize) {
        C::reserve(&mut builder.values, count);
    }
    #[inline]
    fn push(builder: &mut NullableBuilder<C>, value: Option<C::Value<'_>>) {
        builder.push(value);
    }
    fn push_fillers(builder: &mut NullableBuilder<C>, count: usize) {
        builder.pending.1 += count;
    }
    fn finish(mut builder: NullableBuilder<C>, _: Option<NullBuffer>) -> ArrayRef {
        builder.write_pending();
        C::finish(builder.values, builder.nulls.finish())
    }
    fn view(array: &ArrayRef) -> NullableView<'_, C> {
        NullableView { values: C::view(array), nulls: array.nulls() }
    }
    #[inline]
    fn get<'a: 'a>(view: NullableView<'a, C>, row: usize) -> Option<C::Value<'a>> {
        view.get(row)
    }
    fn adopt(array: &ArrayRef) -> Result<ArrayRef, String> {
        C::adopt(array)
    }
}
