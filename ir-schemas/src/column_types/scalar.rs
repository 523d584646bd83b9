//! Columns of integers, timestamps and booleans.

use super::column_type::{ColumnType, downcast};
use arrow_array::{ArrayRef, BooleanArray, PrimitiveArray};
use arrow_buffer::{BooleanBufferBuilder, NullBuffer};
use arrow_schema::{DataType, TimeUnit};
use std::sync::Arc;

macro_rules! primitive_column_types {
    ($($native:ty => $arrow:ident),+ $(,)?) => { $(
        impl ColumnType for $native {
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

primitive_column_types! {
    u8 => UInt8Type, u16 => UInt16Type, u32 => UInt32Type, u64 => UInt64Type, i32 => Int32Type, i64 => Int64Type,
}

/// Nanoseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl ColumnType for Timestamp {
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

impl ColumnType for bool {
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

/// Builder of a bit-packed boolean column.
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
