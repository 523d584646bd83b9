//! `unwind_entries`, from `.eh_frame`.
//!
//! Source: Linux Standard Base, Core specification, section 10.6 (exception frames).

use crate::diagnostics::{Collector, Place};
use binframe_ir::Rows;
use binframe_ir::tables::{
    BinarySections, DiagnosticCode, Severity, UnwindEntries, UnwindEntry, UnwindEntryBuilder, UnwindSource,
};
use gimli::{
    BaseAddresses, CieOrFde, CommonInformationEntry, EhFrame, EndianSlice, LittleEndian, UnwindSection,
};

type Reader<'a> = EndianSlice<'a, LittleEndian>;

pub(super) fn table(sections: &Rows<BinarySections>, diagnostics: &mut Collector) -> Rows<UnwindEntries> {
    let mut entries = Vec::new();
    let columns = sections.columns();
    let mut eh_frames =
        columns.iter().filter(|section| section.section_name == ".eh_frame" && section.is_readable);
    if let Some(section) = eh_frames.next()
        && let Err(error) = read_eh_frame(section.content, section.address, &mut entries)
    {
        let message = format!("the unwind entries after the first {} cannot be read: {error}", entries.len());
        let code = DiagnosticCode::BrokenUnwind;
        diagnostics.report(Severity::Error, code, Place::Address(section.address), &message);
    }
    entries.sort_by_key(|entry| (entry.address, entry.entry_offset));
    entries.dedup_by(|entry, kept| {
        let is_duplicate = entry.address == kept.address;
        if is_duplicate {
            let message = format!(
                "the entry at {:#x} of .eh_frame is a second one for its address",
                entry.entry_offset
            );
            let code = DiagnosticCode::DuplicateUnwind;
            diagnostics.report(Severity::Warning, code, Place::Address(entry.address), &message);
        }
        is_duplicate
    });
    let mut rows = UnwindEntryBuilder::default();
    rows.extend(entries);
    rows.finish()
}

fn read_eh_frame(content: &[u8], address: u64, entries: &mut Vec<UnwindEntry>) -> gimli::Result<()> {
    let section = EhFrame::new(content, LittleEndian);
    let bases = BaseAddresses::default().set_eh_frame(address);
    let mut last_cie: Option<CommonInformationEntry<Reader<'_>>> = None;
    let mut all = section.entries(&bases);
    while let Some(entry) = all.next()? {
        let CieOrFde::Fde(partial) = entry else { continue };
        let fde = partial.parse(|section, bases, offset| match &last_cie {
            Some(cie) if cie.offset() == offset.0 => Ok(cie.clone()),
            _ => section.cie_from_offset(bases, offset),
        })?;
        entries.push(UnwindEntry {
            address: fde.initial_address(),
            size: fde.len(),
            source: UnwindSource::EhFrame,
            entry_offset: fde.offset() as u64,
            lsda_address: fde.lsda().and_then(|pointer| pointer.direct().ok()),
            is_signal_frame: fde.is_signal_trampoline(),
        });
        last_cie = Some(fde.cie().clone());
    }
    Ok(())
}
