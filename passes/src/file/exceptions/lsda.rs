//! Types that all readers of language-specific data (LSDA) share: input, output, errors.

use crate::diagnostics::{Collector, DiagnosticLocation};
use crate::file::sections::SectionsIr;
use crate::file::sections_by_address::SectionsByAddress;
use binframe_ir::tables::{BinaryExceptionCallSiteBuilder, BinaryKind, BinarySectionColumns, DiagnosticCode};
use gimli::Error;
use std::fmt;

/// A function and its LSDA. In a relocatable object, addresses are offsets in the sections.
#[derive(Debug, Clone, Copy)]
pub(super) struct FunctionLsda {
    pub(super) function_address: u64,
    pub(super) function_size: u64,
    /// Index of the section that contains the code.
    pub(super) section_index: Option<u32>,
    pub(super) lsda_address: u64,
    pub(super) lsda_section_index: Option<u32>,
    /// Address of the function that reads the LSDA; `None` if the file does not state it.
    pub(super) handler_address: Option<u64>,
}

/// The rows and diagnostics that readers add to.
pub(super) struct LsdaOutput<'a> {
    pub(super) sections: SectionLookup<'a>,
    pub(super) call_sites: BinaryExceptionCallSiteBuilder,
    pub(super) diagnostics: Collector,
}

impl LsdaOutput<'_> {
    /// Reports LSDA that cannot be read.
    pub(super) fn report(&mut self, lsda_address: u64, error: LsdaError) {
        let message = format!("language-specific data cannot be read: {error}");
        let location = DiagnosticLocation::Address(lsda_address);
        match error {
            // Nothing is broken.
            LsdaError::NeedsRelocations => {
                self.diagnostics.note(DiagnosticCode::UnreadExceptionTable, location, &message);
            }
            _ => self.diagnostics.error(DiagnosticCode::BrokenExceptionTable, location, &message),
        }
    }
}

/// The sections of a file, by index and by address of code.
pub(super) struct SectionLookup<'a> {
    pub(super) columns: BinarySectionColumns<'a>,
    code: SectionsByAddress,
    pub(super) is_relocatable: bool,
}

impl<'a> SectionLookup<'a> {
    pub(super) fn of(sections: &'a SectionsIr) -> Self {
        let header = sections.headers.columns().iter().next();
        Self {
            columns: sections.sections.columns(),
            code: SectionsByAddress::of(&sections.sections, |section| section.is_executable),
            is_relocatable: header.is_some_and(|header| header.kind == BinaryKind::Relocatable),
        }
    }

    /// Row of a section.
    pub(super) fn row(&self, section_index: Option<u32>) -> Option<usize> {
        self.columns.section_index.binary_search(&section_index?).ok()
    }

    /// Index of the section that contains code at an address. In an object, code is in the section of the function that
    /// refers to it.
    pub(super) fn section_of_code(&self, address: u64, function_section: Option<u32>) -> Option<u32> {
        match self.is_relocatable {
            true => function_section,
            false => self.code.holding(address).map(|row| self.columns.section_index[row]),
        }
    }
}

/// Why LSDA cannot be read.
#[derive(Debug, Clone, Copy)]
pub(super) enum LsdaError {
    /// Invalid bytes.
    Bytes(Error),
    /// A reference outside of all sections.
    OutOfBounds,
    /// Functions share LSDA beyond the limit.
    LimitExceeded,
    /// Addresses that only relocations state.
    NeedsRelocations,
    /// A reference to code that is not in an executable section.
    NotCode,
    /// Ranges or states that are not sorted.
    NotSorted,
}

impl From<Error> for LsdaError {
    fn from(error: Error) -> Self {
        Self::Bytes(error)
    }
}

impl fmt::Display for LsdaError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(error) => error.fmt(formatter),
            Self::OutOfBounds => formatter.write_str("it does not lie in the bytes of a section"),
            Self::LimitExceeded => formatter.write_str("functions share too much of it"),
            Self::NeedsRelocations => formatter.write_str("only relocations say where its landing pads are"),
            Self::NotCode => formatter.write_str("it refers to what is no code"),
            Self::NotSorted => formatter.write_str("its ranges or states are not in order"),
        }
    }
}
