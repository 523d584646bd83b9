//! `(entry, sections, symbols) -> ELF file`, with one segment per section kind and file offsets equal to addresses
//! modulo the page size.

use object::Endianness;
use object::build::elf::{Builder, Header, SectionData, SectionId};
use object::elf;

/// Address of the first byte of the file. A byte at file offset `n` is mapped at `IMAGE_BASE + n`.
pub(crate) const IMAGE_BASE: u64 = 0x40_0000;
/// Page size.
pub(crate) const PAGE_SIZE: u64 = 0x1000;

/// The segment that a section belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    Code,
    ReadOnly,
    Writable,
    /// At the end of the writable segment, without bytes in the file.
    Zeroed,
}

/// A section that is mapped when the program runs.
pub(crate) struct Section {
    pub(crate) name: &'static str,
    pub(crate) placement: Placement,
    pub(crate) address: u64,
    pub(crate) alignment: u64,
    /// Bytes in the file; empty if `placement` is [`Placement::Zeroed`].
    pub(crate) bytes: Vec<u8>,
    /// Size in memory.
    pub(crate) size: u64,
}

impl Section {
    pub(crate) fn with_bytes(
        name: &'static str,
        placement: Placement,
        address: u64,
        alignment: u64,
        bytes: Vec<u8>,
    ) -> Self {
        Section { name, placement, address, alignment, size: bytes.len() as u64, bytes }
    }

    pub(crate) fn end_address(&self) -> u64 {
        self.address + self.size
    }

    fn file_offset(&self) -> u64 {
        self.address - IMAGE_BASE
    }
}

/// A global symbol: a function if its section is `.text`, else an object.
pub(crate) struct Symbol {
    pub(crate) name: String,
    pub(crate) address: u64,
    pub(crate) size: u64,
    /// Name of the section that contains it.
    pub(crate) section: &'static str,
}

/// Start of the first page at or after `address`.
pub(crate) fn next_page(address: u64) -> u64 {
    address.next_multiple_of(PAGE_SIZE)
}

/// Writes the file. Sections are sorted by address; without symbols there is no symbol table.
pub(crate) fn write(entry: u64, sections: &[Section], symbols: &[Symbol]) -> Vec<u8> {
    let mut builder = Builder::new(Endianness::Little, true);
    builder.header = Header {
        os_abi: elf::ELFOSABI_SYSV,
        e_type: elf::ET_EXEC,
        e_machine: elf::EM_X86_64,
        e_entry: entry,
        e_phoff: builder.file_header_size(),
        ..Header::default()
    };
    add_segments(&mut builder, sections);
    let ids: Vec<SectionId> = sections.iter().map(|section| add_section(&mut builder, section)).collect();
    for symbol in symbols {
        let index = sections.iter().position(|section| section.name == symbol.section);
        let index = index.expect("the section of a symbol is written");
        let is_code = sections[index].placement == Placement::Code;
        let row = builder.symbols.add();
        row.name = symbol.name.as_str().into();
        row.section = Some(ids[index]);
        row.set_st_info(elf::STB_GLOBAL, if is_code { elf::STT_FUNC } else { elf::STT_OBJECT });
        row.st_value = symbol.address;
        row.st_size = symbol.size;
    }
    let symbol_tables = [(".symtab", SectionData::Symbol), (".strtab", SectionData::String)];
    let symbol_tables = symbol_tables.into_iter().filter(|_| !symbols.is_empty());
    for (name, data) in symbol_tables.chain([(".shstrtab", SectionData::SectionString)]) {
        let section = builder.sections.add();
        section.name = name.into();
        section.data = data;
    }
    let mut bytes = Vec::new();
    builder.write(&mut bytes).expect("the layout is valid");
    bytes
}

/// Adds program headers: one for the headers themselves, one per section kind, and `PT_GNU_STACK`.
fn add_segments<'a>(builder: &mut Builder<'a>, sections: &'a [Section]) {
    let headers = builder.segments.add_load_segment(elf::PF_R, PAGE_SIZE).id();
    let kinds: [(&[Placement], elf::ProgramFlags); 3] = [
        (&[Placement::Code], elf::PF_R | elf::PF_X),
        (&[Placement::ReadOnly], elf::PF_R),
        (&[Placement::Writable, Placement::Zeroed], elf::PF_R | elf::PF_W),
    ];
    for (placements, flags) in kinds {
        let mut members = sections.iter().filter(|section| placements.contains(&section.placement));
        let Some(first) = members.clone().next() else { continue };
        let segment = builder.segments.add_load_segment(flags, PAGE_SIZE);
        segment.p_offset = first.file_offset();
        segment.p_vaddr = first.address;
        segment.p_paddr = first.address;
        segment.p_memsz = members.clone().next_back().map_or(0, Section::end_address) - first.address;
        let in_file = members.rfind(|section| section.placement != Placement::Zeroed);
        segment.p_filesz = in_file.map_or(0, |last| last.end_address() - first.address);
    }
    let stack = builder.segments.add();
    stack.p_type = elf::PT_GNU_STACK;
    stack.p_flags = elf::PF_R | elf::PF_W;
    stack.p_align = 16;

    let headers_size = builder.file_header_size() + builder.program_headers_size();
    let headers = builder.segments.get_mut(headers);
    (headers.p_offset, headers.p_vaddr, headers.p_paddr) = (0, IMAGE_BASE, IMAGE_BASE);
    (headers.p_filesz, headers.p_memsz) = (headers_size, headers_size);
}

fn add_section<'a>(builder: &mut Builder<'a>, section: &'a Section) -> SectionId {
    let (sh_type, protection) = match section.placement {
        Placement::Code => (elf::SHT_PROGBITS, elf::SHF_EXECINSTR),
        Placement::ReadOnly => (elf::SHT_PROGBITS, elf::SectionFlags::default()),
        Placement::Writable => (elf::SHT_PROGBITS, elf::SHF_WRITE),
        Placement::Zeroed => (elf::SHT_NOBITS, elf::SHF_WRITE),
    };
    let row = builder.sections.add();
    row.name = section.name.into();
    row.sh_type = sh_type;
    row.sh_flags = elf::SHF_ALLOC | protection;
    row.sh_addr = section.address;
    row.sh_offset = section.file_offset();
    row.sh_size = section.size;
    row.sh_addralign = section.alignment;
    row.data = match section.placement {
        Placement::Zeroed => SectionData::UninitializedData(section.size),
        _ => SectionData::Data(section.bytes.as_slice().into()),
    };
    row.id()
}
