//! Memory facts: results of the stage, in addition to its tables, from which `memory_accesses` and `data_flow_edges` are
//! computed on demand.

use super::function_record::FunctionRecord;
use super::memory_image::MemoryImage;
use super::objects::ObjectTable;
use crate::code::cfg::BlocksByFunction;
use crate::domains::Summary;
use binframe_ir::Fingerprint;
use rayon::prelude::*;

/// The summary and the record of each function, the objects, the memory image, and the blocks of each function. It is a
/// projection of the stage's inputs and results, made once, with a fingerprint of its content.
#[derive(Debug)]
pub struct MemoryFacts {
    pub(super) blocks_by_function: BlocksByFunction,
    pub(super) summaries: Vec<Summary>,
    pub(super) records: Vec<FunctionRecord>,
    pub(super) objects: ObjectTable,
    pub(super) image: MemoryImage,
    fingerprint: Fingerprint,
}

impl MemoryFacts {
    pub(super) fn new(
        blocks_by_function: BlocksByFunction,
        summaries: Vec<Summary>,
        records: Vec<FunctionRecord>,
        objects: ObjectTable,
        image: MemoryImage,
    ) -> Self {
        let functions = 0..summaries.len();
        let rows = functions.flat_map(|function| {
            let rows = blocks_by_function.rows_of(function);
            std::iter::once(rows.len() as u64).chain(rows.iter().map(|row| u64::from(*row)))
        });
        let of_records: Vec<_> = records.par_iter().map(FunctionRecord::fingerprint).collect();
        let fingerprint = Fingerprint::of_all([
            Fingerprint::of_all(of_records),
            Fingerprint::of_numbers(&rows.collect::<Vec<_>>()),
            Fingerprint::of_numbers(&summaries.iter().flat_map(summary_words).collect::<Vec<_>>()),
            objects.rows.batch().fingerprint(),
            image.fingerprint(),
        ]);
        Self { blocks_by_function, summaries, records, objects, image, fingerprint }
    }

    /// Hash of the content; equal for equal facts.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

/// All fields of a summary as numbers.
fn summary_words(summary: &Summary) -> [u64; 16] {
    let Summary {
        popped_bytes,
        lowered_by,
        clobbered,
        read,
        captured,
        written,
        writes_unknown_memory,
        returned,
    } = *summary;
    let [base, of_base, low, high, index_zero, stride, flags] = returned.words();
    [
        u64::from(popped_bytes.is_some()),
        popped_bytes.unwrap_or(0) as u64,
        u64::from(lowered_by.is_some()),
        u64::from(lowered_by.unwrap_or(0)),
        u64::from(clobbered),
        u64::from(read.0),
        u64::from(captured.0),
        u64::from(written.0),
        u64::from(writes_unknown_memory),
        base,
        of_base,
        low,
        high,
        index_zero,
        stride,
        flags,
    ]
}

#[cfg(test)]
mod tests {
    use super::summary_words;
    use crate::domains::{AbstractValue, Base, ParameterSet, Summary};
    use binframe_ir::tables::UnknownReason;

    /// A change of any field of a summary changes the fingerprint.
    #[test]
    fn every_field_of_a_summary_is_in_its_words() {
        let returned = AbstractValue::number(7);
        let summary = Summary {
            popped_bytes: Some(0),
            lowered_by: None,
            clobbered: 1,
            read: ParameterSet::default(),
            captured: ParameterSet::default(),
            written: ParameterSet::default(),
            writes_unknown_memory: false,
            returned,
        };
        let value = |returned| Summary { returned, ..summary };
        let changed = [
            Summary { popped_bytes: None, ..summary },
            Summary { popped_bytes: Some(8), ..summary },
            Summary { lowered_by: Some(0), ..summary },
            Summary { clobbered: 2, ..summary },
            Summary { read: ParameterSet::STACK, ..summary },
            Summary { captured: ParameterSet::STACK, ..summary },
            Summary { written: ParameterSet::STACK, ..summary },
            Summary { writes_unknown_memory: true, ..summary },
            value(AbstractValue { base: Base::Stack, ..returned }),
            value(AbstractValue { base: Base::Global(0x1000), ..returned }),
            value(AbstractValue { base: Base::Global(0x2000), ..returned }),
            value(AbstractValue { base: Base::Unknown(UnknownReason::Loaded), ..returned }),
            value(AbstractValue { base: Base::Unknown(UnknownReason::Merged), ..returned }),
            value(AbstractValue { low: 6, ..returned }),
            value(AbstractValue { high: 8, ..returned }),
            value(AbstractValue { index_zero: 0, ..returned }),
            value(AbstractValue { stride: 1, ..returned }),
            value(AbstractValue { assumes_in_bounds: true, ..returned }),
            value(AbstractValue { is_type_range: true, ..returned }),
        ];
        let mut words: Vec<_> = changed.iter().chain([&summary]).map(summary_words).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), changed.len() + 1);
    }
}
