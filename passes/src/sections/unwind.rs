//! `unwind_entries`, from `.eh_frame`.
//!
//! Source: Linux Standard Base, Core specification, section 10.6 (exception frames).

use crate::diagnostics::{Collector, Place};
use binframe_ir::tables::{
    BinarySections, DiagnosticCode, Severity, UnwindEntries, UnwindEntry, UnwindEntryBuilder, UnwindSource,
};
use binframe_ir::{Enumeration, Rows};
use gimli::{
    BaseAddresses, CieOrFde, CommonInformationEntry, EhFrame, EndianSlice, Pointer, RunTimeEndian,
    UnwindSection,
};
use object::{Endianness, elf};

type Reader<'a> = EndianSlice<'a, RunTimeEndian>;

/// How numbers stand in frames.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    endian: RunTimeEndian,
    address_size: u8,
    is_aarch64: bool,
}

impl Layout {
    pub(super) fn new(endian: Endianness, is_64: bool, is_aarch64: bool) -> Self {
        let endian = match endian {
            Endianness::Little => RunTimeEndian::Little,
            Endianness::Big => RunTimeEndian::Big,
        };
        Self { endian, address_size: if is_64 { 8 } else { 4 }, is_aarch64 }
    }

    pub(super) fn elf(endian: Endianness, machine: elf::Machine, is_64: bool) -> Self {
        Self::new(endian, is_64, machine == elf::EM_AARCH64)
    }
}

/// Names of the section, in ELF and in Mach-O.
const EH_FRAME_NAMES: [&str; 2] = [".eh_frame", "__TEXT,__eh_frame"];

/// The entries as they stand in `.eh_frame`, and the address of the section and the error when not all can be read.
pub(super) struct Entries {
    pub(super) rows: Vec<UnwindEntry>,
    broken: Option<(u64, gimli::Error)>,
}

pub(super) fn read(sections: &Rows<BinarySections>, layout: Layout) -> Entries {
    let mut entries = Entries { rows: Vec::new(), broken: None };
    let columns = sections.columns();
    let mut eh_frames = columns
        .iter()
        .filter(|section| EH_FRAME_NAMES.contains(&section.section_name) && section.is_readable);
    if let Some(section) = eh_frames.next() {
        let read = read_eh_frame(section.content, section.address, layout, &mut entries.rows);
        entries.broken = read.err().map(|error| (section.address, error));
    }
    entries
}

pub(super) fn table(entries: Entries, diagnostics: &mut Collector) -> Rows<UnwindEntries> {
    let Entries { rows: mut entries, broken } = entries;
    if let Some((address, error)) = broken {
        let message = format!("the unwind entries after the first {} cannot be read: {error}", entries.len());
        diagnostics.report(Severity::Error, DiagnosticCode::BrokenUnwind, Place::Address(address), &message);
    }
    entries.sort_by_key(|entry| (entry.address, entry.source.name(), entry.entry_offset));
    let mut rows = UnwindEntryBuilder::default();
    rows.extend(entries);
    rows.finish()
}

fn read_eh_frame(
    content: &[u8],
    address: u64,
    layout: Layout,
    entries: &mut Vec<UnwindEntry>,
) -> gimli::Result<()> {
    let mut section = EhFrame::new(content, layout.endian);
    section.set_address_size(layout.address_size);
    if layout.is_aarch64 {
        section.set_vendor(gimli::Vendor::AArch64);
    }
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
            section_index: None,
            personality_address: fde.personality().map(Pointer::pointer),
            is_personality_indirect: fde.personality().map(|pointer| matches!(pointer, Pointer::Indirect(_))),
            lsda_address: fde.lsda().and_then(|pointer| pointer.direct().ok()),
            is_signal_frame: fde.is_signal_trampoline(),
        });
        last_cie = Some(fde.cie().clone());
    }
    Ok(())
}
