//! The text that units may put into tables.
//!
//! Entries of a broken file can all have the same long name. A chunk of units has a share of the text in proportion to
//! its size, so that the result does not depend on which chunks are processed first.

use super::attributes::DwarfString;
use super::reports::Problem;
use crate::file::text_budget::TextBudget;
use binframe_ir::tables::DiagnosticCode;
use std::borrow::Cow;

/// Names of all tables may be this many times the size of the units, and this many bytes.
const NAMES_PER_SIZE_MAX: u64 = 256;
const NAMES_SIZE_MAX: u64 = 8 << 30;

/// Bytes of text for each byte that is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct NameShare(u64);

impl NameShare {
    /// The share if `size` bytes are read in total.
    pub(super) fn of(size: u64) -> Self {
        Self((NAMES_SIZE_MAX / size.max(1)).clamp(1, NAMES_PER_SIZE_MAX))
    }

    /// The budget for `size` bytes that are read.
    pub(super) fn budget(self, size: u64) -> TextBudget {
        TextBudget::new(size.saturating_mul(self.0))
    }
}

/// The text, if there is one and the budget allows it. Nothing is read once the budget is spent.
pub(super) fn take_text<'a>(names: &mut TextBudget, text: Option<DwarfString<'a>>) -> Option<Cow<'a, str>> {
    let text = text?;
    names.check()?;
    names.take(String::from_utf8_lossy(text.bytes()))
}

/// The diagnostic on names that were refused, if any were.
pub(super) fn problem(names: &TextBudget) -> Option<Problem> {
    let message = format!("{} names are more text than is kept", names.refused());
    (names.refused() > 0).then_some((DiagnosticCode::BrokenName, message))
}
