//! The data of `__C_specific_handler`: a number of scopes, and each with begin and end of the code in it, what decides or is done
//! when it is left, and where the code goes on. Of `__except`, these are the filter (or 1, which stands for one that takes all)
//! and the block; of `__finally`, the function that it is made to, and 0.
//!
//! Source: `SCOPE_TABLE_AMD64` in Microsoft's `winnt.h`; `WinException` of LLVM.

use super::super::{Described, Sections};
use super::{Broken, Reader};
use crate::file::formats::pe_addresses::{ImageView, SectionOffset};
use binframe_ir::tables::ExceptionCallSite;

/// Size of a scope.
const SCOPE_SIZE: u32 = 16;

impl<P: ImageView> Reader<'_, '_, P> {
    pub(super) fn scopes(
        &mut self,
        one: &Described,
        sections: &Sections<'_>,
    ) -> Result<Vec<ExceptionCallSite>, Broken> {
        let (table, _) = self.spots(one)?;
        let bytes = self.places.bytes_from(table).ok_or(Broken::Outside)?;
        let count = self.places.number(table).ok_or(Broken::Outside)?;
        let count_max = bytes.len().saturating_sub(4) / SCOPE_SIZE as usize;
        if count as usize > count_max {
            return Err(Broken::Outside);
        }
        self.spend(count as usize)?;
        let scope = |index| self.scope(one, index, table.plus(4 + index * SCOPE_SIZE), sections);
        (0..count).map(scope).collect()
    }

    fn scope(
        &self,
        one: &Described,
        call_site_index: u32,
        scope: SectionOffset,
        sections: &Sections<'_>,
    ) -> Result<ExceptionCallSite, Broken> {
        let begin = self.code(scope, sections)?.ok_or(Broken::Elsewhere)?;
        let end = self.reference(scope.plus(4))?.map_err(|_| Broken::Elsewhere)?;
        let size = end.offset.checked_sub(begin.offset).filter(|_| end.section == begin.section);
        let (landing_pad, action) =
            match (self.reference(scope.plus(8))?, self.code(scope.plus(12), sections)?) {
                (Err(1), Some(block)) => (block, 1),
                (Ok(filter), Some(block)) => (block, self.places.address(filter)),
                (Ok(finally), None) => (finally, 0),
                (Err(_), _) => return Err(Broken::Elsewhere),
            };
        Ok(ExceptionCallSite {
            address: self.places.address(begin),
            size: size.ok_or(Broken::Disordered)?.into(),
            section_index: self.places.section_index(begin),
            landing_pad_address: Some(self.places.address(landing_pad)),
            landing_pad_section_index: self.places.section_index(landing_pad),
            action,
            function_address: one.function_address,
            lsda_address: one.lsda_address,
            lsda_section_index: one.lsda_section_index.ok_or(Broken::Outside)?,
            call_site_index,
        })
    }
}
