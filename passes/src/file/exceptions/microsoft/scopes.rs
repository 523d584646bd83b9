//! `binary_exception_call_sites` of C functions with structured exception handling, from the scope table of
//! `__C_specific_handler`.
//!
//! A scope has the start and end of its code, a handler and a target. For `__except`, these are the filter (1 for one
//! that accepts every exception) and the block; for `__finally`, the function that the block is compiled to, and 0.
//!
//! Source: `SCOPE_TABLE_AMD64` in Microsoft's `winnt.h`; `WinException` of LLVM.

use super::super::lsda::{FunctionLsda, LsdaError, SectionLookup};
use super::reader::HandlerDataReader;
use crate::file::formats::pe_addresses::{ImageView, SectionOffset};
use binframe_ir::tables::BinaryExceptionCallSite;

/// Size of a scope, in bytes.
const SCOPE_SIZE: u32 = 16;

impl<V: ImageView> HandlerDataReader<'_, '_, V> {
    /// The rows of a function.
    pub(super) fn scopes(
        &mut self,
        function: &FunctionLsda,
        sections: &SectionLookup<'_>,
    ) -> Result<Vec<BinaryExceptionCallSite>, LsdaError> {
        let (table, _) = self.locate(function)?;
        let bytes = self.view.bytes_from(table).ok_or(LsdaError::OutOfBounds)?;
        let count = self.number(table)?;
        let count_max = bytes.len().saturating_sub(4) / SCOPE_SIZE as usize;
        if count as usize > count_max {
            return Err(LsdaError::OutOfBounds);
        }
        self.count_records(count as usize)?;
        let scope = |index| self.scope(function, index, table.plus(4 + index * SCOPE_SIZE), sections);
        (0..count).map(scope).collect()
    }

    fn scope(
        &self,
        function: &FunctionLsda,
        call_site_index: u32,
        scope: SectionOffset,
        sections: &SectionLookup<'_>,
    ) -> Result<BinaryExceptionCallSite, LsdaError> {
        let begin = self.code(scope, sections)?.ok_or(LsdaError::NotCode)?;
        let end = self.reference(scope.plus(4))?.map_err(|_| LsdaError::NotCode)?;
        let size = end.offset.checked_sub(begin.offset).filter(|_| end.section == begin.section);
        let (landing_pad, action) =
            match (self.reference(scope.plus(8))?, self.code(scope.plus(12), sections)?) {
                (Err(1), Some(block)) => (block, 1),
                (Ok(filter), Some(block)) => (block, self.view.address(filter)),
                (Ok(finally), None) => (finally, 0),
                (Err(_), _) => return Err(LsdaError::NotCode),
            };
        Ok(BinaryExceptionCallSite {
            address: self.view.address(begin),
            size: size.ok_or(LsdaError::NotSorted)?.into(),
            section_index: self.view.section_index(begin),
            landing_pad_address: Some(self.view.address(landing_pad)),
            landing_pad_section_index: self.view.section_index(landing_pad),
            action,
            function_address: function.function_address,
            lsda_address: function.lsda_address,
            lsda_section_index: function.lsda_section_index.ok_or(LsdaError::OutOfBounds)?,
            call_site_index,
        })
    }
}
