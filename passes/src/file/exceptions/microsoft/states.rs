//! `binary_exception_call_sites` of C++ functions, from their states: the rows of `__CxxFrameHandler3` and
//! `__CxxFrameHandler4`.

use super::super::lsda::{FunctionLsda, LsdaError, SectionLookup};
use super::function_info::FunctionInfo;
use super::reader::HandlerDataReader;
use crate::file::formats::pe_addresses::{ImageView, SectionOffset};
use binframe_ir::tables::BinaryExceptionCallSite;
use std::rc::Rc;

impl<V: ImageView> HandlerDataReader<'_, '_, V> {
    /// The rows of a function: for each code range in a state, one for each `catch` block of a `try` block around it,
    /// and one for the first cleanup.
    pub(super) fn states(
        &mut self,
        function: &FunctionLsda,
        is_compressed: bool,
        sections: &SectionLookup<'_>,
    ) -> Result<Vec<BinaryExceptionCallSite>, LsdaError> {
        let (data, start) = self.locate(function)?;
        let info = self.info(data, is_compressed.then_some(start), sections)?;
        let end = start.plus(u32::try_from(function.function_size).map_err(|_| LsdaError::NotCode)?);
        let next = info.states.partition_point(|(ip, _)| *ip <= start);
        let first = next.checked_sub(1).filter(|index| info.states[*index].0.section == start.section);
        let mut rows = Vec::new();
        for (index, (ip, state)) in info.states.iter().enumerate().skip(first.unwrap_or(next)) {
            let (ip, range_end) =
                ((*ip).max(start), info.states.get(index + 1).map_or(end, |next| next.0.min(end)));
            if ip >= end {
                break;
            }
            self.count_records(1)?;
            let Some(state) = state.filter(|_| ip < range_end) else { continue };
            self.count_records(info.tries.len())?;
            let before = rows.len();
            let mut push = |landing_pad: SectionOffset, action| {
                rows.push(BinaryExceptionCallSite {
                    address: self.view.address(ip),
                    size: u64::from(range_end.offset - ip.offset),
                    section_index: self.view.section_index(ip),
                    landing_pad_address: Some(self.view.address(landing_pad)),
                    landing_pad_section_index: self.view.section_index(landing_pad),
                    action,
                    function_address: function.function_address,
                    lsda_address: function.lsda_address,
                    lsda_section_index: function.lsda_section_index.unwrap_or_default(),
                    call_site_index: (rows.len() - before) as u32,
                });
            };
            // `catch` blocks are numbered consecutively through all `try` blocks of the function.
            let mut first_action = 1;
            for block in &info.tries {
                if block.states.contains(&state) {
                    (first_action..).zip(&block.catches).for_each(|(action, catch)| push(*catch, action));
                }
                first_action += block.catches.len() as u64;
            }
            if let Some(cleanup) = info.cleanups[state as usize] {
                push(cleanup, 0);
            }
            self.count_records(rows.len() - before)?;
        }
        Ok(rows)
    }

    /// The states of a function, read once. `function` is given for the format that is relative to it.
    fn info(
        &mut self,
        data: SectionOffset,
        function: Option<SectionOffset>,
        sections: &SectionLookup<'_>,
    ) -> Result<Rc<FunctionInfo>, LsdaError> {
        let info = self.reference(data)?.map_err(|_| LsdaError::OutOfBounds)?;
        if let Some(read) = self.infos.get(&(info, function)) {
            return read.clone();
        }
        let read = match function {
            Some(function) => self.read_info4(info, function, sections),
            None => self.read_info3(info, sections),
        };
        let read = read.map(Rc::new);
        self.infos.insert((info, function), read.clone());
        read
    }
}
