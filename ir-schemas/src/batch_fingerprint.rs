//! Fingerprints of rows.

use crate::fingerprint::Fingerprint;
use crate::table::Batch;
use crate::values::list_elements;
use arrow_array::cast::AsArray;
use arrow_array::types::{UInt8Type, UInt16Type};
use arrow_array::{Array, ArrayRef, BinaryViewArray, StringArray, UInt32Array};
use arrow_schema::DataType;
use xxhash_rust::xxh3::Xxh3;

impl Batch {
    /// Fingerprint of the rows.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hash = Xxh3::new();
        hash.update(self.info().name.as_bytes());
        hash.update(&(self.rows() as u64).to_le_bytes());
        for column in self.columns() {
            hash_array(&mut hash, column);
        }
        Fingerprint(hash.digest128())
    }
}

/// Hashes values, not buffers: placeholders for nulls, and the offset of an array in its buffers, have no influence.
fn hash_array(hash: &mut Xxh3, array: &ArrayRef) {
    if let Some(nulls) = array.nulls().filter(|nulls| nulls.null_count() > 0) {
        let valid: Vec<u8> = nulls.iter().map(u8::from).collect();
        hash.update(&valid);
        let non_null =
            arrow_select::filter::filter(array, &arrow_array::BooleanArray::new(nulls.inner().clone(), None));
        return hash_values(hash, &non_null.expect("as long as its own nulls"));
    }
    hash_values(hash, array);
}

fn hash_values(hash: &mut Xxh3, array: &ArrayRef) {
    let hash_each = |hash: &mut Xxh3, value: &[u8]| {
        hash.update(&(value.len() as u64).to_le_bytes());
        hash.update(value);
    };
    match array.data_type() {
        DataType::Utf8 => {
            let array = array.as_any().downcast_ref::<StringArray>().expect("text");
            array.iter().flatten().for_each(|value| hash_each(hash, value.as_bytes()));
        }
        DataType::BinaryView => {
            let array = array.as_any().downcast_ref::<BinaryViewArray>().expect("bytes");
            array.iter().flatten().for_each(|value| hash_each(hash, value));
        }
        DataType::Dictionary(_, _) => hash_dictionary(hash, array),
        DataType::List(_) => {
            let lists = array.as_list::<i32>();
            for ends in lists.value_offsets().windows(2) {
                hash.update(&(ends[1] - ends[0]).to_le_bytes());
            }
            hash_values(hash, &list_elements(lists));
        }
        _ => hash_buffer(hash, array),
    }
}

/// Hashes a dictionary column. Of an enumeration, whose dictionary is fixed, hashes the codes. Of terms, hashes the
/// words in the order of their first use, and the position of each row's word in that order: the order of the
/// vocabulary and unused words have no influence.
fn hash_dictionary(hash: &mut Xxh3, array: &ArrayRef) {
    let dictionary = array.as_any_dictionary();
    let keys = dictionary.keys();
    if *keys.data_type() == DataType::UInt8 {
        return hash.update(keys.as_primitive::<UInt8Type>().values().inner());
    }
    let mut positions: Vec<Option<u16>> = vec![None; dictionary.values().len()];
    let mut words: Vec<u32> = Vec::new();
    let mut rows: Vec<u8> = Vec::with_capacity(2 * array.len());
    for code in keys.as_primitive::<UInt16Type>().values() {
        let position = *positions[usize::from(*code)].get_or_insert_with(|| {
            words.push(u32::from(*code));
            (words.len() - 1) as u16
        });
        rows.extend(position.to_le_bytes());
    }
    let words = arrow_select::take::take(dictionary.values(), &UInt32Array::from(words), None);
    hash_values(hash, &words.expect("codes are within the vocabulary"));
    hash.update(&rows);
}

/// Hashes an array of numbers or booleans without nulls.
fn hash_buffer(hash: &mut Xxh3, array: &ArrayRef) {
    if let Some(booleans) = array.as_any().downcast_ref::<arrow_array::BooleanArray>() {
        let bytes: Vec<u8> = booleans.values().iter().map(u8::from).collect();
        return hash.update(&bytes);
    }
    let data = array.to_data();
    let width = array.data_type().primitive_width().expect("a column of numbers");
    let start = data.offset() * width;
    hash.update(&data.buffers()[0].as_slice()[start..start + data.len() * width]);
}
