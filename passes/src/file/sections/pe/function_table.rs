//! `binary_unwind_entries` of a PE image or COFF object, from its function table: the exception directory of an image, or
//! `.pdata` of an object. Reads tables of x64, ARM64 and 32-bit Arm.
//!
//! *Own reader.* The crate `pe-unwind-info` (0.6) reads tables of x64 images only. It refers to fields by value, not by
//! position, which the relocations of an object are looked up by; and it does not skip the padding after an odd number
//! of unwind codes, so that it reads handlers two bytes too early.
//!
//! Source: Microsoft's "x64 exception handling", "ARM64 exception handling" and "ARM exception handling".

use super::super::unwind::plain_entry;
use crate::diagnostics::{Collector, DiagnosticLocation};
use crate::file::formats::field_relocations::FieldRelocation;
use crate::file::formats::pe::Pe;
use crate::file::formats::pe_addresses::{FUNCTION_TABLE, ImageView, ObjectView, SectionOffset, base_name};
use binframe_ir::Rows;
use binframe_ir::tables::{BinarySections, BinaryUnwindEntry, DiagnosticCode, UnwindSource};
use object::LittleEndian as LE;
use object::pe::{self, Machine};

/// Number of entries in the longest chain of unwind information. Compilers write one or two.
const CHAIN_LENGTH_MAX: usize = 32;

type Reason = &'static str;

/// The entries of an image.
pub(super) fn of_image(pe: &Pe<'_>, diagnostics: &mut Collector) -> Vec<BinaryUnwindEntry> {
    let Some((rva, size)) = pe.directory(pe::IMAGE_DIRECTORY_ENTRY_EXCEPTION) else { return Vec::new() };
    let (Some(section_index), Some((bytes, file_offset))) = (pe.section_index(rva), pe.bytes_from(rva))
    else {
        let location = DiagnosticLocation::Address(pe.address(rva));
        let message = "the function table lies in no section";
        diagnostics.error(DiagnosticCode::BrokenUnwind, location, message);
        return Vec::new();
    };
    let section = &pe.coff.section_headers[section_index as usize - 1];
    let mut table = FunctionTable {
        view: pe,
        machine: pe.coff.machine,
        section_index,
        start: SectionOffset { section: 0, offset: rva },
        first_offset: rva - section.virtual_address.get(LE),
        file_offset,
        entries: Vec::new(),
        diagnostics,
    };
    table.read(&bytes[..bytes.len().min(size as usize)]);
    table.entries
}

/// The entries of an object.
pub(super) fn of_object(
    machine: Machine,
    sections: &Rows<BinarySections>,
    relocations: &[FieldRelocation],
    diagnostics: &mut Collector,
) -> Vec<BinaryUnwindEntry> {
    let sections = sections.columns();
    let view = ObjectView { sections, relocations };
    let mut entries = Vec::new();
    for section in sections.iter().filter(|section| base_name(section.section_name) == FUNCTION_TABLE) {
        let mut table = FunctionTable {
            view: &view,
            machine,
            section_index: section.section_index,
            start: SectionOffset { section: section.section_index, offset: 0 },
            first_offset: 0,
            file_offset: section.file_offset,
            entries,
            diagnostics,
        };
        table.read(section.content);
        entries = table.entries;
    }
    // The address of a handler is stated by a relocation only.
    for entry in &mut entries {
        (entry.personality_address, entry.is_personality_indirect) = (None, None);
    }
    entries
}

/// A function table and its entries.
struct FunctionTable<'a, V> {
    view: &'a V,
    machine: Machine,
    /// The section that contains the table.
    section_index: u32,
    /// Location of the first entry, its offset in the section, and its file offset.
    start: SectionOffset,
    first_offset: u32,
    file_offset: u64,
    entries: Vec<BinaryUnwindEntry>,
    diagnostics: &'a mut Collector,
}

/// The unwind information of an entry.
#[derive(Default)]
struct UnwindDescription {
    /// Size of the code, in bytes.
    size: u32,
    is_continuation: bool,
    begins_in_frame: Option<bool>,
    /// Locations of the handler and of its language-specific data.
    handler: Option<(SectionOffset, SectionOffset)>,
}

impl<V: ImageView> FunctionTable<'_, V> {
    fn read(&mut self, content: &[u8]) {
        let entry_size = match self.machine {
            pe::IMAGE_FILE_MACHINE_AMD64 => 12,
            pe::IMAGE_FILE_MACHINE_ARM64 | pe::IMAGE_FILE_MACHINE_ARMNT => 8,
            _ if content.is_empty() => return,
            _ => return self.report(0, "function tables of this architecture are not read"),
        };
        for (position, content) in (0..).step_by(entry_size).zip(content.chunks(entry_size)) {
            let entry = self.start.plus(position);
            let is_null = |spot| spot == SectionOffset { section: 0, offset: 0 };
            if content.iter().all(|byte| *byte == 0) && self.view.target(entry).is_none_or(is_null) {
                // Linkers pad the table with zeros.
                continue;
            }
            let read = match content.len() {
                length if length < entry_size => Err("it is cut short"),
                _ => self.entry(entry),
            };
            match read {
                Ok((begin, description)) => self.push(begin, &description, position),
                Err(reason) => self.report(position, reason),
            }
        }
    }

    fn report(&mut self, position: u32, reason: &str) {
        let message = format!("an entry of a function table cannot be read: {reason}");
        let location = DiagnosticLocation::FileOffset(self.file_offset + u64::from(position));
        self.diagnostics.error(DiagnosticCode::BrokenUnwind, location, &message);
    }

    fn push(&mut self, begin: SectionOffset, description: &UnwindDescription, position: u32) {
        let (personality, data) = description.handler.unzip();
        let entry_offset = u64::from(self.first_offset) + u64::from(position);
        let code = (self.view.address(begin), description.size.into());
        self.entries.push(BinaryUnwindEntry {
            section_index: self.view.section_index(begin),
            personality_address: personality.map(|handler| self.view.address(handler)),
            is_personality_indirect: personality.map(|_| false),
            lsda_address: data.map(|data| self.view.address(data)),
            lsda_section_index: data.and_then(|data| self.view.section_index(data)),
            is_continuation: description.is_continuation,
            begins_in_frame: description.begins_in_frame,
            ..plain_entry(UnwindSource::FunctionTable, (self.section_index, entry_offset), code)
        });
    }

    fn entry(&self, entry: SectionOffset) -> Result<(SectionOffset, UnwindDescription), Reason> {
        let begin = self.view.target(entry).ok_or("it refers to no code")?;
        match self.machine {
            pe::IMAGE_FILE_MACHINE_AMD64 => {
                let end = self.view.target(entry.plus(4)).ok_or("it has no end")?;
                let size = end.offset.checked_sub(begin.offset).filter(|_| end.section == begin.section);
                let size = size.ok_or("it ends before it begins")?;
                Ok((begin, UnwindDescription { size, ..self.amd64(entry.plus(8))? }))
            }
            pe::IMAGE_FILE_MACHINE_ARM64 => Ok((begin, self.arm(entry.plus(4), 4)?)),
            // The lowest bit of an address says that the code is Thumb.
            _ => Ok((SectionOffset { offset: begin.offset & !1, ..begin }, self.arm(entry.plus(4), 2)?)),
        }
    }

    /// Reads the `UNWIND_INFO` that a field refers to. Chained information is followed to the primary entry of the
    /// function.
    fn amd64(&self, field: SectionOffset) -> Result<UnwindDescription, Reason> {
        const HAS_HANDLER: u8 = 1 | 2;
        const IS_CHAINED: u8 = 4;
        const OUTSIDE: Reason = "its description does not lie in the file";
        let mut description = UnwindDescription::default();
        let mut field = field;
        for _ in 0..CHAIN_LENGTH_MAX {
            let info = self.view.target(field).ok_or(OUTSIDE)?;
            if info.offset & 1 != 0 {
                // The field refers to another entry, whose unwind information this one shares.
                field = SectionOffset { offset: info.offset & !1, ..info }.plus(8);
                description.is_continuation = true;
                continue;
            }
            let header: &[u8; 4] = self.view.bytes_from(info).and_then(<[u8]>::first_chunk).ok_or(OUTSIDE)?;
            let (version, flags, codes) = (header[0] & 7, header[0] >> 3, u32::from(header[2]));
            if !(1..=2).contains(&version) {
                return Err("its description has an unknown version");
            }
            let trailer = info.plus(4 + 2 * codes.next_multiple_of(2));
            if flags & IS_CHAINED != 0 {
                field = trailer.plus(8);
                description.is_continuation = true;
                continue;
            }
            if flags & HAS_HANDLER != 0 {
                let handler = self.view.target(trailer).ok_or("its handler does not lie in the file")?;
                description.handler = Some((handler, trailer.plus(4)));
            }
            // Unwind codes without a prologue undo what code before this range did.
            let has_no_prologue = header[1] == 0 && codes > 0;
            description.begins_in_frame = Some(description.is_continuation || has_no_prologue);
            return Ok(description);
        }
        Err("its description goes on and on")
    }

    /// Reads the second word of an Arm entry: packed unwind data, or a reference to a record in `.xdata`. Sizes are in
    /// units of `unit` bytes.
    fn arm(&self, field: SectionOffset, unit: u32) -> Result<UnwindDescription, Reason> {
        const OUTSIDE: Reason = "its description does not lie in the file";
        let packed = self.view.number(field).ok_or(OUTSIDE)?;
        match packed & 3 {
            0 => {}
            flag => {
                let size = (packed >> 2 & 0x7ff) * unit;
                let is_continuation = flag == 2;
                let begins_in_frame = Some(is_continuation);
                return match flag {
                    1 | 2 => Ok(UnwindDescription { size, is_continuation, begins_in_frame, handler: None }),
                    _ => Err("its description is of an unknown kind"),
                };
            }
        }
        let record = self.view.target(field).ok_or(OUTSIDE)?;
        let header = self.view.number(record).ok_or(OUTSIDE)?;
        let size = (header & 0x3_ffff) * unit;
        let (has_handler, has_one_epilogue) = (header >> 20 & 1 != 0, header >> 21 & 1 != 0);
        // 32-bit Arm has an additional bit here: the code is a fragment without prologue.
        let (mut epilogues, mut code_words, is_fragment) = match unit {
            4 => (header >> 22 & 0x1f, header >> 27, false),
            _ => (header >> 23 & 0x1f, header >> 28, header >> 22 & 1 != 0),
        };
        let mut next = record.plus(4);
        if (epilogues, code_words) == (0, 0) {
            let more = self.view.number(next).ok_or(OUTSIDE)?;
            (epilogues, code_words) = (more & 0xffff, more >> 16 & 0xff);
            next = next.plus(4);
        }
        let epilogues = if has_one_epilogue { 0 } else { epilogues };
        let trailer = next.plus(4 * (epilogues + code_words));
        let handler = match has_handler {
            true => {
                let handler = self.view.target(trailer).ok_or("its handler does not lie in the file")?;
                Some((handler, trailer.plus(4)))
            }
            false => None,
        };
        // In ARM64 records, an unwind code (`end_c`), which is not read, marks a fragment.
        let begins_in_frame = (unit == 2).then_some(is_fragment);
        Ok(UnwindDescription { size, is_continuation: is_fragment, begins_in_frame, handler })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use binframe_ir::tables::{BinarySection, BinarySectionBuilder, DiagnosticPass, SectionKind};

    /// The entries of an object with code, a function table and unwind records. A relocation is given as (section and
    /// offset of the field, section and offset that it refers to).
    fn entries(
        machine: Machine,
        table: &[u8],
        info: &[u8],
        targets: &[(u32, u64, u32, u64)],
    ) -> Vec<BinaryUnwindEntry> {
        let mut rows = BinarySectionBuilder::default();
        for (section_index, section_name, content) in
            [(1, ".text$mn", &[0; 64][..]), (2, ".pdata", table), (3, ".xdata", info)]
        {
            rows.push(BinarySection {
                section_name,
                address: 0,
                size: content.len() as u64,
                content,
                permissions: "r--",
                is_executable: false,
                is_writable: false,
                is_readable: true,
                section_index,
                file_offset: 0,
                file_size: content.len() as u64,
                alignment: 4,
                kind: SectionKind::Data,
                flags: 0,
                section_type: None,
                link: None,
                info: None,
                entry_size: None,
            });
        }
        let relocation =
            |&(field_section_index, offset, section, value): &(u32, u64, u32, u64)| FieldRelocation {
                field_section_index,
                offset,
                symbol_index: 0,
                section_index: Some(section),
                value,
                adds_stored: true,
                is_subtracted: false,
            };
        let relocations: Vec<_> = targets.iter().map(relocation).collect();
        let mut diagnostics = Collector::new(DiagnosticPass::Sections);
        let entries = of_object(machine, &rows.finish(), &relocations, &mut diagnostics);
        assert!(diagnostics.finish().columns().is_empty());
        entries
    }

    #[test]
    fn thumb_entries_are_packed_or_refer_to_a_record() {
        // A packed entry of 6 halfwords; a record of 9 halfwords that describes a fragment.
        let packed = 6 << 2 | 1;
        let record: u32 = 1 << 28 | 1 << 22 | 9;
        let table: Vec<u8> = [0, packed, 0, 0].into_iter().flat_map(u32::to_le_bytes).collect();
        let targets = [(2, 0, 1, 1), (2, 8, 1, 13), (2, 12, 3, 0)];
        let found = entries(pe::IMAGE_FILE_MACHINE_ARMNT, &table, &record.to_le_bytes(), &targets);
        let found: Vec<_> = found
            .iter()
            .map(|entry| (entry.section_index, entry.address, entry.size, entry.is_continuation))
            .collect();
        assert_eq!(found, [(Some(1), 0, 12, false), (Some(1), 12, 18, true)]);
    }
}
