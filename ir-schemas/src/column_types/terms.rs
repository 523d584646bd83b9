//! Columns of lists of terms.

use super::column_type::{ColumnType, downcast};
use super::term::{Term, TermBuilder, TermView};
use arrow_array::{Array, ArrayRef, ListArray};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, FieldRef};
use std::sync::Arc;

/// A list of names from an open vocabulary, such as registers. May be empty.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a>(Source<'a>);

#[derive(Debug, Clone, Copy)]
enum Source<'a> {
    Words(&'a [&'a str]),
    /// The terms from one row of a column up to another.
    Column(TermView<'a>, usize, usize),
}

impl<'a> Terms<'a> {
    /// A list of words.
    pub fn of(words: &'a [&'a str]) -> Self {
        Self(Source::Words(words))
    }

    /// All terms of a column of terms.
    pub(crate) fn of_array(terms: &'a ArrayRef) -> Self {
        Self(Source::Column(Term::view(terms), 0, terms.len()))
    }

    /// The words, in order.
    pub fn iter(self) -> impl Iterator<Item = &'a str> {
        let count = match self.0 {
            Source::Words(words) => words.len(),
            Source::Column(_, start, end) => end - start,
        };
        (0..count).map(move |index| match self.0 {
            Source::Words(words) => words[index],
            Source::Column(terms, start, _) => Term::get(terms, start + index).0,
        })
    }
}

impl Default for Terms<'_> {
    fn default() -> Self {
        Self::of(&[])
    }
}

/// Builder of a column of lists: all terms concatenated, and the offset at which each list ends.
#[derive(Debug)]
pub struct TermsBuilder {
    offsets: Vec<i32>,
    terms: TermBuilder,
}

impl Default for TermsBuilder {
    fn default() -> Self {
        Self { offsets: vec![0], terms: TermBuilder::default() }
    }
}

/// Typed view of a column of lists.
#[derive(Debug, Clone, Copy)]
pub struct TermsView<'a> {
    offsets: &'a [i32],
    terms: TermView<'a>,
}

/// The elements of the lists. The name is that of the Parquet format.
fn element() -> FieldRef {
    Arc::new(Field::new("element", Term::data_type(), false))
}

impl ColumnType for Terms<'static> {
    type Value<'a> = Terms<'a>;
    type Builder = TermsBuilder;
    type View<'a> = TermsView<'a>;

    fn data_type() -> DataType {
        DataType::List(element())
    }
    fn reserve(builder: &mut TermsBuilder, count: usize) {
        builder.offsets.reserve(count);
    }
    fn push(builder: &mut TermsBuilder, value: Terms<'_>) {
        let mut end = builder.offsets.last().copied().unwrap_or(0);
        for word in value.iter() {
            builder.terms.push(word);
            end = end.checked_add(1).expect("fewer than 2^31 terms in a column");
        }
        builder.offsets.push(end);
    }
    fn push_fillers(builder: &mut TermsBuilder, count: usize) {
        (0..count).for_each(|_| Self::push(builder, Terms::default()));
    }
    fn finish(builder: TermsBuilder, nulls: Option<NullBuffer>) -> ArrayRef {
        let terms = Term::finish(builder.terms, None);
        Arc::new(ListArray::new(element(), OffsetBuffer::new(builder.offsets.into()), terms, nulls))
    }
    fn view(array: &ArrayRef) -> TermsView<'_> {
        let array = downcast::<ListArray>(array);
        TermsView { offsets: array.value_offsets(), terms: Term::view(array.values()) }
    }
    fn get<'a: 'a>(view: TermsView<'a>, row: usize) -> Terms<'a> {
        let [start, end] = [view.offsets[row], view.offsets[row + 1]].map(|offset| offset as usize);
        Terms(Source::Column(view.terms, start, end))
    }
}
