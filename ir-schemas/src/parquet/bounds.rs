//! Bounds of the values of a page or column chunk, by which a reader skips what it does not need.
//!
//! Source: Parquet format, `Statistics` and `ColumnIndex` in `parquet.thrift`.

use parquet::basic::Type;
use parquet::data_type::ByteArray;
use parquet::file::statistics::{Statistics, ValueStatistics};

/// Size in bytes to which bounds are shortened that are written. Sections are values of a column too.
const SIZE_MAX: usize = 64;

/// The least and the greatest value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bounds<'a> {
    /// Integers that the file stores in 32 bits.
    Int32(i128, i128),
    /// Integers that the file stores in 64 bits.
    Int64(i128, i128),
    Boolean(bool, bool),
    /// Names of an enumeration, or of an input. They are written in full.
    Name(&'a str, &'a str),
    Text(&'a str, &'a str),
    Bytes(&'a [u8], &'a [u8]),
}

impl<'a> Bounds<'a> {
    /// Bounds of 32-bit or 64-bit integers; `None` without values.
    pub(super) fn of_integers(values: impl Iterator<Item = i128>, is_narrow: bool) -> Option<Self> {
        let (least, greatest) = least_and_greatest(values)?;
        Some(if is_narrow { Self::Int32(least, greatest) } else { Self::Int64(least, greatest) })
    }

    /// Bounds of truth values; `None` without values.
    pub(super) fn of_booleans(values: impl Iterator<Item = bool>) -> Option<Self> {
        least_and_greatest(values).map(|(least, greatest)| Self::Boolean(least, greatest))
    }

    /// Bounds of names; `None` without values.
    pub(super) fn of_names(values: impl Iterator<Item = &'a str>) -> Option<Self> {
        least_and_greatest(values).map(|(least, greatest)| Self::Name(least, greatest))
    }

    /// Bounds of texts; `None` without values.
    pub(super) fn of_texts(values: impl Iterator<Item = &'a str>) -> Option<Self> {
        least_and_greatest(values).map(|(least, greatest)| Self::Text(least, greatest))
    }

    /// Bounds of byte strings; `None` without values.
    pub(super) fn of_bytes(values: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        least_and_greatest(values).map(|(least, greatest)| Self::Bytes(least, greatest))
    }

    /// Bounds of the values of two pages of a column.
    pub(super) fn join(self, other: Self) -> Self {
        match (self, other) {
            (Self::Int32(a, b), Self::Int32(c, d)) => Self::Int32(a.min(c), b.max(d)),
            (Self::Int64(a, b), Self::Int64(c, d)) => Self::Int64(a.min(c), b.max(d)),
            (Self::Boolean(a, b), Self::Boolean(c, d)) => Self::Boolean(a.min(c), b.max(d)),
            (Self::Name(a, b), Self::Name(c, d)) => Self::Name(a.min(c), b.max(d)),
            (Self::Text(a, b), Self::Text(c, d)) => Self::Text(a.min(c), b.max(d)),
            (Self::Bytes(a, b), Self::Bytes(c, d)) => Self::Bytes(a.min(c), b.max(d)),
            _ => unreachable!("the pages of a column are of one type"),
        }
    }

    /// Whether neither bound of the next page is less.
    pub(super) fn is_ascending(&self, next: &Self) -> bool {
        let joined = self.join(*next);
        let least = |bounds: &Self| bounds.encoded().map(|(least, _)| least);
        let greatest = |bounds: &Self| bounds.encoded().map(|(_, greatest)| greatest);
        least(&joined) == least(self) && greatest(&joined) == greatest(next)
    }

    /// The statistics of a column chunk. `None` if no short text is a bound.
    pub(super) fn statistics(&self, null_count: usize) -> Option<Statistics> {
        let nulls = Some(null_count as u64);
        Some(match *self {
            Self::Int32(least, greatest) => {
                Statistics::int32(Some(least as i32), Some(greatest as i32), None, nulls, false)
            }
            Self::Int64(least, greatest) => {
                Statistics::int64(Some(least as i64), Some(greatest as i64), None, nulls, false)
            }
            Self::Boolean(least, greatest) => {
                Statistics::boolean(Some(least), Some(greatest), None, nulls, false)
            }
            Self::Name(least, greatest) => Statistics::byte_array(
                Some(ByteArray::from(least)),
                Some(ByteArray::from(greatest)),
                None,
                nulls,
                false,
            ),
            Self::Text(..) | Self::Bytes(..) => {
                let (least, greatest) = self.encoded()?;
                let (is_least, is_greatest) = (least == self.ends().0, greatest == self.ends().1);
                let values = ValueStatistics::new(
                    Some(ByteArray::from(least)),
                    Some(ByteArray::from(greatest)),
                    None,
                    nulls,
                    false,
                );
                let values = values.with_min_is_exact(is_least).with_max_is_exact(is_greatest);
                Statistics::ByteArray(values)
            }
        })
    }

    /// Both bounds as bytes; empty for other types.
    fn ends(&self) -> (&'a [u8], &'a [u8]) {
        match *self {
            Self::Name(least, greatest) | Self::Text(least, greatest) => {
                (least.as_bytes(), greatest.as_bytes())
            }
            Self::Bytes(least, greatest) => (least, greatest),
            _ => (&[], &[]),
        }
    }

    /// Both bounds as in the column index. `None` if no short text is a bound.
    pub(super) fn encoded(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        Some(match *self {
            Self::Int32(least, greatest) => {
                ((least as i32).to_le_bytes().to_vec(), (greatest as i32).to_le_bytes().to_vec())
            }
            Self::Int64(least, greatest) => {
                ((least as i64).to_le_bytes().to_vec(), (greatest as i64).to_le_bytes().to_vec())
            }
            Self::Boolean(least, greatest) => (vec![u8::from(least)], vec![u8::from(greatest)]),
            Self::Name(least, greatest) => (least.into(), greatest.into()),
            Self::Text(least, greatest) => {
                (least[..least.floor_char_boundary(SIZE_MAX)].into(), above_text(greatest)?)
            }
            Self::Bytes(least, greatest) => {
                (least[..least.len().min(SIZE_MAX)].into(), above_bytes(greatest)?)
            }
        })
    }
}

/// The statistics of a column chunk without values.
pub(super) fn null_statistics(physical_type: Type, null_count: usize) -> Statistics {
    let nulls = Some(null_count as u64);
    match physical_type {
        Type::BOOLEAN => Statistics::boolean(None, None, None, nulls, false),
        Type::INT32 => Statistics::int32(None, None, None, nulls, false),
        Type::INT64 => Statistics::int64(None, None, None, nulls, false),
        Type::BYTE_ARRAY => Statistics::byte_array(None, None, None, nulls, false),
        other => unreachable!("no column is stored as {other}"),
    }
}

fn least_and_greatest<T: Ord + Copy>(mut values: impl Iterator<Item = T>) -> Option<(T, T)> {
    let first = values.next()?;
    Some(values.fold((first, first), |(least, greatest), value| (least.min(value), greatest.max(value))))
}

/// The bytes, or a short byte string that is not less.
fn above_bytes(bytes: &[u8]) -> Option<Vec<u8>> {
    let Some(start) = bytes.get(..SIZE_MAX).filter(|start| start.len() < bytes.len()) else {
        return Some(bytes.into());
    };
    let last = start.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut above = start[..=last].to_vec();
    above[last] += 1;
    Some(above)
}

/// The text, or a short text that is not less.
fn above_text(text: &str) -> Option<Vec<u8>> {
    let start = &text.as_bytes()[..text.floor_char_boundary(SIZE_MAX)];
    if start.len() == text.len() {
        return Some(start.into());
    }
    // A successor of an ASCII letter is a letter.
    let last = start.iter().rposition(|byte| *byte < 0x7f)?;
    let mut above = start[..=last].to_vec();
    above[last] += 1;
    Some(above)
}

#[cfg(test)]
mod tests {
    use super::{Bounds, SIZE_MAX};

    #[test]
    fn long_bounds_are_shortened_and_still_bound() {
        for text in ["a".repeat(1000), format!("{}é", "x".repeat(63)), format!("a{}", "é".repeat(100))] {
            let (least, greatest) = Bounds::Text(&text, &text).encoded().expect("it has an ASCII letter");
            assert!(least.len() <= SIZE_MAX && greatest.len() <= SIZE_MAX);
            assert!(least.as_slice() <= text.as_bytes() && greatest.as_slice() >= text.as_bytes());
            assert!(std::str::from_utf8(&least).is_ok() && std::str::from_utf8(&greatest).is_ok());
        }
        assert_eq!(Bounds::Text("", &"é".repeat(100)).encoded(), None);
        let bytes = [vec![1], vec![0xff; 100]].concat();
        assert_eq!(Bounds::Bytes(&[], &bytes).encoded(), Some((vec![], vec![2])));
        assert_eq!(Bounds::Bytes(&[], &[0xff; 65]).encoded(), None);
        assert_eq!(Bounds::Bytes(&[0xff], &[0xff; 64]).encoded(), Some((vec![0xff], vec![0xff; 64])));
    }

    #[test]
    fn integers_are_compared_as_numbers() {
        let pages =
            [[-2, 3], [-1, 7], [300, 400]].map(|values| Bounds::of_integers(values.into_iter(), false));
        let [first, second, third] = pages.map(|page| page.expect("there are values"));
        assert!(first.is_ascending(&second) && second.is_ascending(&third) && !third.is_ascending(&first));
        assert_eq!(first.join(third), Bounds::Int64(-2, 400));
        assert_eq!(Bounds::of_integers([].into_iter(), false), None);
    }
}
