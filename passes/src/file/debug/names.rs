//! How much text is kept. Entries of a broken file can all have the same long name, so units have shares by their sizes:
//! whatever is read at the same time, the same names are kept.

use super::Problem;
use super::attributes::{Reference, Text};
use super::index::Index;
use binframe_ir::tables::DiagnosticCode;
use std::borrow::Cow;

/// Text that tables hold may be this many times what is read for it, and so many bytes at all.
const NAMES_PER_SIZE_MAX: u64 = 256;
const NAMES_SIZE_MAX: u64 = 8 << 30;

/// Arrow's limit for the text of one column, less a margin.
const NAMES_OF_PART_MAX: u64 = 1 << 30;

/// How much text may be kept for each byte that is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct NameShare(u64);

impl NameShare {
    /// The share where so many bytes are read in all.
    pub(super) fn of(size: u64) -> Self {
        Self((NAMES_SIZE_MAX / size.max(1)).clamp(1, NAMES_PER_SIZE_MAX))
    }

    /// What may be kept for so many bytes.
    pub(super) fn names(self, size: u64) -> Names {
        Names { left: size.saturating_mul(self.0).min(NAMES_OF_PART_MAX), left_out: 0 }
    }
}

/// Text that may still be kept.
pub(super) struct Names {
    left: u64,
    left_out: u64,
}

impl Names {
    /// The text, if there is room for it.
    pub(super) fn take<T: AsRef<str>>(&mut self, text: T) -> Option<T> {
        match self.left.checked_sub(text.as_ref().len() as u64) {
            Some(left) => self.left = left,
            None => {
                self.left_out += 1;
                return None;
            }
        }
        Some(text)
    }

    /// The text that begins at a place, if there is one and room for it.
    pub(super) fn take_text<'a>(&mut self, text: Option<Text<'a>>) -> Option<Cow<'a, str>> {
        let text = text?;
        if self.left == 0 {
            self.left_out += 1;
            return None;
        }
        self.take(String::from_utf8_lossy(text.bytes()))
    }

    /// The name of a type, if there is room for it.
    pub(super) fn type_name(&mut self, index: &Index<'_>, unit_index: u32, of: Reference) -> Option<String> {
        if self.left == 0 {
            self.left_out += 1;
            return None;
        }
        self.take(index.type_name(unit_index, of))
    }

    /// That names were left out, if some were.
    pub(super) fn problem(&self) -> Option<Problem> {
        let message = format!("{} names are more text than is kept", self.left_out);
        (self.left_out > 0).then_some((DiagnosticCode::BrokenName, message))
    }
}
