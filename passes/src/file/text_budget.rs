//! Limits on the text that tables hold.
//!
//! String tables share suffixes, and names of a broken file may overlap or be named any number of times. A budget
//! bounds both the text that is kept and the bytes that are scanned for it, in proportion to the file.

use std::borrow::Cow;
use std::ffi::CStr;

/// Text in one column, in bytes: half of Arrow's limit, which leaves a margin for names that are in no file.
pub(crate) const COLUMN_TEXT_SIZE_MAX: u64 = 1 << 30;

/// All names of a file may be this many times its size. Valid files stay far below, although string tables share
/// suffixes.
pub(crate) const NAMES_PER_FILE_SIZE_MAX: u64 = 16;

/// The message for names that exceed their budget.
pub(crate) const NAMES_TOO_LONG: &str = "all names together are too long";

/// The text, in bytes, that may still be kept.
pub(crate) struct TextBudget {
    left: u64,
    refused: u64,
}

impl TextBudget {
    /// A budget of `size` bytes, and at most what one column can hold.
    pub(crate) fn new(size: u64) -> Self {
        Self { left: size.min(COLUMN_TEXT_SIZE_MAX), refused: 0 }
    }

    /// The budget for the names of a file of `size` bytes.
    pub(crate) fn of_names(size: usize) -> Self {
        Self::new((size as u64).saturating_mul(NAMES_PER_FILE_SIZE_MAX))
    }

    /// Spends `size` bytes. If fewer are left, spends none, counts the text as refused and returns `None`.
    pub(crate) fn spend(&mut self, size: usize) -> Option<()> {
        let Some(left) = self.left.checked_sub(size as u64) else {
            self.refused += 1;
            return None;
        };
        self.left = left;
        Some(())
    }

    /// The text, if the budget allows it.
    pub(crate) fn take<T: AsRef<str>>(&mut self, text: T) -> Option<T> {
        self.spend(text.as_ref().len())?;
        Some(text)
    }

    /// Refuses a text without reading it if nothing is left.
    pub(crate) fn check(&mut self) -> Option<()> {
        if self.left == 0 {
            self.refused += 1;
        }
        (self.left > 0).then_some(())
    }

    /// Number of texts that were refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }
}

/// The names of a file that may still be kept, and the bytes that may still be scanned for their ends.
pub(crate) struct NameBudget {
    kept: TextBudget,
    /// Any number of names may end at the same byte, so that their common part is scanned repeatedly.
    unscanned: usize,
}

impl NameBudget {
    pub(crate) fn of_file(file: &[u8]) -> Self {
        let unscanned = file.len().saturating_mul(NAMES_PER_FILE_SIZE_MAX as usize);
        Self { kept: TextBudget::of_names(file.len()), unscanned }
    }

    /// The name, if the budget allows it.
    pub(crate) fn take<T: AsRef<str>>(&mut self, name: T) -> Option<T> {
        self.kept.take(name)
    }

    /// The name at an offset of a string table, up to the zero byte or the end of the table.
    pub(crate) fn read<'a>(&mut self, strings: &'a [u8], offset: u64) -> Result<Cow<'a, str>, &'static str> {
        let rest = usize::try_from(offset).ok().and_then(|offset| strings.get(offset..));
        let rest = rest.ok_or("it stands behind the string table")?;
        let scanned = &rest[..rest.len().min(self.unscanned)];
        let name = CStr::from_bytes_until_nul(scanned).map_or(scanned, CStr::to_bytes);
        self.unscanned -= name.len();
        if name.len() == scanned.len() && scanned.len() < rest.len() {
            return Err(NAMES_TOO_LONG);
        }
        self.take(String::from_utf8_lossy(name)).ok_or(NAMES_TOO_LONG)
    }
}
