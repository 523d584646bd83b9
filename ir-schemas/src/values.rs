//! Values of columns whose type is known at run time.

use crate::Batch;
use arrow_array::{Array, ArrayRef, ListArray, cast::AsArray, types};
use arrow_schema::DataType;
use xxhash_rust::xxh3::Xxh3;

/// The values of an integer column as `u64`: `None` for nulls and for columns of other types; negative numbers wrap.
pub fn integers(array: &ArrayRef) -> impl Iterator<Item = Option<u64>> + '_ {
    (0..array.len()).map(|row| integer(array, row).map(|value| value as u64))
}

/// The integer in a row; `None` for a null and for columns of other types.
pub(crate) fn integer(array: &dyn Array, row: usize) -> Option<i128> {
    if array.is_null(row) {
        return None;
    }
    Some(match array.data_type() {
        DataType::UInt8 => array.as_primitive::<types::UInt8Type>().value(row).into(),
        DataType::UInt16 => array.as_primitive::<types::UInt16Type>().value(row).into(),
        DataType::UInt32 => array.as_primitive::<types::UInt32Type>().value(row).into(),
        DataType::UInt64 => array.as_primitive::<types::UInt64Type>().value(row).into(),
        DataType::Int32 => array.as_primitive::<types::Int32Type>().value(row).into(),
        DataType::Int64 => array.as_primitive::<types::Int64Type>().value(row).into(),
        DataType::Timestamp(_, _) => array.as_primitive::<types::TimestampNanosecondType>().value(row).into(),
        _ => return None,
    })
}

/// The text in a row of a dictionary column; `None` for a null.
pub(crate) fn dictionary_text(array: &dyn Array, row: usize) -> Option<&str> {
    let dictionary = array.as_any_dictionary();
    let key = integer(dictionary.keys(), row)?;
    Some(dictionary.values().as_string::<i32>().value(key as usize))
}

/// The elements of the lists, which may be a slice of longer ones.
pub(crate) fn list_elements(lists: &ListArray) -> ArrayRef {
    let offsets = lists.value_offsets();
    let [start, end] = [offsets[0], offsets[lists.len()]].map(|offset| offset as usize);
    lists.values().slice(start, end - start)
}

/// For each row a number that equals that of other rows, of any table, in which the columns have the same values; `None`
/// if one of them is null. Of one column of integers, it is the value; negative numbers wrap.
pub fn reference_values<'a>(batch: &'a Batch, columns: &'a [&str]) -> impl Iterator<Item = Option<u64>> + 'a {
    let arrays: Vec<_> = columns.iter().map(|name| batch.column(name)).collect();
    (0..batch.rows()).map(move |row| match arrays.as_slice() {
        [only] => integer(only, row).map(|value| value as u64),
        several => {
            let mut hash = Xxh3::new();
            for array in several {
                if array.is_null(row) {
                    return None;
                }
                match (integer(array, row), array.data_type()) {
                    (Some(value), _) => hash.update(&value.to_le_bytes()),
                    (None, DataType::Boolean) => hash.update(&[u8::from(array.as_boolean().value(row))]),
                    (None, DataType::Dictionary(..)) => hash.update(dictionary_text(array, row)?.as_bytes()),
                    (None, other) => unreachable!("no reference has a column of {other}"),
                }
            }
            Some(hash.digest())
        }
    })
}
