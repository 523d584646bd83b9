//! Reads fields of the data that handlers read, and counts records.

use super::super::itanium::LsdaFormat;
use super::super::lsda::{FunctionLsda, LsdaError, SectionLookup};
use super::function_info::FunctionInfos;
use crate::file::formats::pe_addresses::{ImageView, SectionOffset};
use crate::file::sections::SectionsIr;
use object::pe::Machine;

/// Size of the smallest record: no more records are read than would fit in the file if all had this size.
const RECORD_SIZE_MIN: usize = 4;

/// A reader of handler data in an image or object.
pub(super) struct HandlerDataReader<'a, 'v, V> {
    pub(super) view: &'v V,
    pub(super) machine: Machine,
    /// The format of LSDA for handlers that follow the Itanium ABI.
    pub(super) itanium: LsdaFormat<'a>,
    pub(super) infos: FunctionInfos,
    /// Records that may still be read: functions may share them, and broken ones may overlap.
    records_left: usize,
}

impl<'a, 'v, V: ImageView> HandlerDataReader<'a, 'v, V> {
    pub(super) fn new(view: &'v V, sections: &'a SectionsIr, file_size: usize, machine: Machine) -> Self {
        let records_left = file_size / RECORD_SIZE_MIN;
        let itanium = LsdaFormat::of(sections);
        Self { view, machine, itanium, infos: FunctionInfos::default(), records_left }
    }

    /// Counts records that are read.
    pub(super) fn count_records(&mut self, count: usize) -> Result<(), LsdaError> {
        self.records_left = self.records_left.checked_sub(count).ok_or(LsdaError::LimitExceeded)?;
        Ok(())
    }

    /// Locations of a function's data and of its code.
    pub(super) fn locate(
        &self,
        function: &FunctionLsda,
    ) -> Result<(SectionOffset, SectionOffset), LsdaError> {
        let locate = |address, section: Option<u32>| self.view.locate(address, section?);
        let data = locate(function.lsda_address, function.lsda_section_index);
        let code = locate(function.function_address, function.section_index);
        Ok((data.ok_or(LsdaError::OutOfBounds)?, code.ok_or(LsdaError::NotCode)?))
    }

    /// The four-byte integer at a location.
    pub(super) fn number(&self, at: SectionOffset) -> Result<u32, LsdaError> {
        self.view.number(at).ok_or(LsdaError::OutOfBounds)
    }

    /// The location that a four-byte field refers to or, if it is not a reference, its value.
    pub(super) fn reference(&self, field: SectionOffset) -> Result<Result<SectionOffset, u32>, LsdaError> {
        let number = self.number(field)?;
        // No code has RVA 0 or 1, which are used as special values.
        let target = self.view.target(field).filter(|target| target.section != 0 || target.offset > 1);
        Ok(target.ok_or(number))
    }

    /// The code that a four-byte field refers to; `None` if the field is zero.
    pub(super) fn code(
        &self,
        field: SectionOffset,
        sections: &SectionLookup<'_>,
    ) -> Result<Option<SectionOffset>, LsdaError> {
        let target = match self.reference(field)? {
            Ok(target) => target,
            Err(0) => return Ok(None),
            Err(_) => return Err(LsdaError::NotCode),
        };
        let row = sections.row(self.view.section_index(target));
        let is_code = row.is_some_and(|row| sections.columns.is_executable.value(row));
        if is_code { Ok(Some(target)) } else { Err(LsdaError::NotCode) }
    }
}
