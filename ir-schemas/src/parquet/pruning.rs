//! Conditions on columns, by which row groups are skipped: `(row group, condition) -> whether a row may satisfy it`.
//!
//! Decided by the bounds and the number of nulls of a column chunk, and by its Bloom filter. What a file does not state
//! excludes nothing.

use crate::TableInfo;
use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::ChunkReader;
use parquet::file::statistics::Statistics;

/// A condition: the value of a column is not null, and in one of some ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnCondition {
    /// Name of the column.
    pub column: &'static str,
    /// The ranges. Both ends belong to a range; `None` is no limit.
    pub ranges: Vec<(Option<ColumnValue>, Option<ColumnValue>)>,
}

/// A value of a column, for comparison.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ColumnValue {
    /// A number.
    Number(i128),
    /// A truth value.
    Boolean(bool),
    /// Text, as UTF-8, or bytes.
    Bytes(Vec<u8>),
}

impl ColumnCondition {
    /// Whether a row of a row group may satisfy the condition.
    pub(super) fn may_hold<R: ChunkReader + 'static>(
        &self,
        info: &TableInfo,
        row_group: &RowGroupMetaData,
        input: &R,
    ) -> bool {
        let Some(position) = info.column_index(self.column) else { return true };
        let chunk = row_group.column(position);
        if let Some(statistics) = chunk.statistics() {
            if statistics.null_count_opt() == Some(row_group.num_rows().max(0) as u64) {
                return false;
            }
            let is_unsigned = (info.columns[position].data_type)().is_unsigned_integer();
            let (least, greatest) = bounds(statistics, is_unsigned);
            if !self.ranges.iter().any(|range| overlaps(range, least.as_ref(), greatest.as_ref())) {
                return false;
            }
        }
        let Some(texts) = self.texts() else { return true };
        let filter =
            chunk.bloom_filter_offset().and_then(|_| Sbbf::read_from_column_chunk(chunk, input).ok()?);
        filter.is_none_or(|filter| texts.iter().any(|text| filter.check(*text)))
    }

    /// The texts of which the condition allows nothing else; `None` if it allows others.
    fn texts(&self) -> Option<Vec<&[u8]>> {
        let single = |range: &'_ (Option<ColumnValue>, Option<ColumnValue>)| range.0 == range.1;
        let texts = self.ranges.iter().map(|range| match &range.0 {
            Some(ColumnValue::Bytes(text)) if single(range) => Some(text.as_slice()),
            _ => None,
        });
        texts.collect()
    }
}

/// Whether a range has a value between two bounds. Values of different types are not compared.
fn overlaps(
    (from, to): &(Option<ColumnValue>, Option<ColumnValue>),
    least: Option<&ColumnValue>,
    greatest: Option<&ColumnValue>,
) -> bool {
    let is_less = |one: Option<&ColumnValue>, other: Option<&ColumnValue>| match (one, other) {
        (Some(one), Some(other)) => {
            std::mem::discriminant(one) == std::mem::discriminant(other) && one < other
        }
        _ => false,
    };
    !is_less(to.as_ref(), least) && !is_less(greatest, from.as_ref())
}

/// The least and the greatest value that the statistics state.
fn bounds(statistics: &Statistics, is_unsigned: bool) -> (Option<ColumnValue>, Option<ColumnValue>) {
    let narrow = |value: &i32| match is_unsigned {
        true => i128::from(value.cast_unsigned()),
        false => i128::from(*value),
    };
    let wide = |value: &i64| match is_unsigned {
        true => i128::from(value.cast_unsigned()),
        false => i128::from(*value),
    };
    let number = |value: Option<i128>| value.map(ColumnValue::Number);
    match statistics {
        Statistics::Int32(values) => {
            (number(values.min_opt().map(narrow)), number(values.max_opt().map(narrow)))
        }
        Statistics::Int64(values) => (number(values.min_opt().map(wide)), number(values.max_opt().map(wide))),
        Statistics::Boolean(values) => {
            let boolean = |value: Option<&bool>| value.copied().map(ColumnValue::Boolean);
            (boolean(values.min_opt()), boolean(values.max_opt()))
        }
        Statistics::ByteArray(values) => {
            let bytes = |value: Option<&parquet::data_type::ByteArray>| {
                value.map(|value| ColumnValue::Bytes(value.data().to_vec()))
            };
            (bytes(values.min_opt()), bytes(values.max_opt()))
        }
        _ => (None, None),
    }
}

/// A Bloom filter of texts. Sized for one in a hundred texts that are not among them to be taken for one.
pub(super) fn bloom_filter<'a>(texts: impl Iterator<Item = &'a str> + Clone) -> Option<Sbbf> {
    const FALSE_POSITIVES: f64 = 0.01;
    let count = texts.clone().count() as u64;
    let mut filter = Sbbf::new_with_ndv_fpp(count.max(1), FALSE_POSITIVES).ok()?;
    texts.for_each(|text| filter.insert(text));
    // Equal texts take less.
    filter.fold_to_target_fpp(FALSE_POSITIVES);
    (count > 0).then_some(filter)
}
