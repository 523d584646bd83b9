//! The types that a column's values can have: how each is pushed, handed to Arrow and viewed again.

use arrow_array::types::{ArrowDictionaryKeyType, UInt16Type};
use arrow_array::{
    Array, ArrayRef, BinaryViewArray, BooleanArray, DictionaryArray, PrimitiveArray, StringArray,
    builder::make_view,
};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBuffer, NullBufferBuilder, OffsetBuffer};
use arrow_schema::{DataType, TimeUnit};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// A type that a column can hold.
///
/// Implemented by the unsigned and signed integers, `bool`, `&str`, `&[u8]`, [`Term`], [`Timestamp`], every
/// enumeration, and `Option` of each.
pub trait Cell: 'static {
    /// One value.
    type Value<'a>: Copy;
    /// Where values are pushed to.
    type Builder: Default + fmt::Debug;
    /// Where values are read from, without a copy.
    type View<'a>: Copy + fmt::Debug;
    /// Whether a value may be null.
    const NULLABLE: bool = false;
    /// All names, for an enumeration.
    const NAMES: Option<&'static [&'static str]> = None;

    /// The Arrow type in schemas and files.
    fn data_type() -> DataType;
    /// The Arrow type of the array in memory.
    fn memory_type() -> DataType {
        Self::data_type()
    }
    /// Makes room for `count` more values.
    fn reserve(builder: &mut Self::Builder, count: usize);
    /// Appends a value.
    fn push(builder: &mut Self::Builder, value: Self::Value<'_>);
    /// Appends `count` values to stand under nulls.
    fn push_fillers(builder: &mut Self::Builder, count: usize);
    /// Hands the buffers to Arrow without a copy.
    fn finish(builder: Self::Builder, nulls: Option<NullBuffer>) -> ArrayRef;
    /// Typed view of an array of the memory type.
    fn view(array: &ArrayRef) -> Self::View<'_>;
    /// The value in a row. (`'a: 'a` binds the lifetime early, which the projections demand of implementations.)
    fn get<'a: 'a>(view: Self::View<'a>, row: usize) -> Self::Value<'a>;
    /// Turns an array of the declared type, as read from a file, into one of the memory type.
    fn adopt(array: &ArrayRef) -> Result<ArrayRef, String> {
        arrow_cast::cast(array, &Self::memory_type()).map_err(|error| error.to_string())
    }
}

/// A dictionary array of codes that were made from the dictionary.
pub(crate) fn dictionary<K: ArrowDictionaryKeyType>(
    codes: Vec<K::Native>,
    nulls: Option<NullBuffer>,
    values: ArrayRef,
) -> ArrayRef {
    Arc::new(DictionaryArray::<K>::new(PrimitiveArray::new(codes.into(), nulls), values))
}

fn downcast<A: Array + 'static>(array: &ArrayRef) -> &A {
    array.as_any().downcast_ref().unwrap_or_else(|| panic!("a column of {}", array.data_type()))
}

macro_rules! primitive_cells {
    ($($native:ty => $arrow:ident),+ $(,)?) => { $(
        impl Cell for $native {
            type Value<'a> = $native;
            type Builder = Vec<$native>;
            type View<'a> = &'a [$native];

            fn data_type() -> DataType {
                <arrow_array::types::$arrow as arrow_array::ArrowPrimitiveType>::DATA_TYPE
            }
            fn reserve(builder: &mut Vec<$native>, count: usize) {
                builder.reserve(count);
            }
            #[inline]
            fn push(builder: &mut Vec<$native>, value: $native) {
                builder.push(value);
            }
            fn push_fillers(builder: &mut Vec<$native>, count: usize) {
                builder.resize(builder.len() + count, 0);
            }
            fn finish(builder: Vec<$native>, nulls: Option<NullBuffer>) -> ArrayRef {
                Arc::new(PrimitiveArray::<arrow_array::types::$arrow>::new(builder.into(), nulls))
            }
            fn view(array: &ArrayRef) -> &[$native] {
                downcast::<PrimitiveArray<arrow_array::types::$arrow>>(array).values()
            }
            #[inline]
            fn get<'a: 'a>(view: &'a [$native], row: usize) -> $native {
                view[row]
            }
        }
    )+ };
}

primitive_cells! {
    u8 => UInt8Type, u16 => UInt16Type, u32 => UInt32Type, u64 => UInt64Type, i32 => Int32Type, i64 => Int64Type,
}

/// Nanoseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Cell for Timestamp {
    type Value<'a> = Self;
    type Builder = Vec<i64>;
    type View<'a> = &'a [i64];

    fn data_type() -> DataType {
        DataType::Timestamp(TimeUnit::Nanosecond, None)
    }
    fn reserve(builder: &mut Vec<i64>, count: usize) {
        builder.reserve(count);
    }
    fn push(builder: &mut Vec<i64>, value: Self) {
        builder.push(value.0);
    }
    fn push_fillers(builder: &mut Vec<i64>, count: usize) {
        builder.resize(builder.len() + count, 0);
    }
    fn finish(builder: Vec<i64>, nulls: Option<NullBuffer>) -> ArrayRef {
        Arc::new(arrow_array::TimestampNanosecondArray::new(builder.into(), nulls))
    }
    fn view(array: &ArrayRef) -> &[i64] {
        downcast::<arrow_array::TimestampNanosecondArray>(array).values()
    }
    fn get<'a: 'a>(view: &'a [i64], row: usize) -> Self {
        Self(view[row])
    }
}

impl Cell for bool {
    type Value<'a> = bool;
    type Builder = BoolBuilder;
    type View<'a> = &'a BooleanArray;

    fn data_type() -> DataType {
        DataType::Boolean
    }
    fn reserve(builder: &mut BoolBuilder, count: usize) {
        builder.0.reserve(count);
    }
    #[inline]
    fn push(builder: &mut BoolBuilder, value: bool) {
        builder.0.append(value);
    }
    fn push_fillers(builder: &mut BoolBuilder, count: usize) {
        builder.0.append_n(count, false);
    }
    fn finish(mut builder: BoolBuilder, nulls: Option<NullBuffer>) -> ArrayRef {
        Arc::new(BooleanArray::new(builder.0.finish(), nulls))
    }
    fn view(array: &ArrayRef) -> &BooleanArray {
        downcast(array)
    }
    #[inline]
    fn get<'a: 'a>(view: &'a BooleanArray, row: usize) -> bool {
        view.value(row)
    }
}

/// Booleans, a bit each.
#[derive(Debug)]
pub struct BoolBuilder(BooleanBufferBuilder);

impl Default for BoolBuilder {
    fn default() -> Self {
        Self(BooleanBufferBuilder::new(0))
    }
}

impl BoolBuilder {
    /// Appends a value.
    #[inline]
    pub fn push(&mut self, value: bool) {
        self.0.append(value);
    }
}

/// Text, end to end in one buffer.
#[derive(Debug)]
pub struct StrBuilder {
    offsets: Vec<i32>,
    text: Vec<u8>,
}

impl Default for StrBuilder {
    fn default() -> Self {
        Self { offsets: vec![0], text: Vec::new() }
    }
}

impl StrBuilder {
    /// Appends a value.
    ///
    /// # Panics
    /// When all values together pass 2 GiB, Arrow's limit for one array.
    pub fn push(&mut self, value: &str) {
        self.text.extend_from_slice(value.as_bytes());
        self.offsets.push(i32::try_from(self.text.len()).expect("text of one column under 2 GiB"));
    }
}

impl Cell for &'static str {
    type Value<'a> = &'a str;
    type Builder = StrBuilder;
    type View<'a> = &'a StringArray;

    fn data_type() -> DataType {
        DataType::Utf8
    }
    fn reserve(builder: &mut StrBuilder, count: usize) {
        builder.offsets.reserve(count);
    }
    fn push(builder: &mut StrBuilder, value: &str) {
        builder.push(value);
    }
    fn push_fillers(builder: &mut StrBuilder, count: usize) {
        (0..count).for_each(|_| builder.push(""));
    }
    fn finish(builder: StrBuilder, nulls: Option<NullBuffer>) -> ArrayRef {
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

/// Bytes, which stay where they are when they lie in a registered buffer such as a mapped file.
#[derive(Debug, Default)]
pub struct BytesBuilder {
    views: Vec<u128>,
    buffers: Vec<Buffer>,
    source: Option<Buffer>,
}

impl BytesBuilder {
    /// Longest value that a view holds itself.
    const INLINE_MAX: usize = 12;

    /// Values that lie in `source` are referred to from now on, not copied. To be called before the first value.
    ///
    /// # Panics
    /// When there are values already.
    pub fn refer_to(&mut self, source: &bytes::Bytes) {
        assert!(self.views.is_empty(), "the source comes before the values");
        let buffer = Buffer::from(source.clone());
        self.buffers = vec![buffer.clone()];
        self.source = Some(buffer);
    }

    /// Appends a value.
    ///
    /// # Panics
    /// When the value is of 2 GiB or more, Arrow's limit for one view.
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
                // A view's offset has 32 bits: what lies further into a large file gets a buffer of its own.
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

impl Cell for &'static [u8] {
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
        Arc::new(array.expect("views lie in buffers"))
    }
    fn view(array: &ArrayRef) -> &BinaryViewArray {
        downcast(array)
    }
    fn get<'a: 'a>(view: &'a BinaryViewArray, row: usize) -> &'a [u8] {
        view.value(row)
    }
}

/// A name from an open vocabulary, such as a mnemonic or a register: text to everyone, two bytes in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term<'a>(pub &'a str);

/// Terms, by their codes in a vocabulary.
#[derive(Debug, Default)]
pub struct TermBuilder {
    codes: Vec<u16>,
    vocabulary: Option<ArrayRef>,
    words: Vec<String>,
    known: HashMap<String, u16>,
}

impl TermBuilder {
    /// A builder over a vocabulary (an array of text) that is known beforehand.
    pub fn with_vocabulary(vocabulary: ArrayRef) -> Self {
        Self { vocabulary: Some(vocabulary), ..Self::default() }
    }

    /// Appends the word at a position of the vocabulary that was given.
    #[inline]
    pub fn push_code(&mut self, code: u16) {
        self.codes.push(code);
    }

    /// Appends a word, adding it to the vocabulary.
    ///
    /// # Panics
    /// When a vocabulary was given beforehand, or has more than 65,536 words.
    pub fn push(&mut self, word: &str) {
        assert!(self.vocabulary.is_none(), "words of a given vocabulary are pushed by code");
        // Neighbours often have the same word.
        let last = self
            .codes
            .last()
            .copied()
            .filter(|code| self.words.get(*code as usize).is_some_and(|last| last == word));
        let code = last.or_else(|| self.known.get(word).copied()).unwrap_or_else(|| {
            let code = u16::try_from(self.words.len()).expect("at most 65,536 words");
            self.words.push(word.to_owned());
            self.known.insert(word.to_owned(), code);
            code
        });
        self.codes.push(code);
    }
}

/// Typed view of a column of terms.
#[derive(Debug, Clone, Copy)]
pub struct TermView<'a> {
    /// The position in `vocabulary` of every row's word.
    pub codes: &'a [u16],
    /// The words.
    pub vocabulary: &'a StringArray,
}

impl Cell for Term<'static> {
    type Value<'a> = Term<'a>;
    type Builder = TermBuilder;
    type View<'a> = TermView<'a>;

    fn data_type() -> DataType {
        DataType::Dictionary(Box::new(DataType::UInt16), Box::new(DataType::Utf8))
    }
    fn reserve(builder: &mut TermBuilder, count: usize) {
        builder.codes.reserve(count);
    }
    fn push(builder: &mut TermBuilder, value: Term<'_>) {
        builder.push(value.0);
    }
    fn push_fillers(builder: &mut TermBuilder, count: usize) {
        builder.codes.resize(builder.codes.len() + count, 0);
    }
    fn finish(builder: TermBuilder, nulls: Option<NullBuffer>) -> ArrayRef {
        let vocabulary = builder.vocabulary.unwrap_or_else(|| Arc::new(StringArray::from(builder.words)));
        dictionary::<UInt16Type>(builder.codes, nulls, vocabulary)
    }
    fn view(array: &ArrayRef) -> TermView<'_> {
        let array = downcast::<DictionaryArray<UInt16Type>>(array);
        TermView { codes: array.keys().values(), vocabulary: downcast(array.values()) }
    }
    #[inline]
    fn get<'a: 'a>(view: TermView<'a>, row: usize) -> Term<'a> {
        Term(view.vocabulary.value(view.codes[row] as usize))
    }
}

/// Values of an enumeration, by their codes.
#[derive(Debug)]
pub struct Codes<E> {
    codes: Vec<u8>,
    enumeration: std::marker::PhantomData<E>,
}

impl<E> Default for Codes<E> {
    fn default() -> Self {
        Self { codes: Vec::new(), enumeration: std::marker::PhantomData }
    }
}

impl<E: crate::Enumeration> Codes<E> {
    /// Appends a value.
    #[inline]
    pub fn push(&mut self, value: E) {
        self.codes.push(value.code());
    }

    pub(crate) fn reserve(&mut self, count: usize) {
        self.codes.reserve(count);
    }

    pub(crate) fn push_fillers(&mut self, count: usize) {
        self.codes.resize(self.codes.len() + count, 0);
    }

    pub(crate) fn into_codes(self) -> Vec<u8> {
        self.codes
    }
}

/// Values of which some are null. Runs of values and of nulls are counted, and written to the bitmap when they end.
pub struct NullableBuilder<C: Cell> {
    values: C::Builder,
    nulls: NullBufferBuilder,
    /// Values that the bitmap does not have yet, and nulls behind them that the values do not have yet either.
    pending: (usize, usize),
}

impl<C: Cell> fmt::Debug for NullableBuilder<C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("NullableBuilder").field("values", &self.values).finish_non_exhaustive()
    }
}

impl<C: Cell> Default for NullableBuilder<C> {
    fn default() -> Self {
        Self::over(C::Builder::default())
    }
}

impl<C: Cell> NullableBuilder<C> {
    /// A builder that pushes to `values`.
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

    /// Where a value, which must follow, is pushed to.
    #[inline]
    fn next_value(&mut self) -> &mut C::Builder {
        if self.pending.1 > 0 {
            self.write_runs();
        }
        self.pending.0 += 1;
        &mut self.values
    }

    #[inline(never)]
    fn write_runs(&mut self) {
        let (values, nulls) = std::mem::take(&mut self.pending);
        self.nulls.append_n_non_nulls(values);
        self.nulls.append_n_nulls(nulls);
        C::push_fillers(&mut self.values, nulls);
    }
}

impl NullableBuilder<Term<'static>> {
    /// Appends the word at a position of the vocabulary that was given.
    #[inline]
    pub fn push_code(&mut self, code: u16) {
        self.next_value().push_code(code);
    }
}

/// Typed view of a nullable column.
pub struct NullableView<'a, C: Cell> {
    /// The values; what stands under a null means nothing.
    pub values: C::View<'a>,
    nulls: Option<&'a NullBuffer>,
}

impl<C: Cell> Clone for NullableView<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C: Cell> Copy for NullableView<'_, C> {}

impl<C: Cell> fmt::Debug for NullableView<'_, C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("NullableView")
            .field("values", &self.values)
            .field("nulls", &self.nulls)
            .finish()
    }
}

impl<'a, C: Cell> NullableView<'a, C> {
    /// The value in a row.
    #[inline]
    pub fn get(&self, row: usize) -> Option<C::Value<'a>> {
        self.is_valid(row).then(|| C::get(self.values, row))
    }

    /// Whether the row has a value.
    #[inline]
    pub fn is_valid(&self, row: usize) -> bool {
        self.nulls.is_none_or(|nulls| nulls.is_valid(row))
    }
}

impl<C: Cell> Cell for Option<C> {
    type Value<'a> = Option<C::Value<'a>>;
    type Builder = NullableBuilder<C>;
    type View<'a> = NullableView<'a, C>;
    const NULLABLE: bool = true;
    const NAMES: Option<&'static [&'static str]> = C::NAMES;

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
        builder.write_runs();
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
