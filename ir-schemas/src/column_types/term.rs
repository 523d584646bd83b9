//! Columns of terms: dictionary-encoded text with an open vocabulary.

use super::column_type::{ColumnType, dictionary, downcast};
use arrow_array::types::UInt16Type;
use arrow_array::{ArrayRef, DictionaryArray, StringArray};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use std::collections::HashMap;
use std::sync::Arc;

/// A name from an open vocabulary, such as a mnemonic or a register: text in the schema, two bytes in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Term<'a>(pub &'a str);

/// Builder of a column of terms: a code per row, and the vocabulary that it refers to.
#[derive(Debug, Default)]
pub struct TermBuilder {
    codes: Vec<u16>,
    vocabulary: Option<ArrayRef>,
    words: Vec<String>,
    code_of_word: HashMap<String, u16>,
}

impl TermBuilder {
    /// A builder with a fixed vocabulary (an array of text).
    pub fn with_vocabulary(vocabulary: ArrayRef) -> Self {
        Self { vocabulary: Some(vocabulary), ..Self::default() }
    }

    /// Appends the word at a position of the fixed vocabulary.
    #[inline]
    pub fn push_code(&mut self, code: u16) {
        self.codes.push(code);
    }

    /// Appends a word, adding it to the vocabulary if necessary.
    ///
    /// # Panics
    /// If the vocabulary is fixed or exceeds 65,536 words.
    pub fn push(&mut self, word: &str) {
        assert!(self.vocabulary.is_none(), "words of a fixed vocabulary are appended by code");
        // Consecutive rows often have the same word.
        let last = self
            .codes
            .last()
            .copied()
            .filter(|code| self.words.get(*code as usize).is_some_and(|last| last == word));
        let code = last.or_else(|| self.code_of_word.get(word).copied()).unwrap_or_else(|| {
            let code = u16::try_from(self.words.len()).expect("at most 65,536 words");
            self.words.push(word.to_owned());
            self.code_of_word.insert(word.to_owned(), code);
            code
        });
        self.codes.push(code);
    }
}

/// Typed view of a column of terms.
#[derive(Debug, Clone, Copy)]
pub struct TermView<'a> {
    /// For each row, the position of its word in `vocabulary`.
    pub codes: &'a [u16],
    /// The words.
    pub vocabulary: &'a StringArray,
}

impl ColumnType for Term<'static> {
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
