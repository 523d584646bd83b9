//! `(entry, sections, symbols) -> ELF file`: one segment per kind of section, each at the file offset that its address demands.

use object::Endianness;
use object::elf;
use object::write::StringId;
use object::write::elf::{FileHeader, ProgramHeader, SectionHeader, Sym, Writer};

/// Where the file's first byte is mapped. Every mapped byte at file offset `n` has the address `IMAGE_BASE + n`, so offset and address agree modulo the page.
pub(crate) const IMAGE_BASE: u64 = 0x40_0000;
/// The unit of memory protection.
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
    /// The bytes in the file: none if `placement` is [`Placement::Zeroed`].
    pub(crate) bytes: Vec<u8>,
    /// The size in memory.
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
    /// The name of the section that holds it.
    pub(crate) section: &'static str,
}

/// The first address of the page after `address`, or `address` itself if a page begins there.
pub(crate) fn next_page(address: u64) -> u64 {
    address.next_multiple_of(PAGE_SIZE)
}

/// Writes the file. Sections come in order of address; without symbols there is no symbol table.
pub(crate) fn write(entry: u64, sections: &[Section], symbols: &[Symbol]) -> Vec<u8> {
    let segments = segments(sections);
    let mut bytes = Vec::new();
    let mut writer = Writer::new(Endianness::Little, true, &mut bytes);

    // The writer wants every offset and index reserved first, then the same order again for the writing.
    writer.reserve_file_header();
    writer.reserve_program_headers(segments.len() as u32);
    for section in sections.iter().filter(|section| section.placement != Placement::Zeroed) {
        writer.reserve_until(section.file_offset());
        writer.reserve(section.bytes.len() as u64, 1);
    }
    let section_names: Vec<StringId> =
        sections.iter().map(|section| writer.add_section_name(section.name.as_bytes())).collect();
    let section_indexes: Vec<u32> = sections.iter().map(|_| writer.reserve_section_index().0).collect();
    let symbol_names: Vec<StringId> =
        symbols.iter().map(|symbol| writer.add_string(symbol.name.as_bytes())).collect();
    if !symbols.is_empty() {
        writer.reserve_symtab_section_index();
        writer.reserve_strtab_section_index();
        for _ in symbols {
            writer.reserve_symbol_index(None);
        }
    }
    writer.reserve_shstrtab_section_index();
    writer.reserve_symtab();
    writer.reserve_strtab().expect("names are short");
    writer.reserve_shstrtab().expect("names are short");
    writer.reserve_section_headers();

    write_headers(&mut writer, entry, &segments);
    for section in sections.iter().filter(|section| section.placement != Placement::Zeroed) {
        writer.pad_until(section.file_offset());
        writer.write(&section.bytes);
    }
    writer.write_null_symbol();
    for (symbol, &name) in symbols.iter().zip(&symbol_names) {
        let section =
            sections.iter().zip(&section_indexes).find(|(section, _)| section.name == symbol.section);
        let (section, &section_index) = section.expect("the section of a symbol is written");
        let symbol_type = if section.placement == Placement::Code { elf::STT_FUNC } else { elf::STT_OBJECT };
        writer.write_symbol(&Sym {
            section: Some(section_index),
            st_name: writer.string_offset(Some(name)),
            st_info: elf::STB_GLOBAL | symbol_type,
            st_other: elf::SymbolOther::default(),
            st_shndx: elf::SHN_UNDEF,
            st_value: symbol.address,
            st_size: symbol.size,
        });
    }
    writer.write_strtab();
    writer.write_shstrtab();

    writer.write_null_section_header();
    for (section, &name) in sections.iter().zip(&section_names) {
        writer.write_section_header(&section_header(section, writer.section_name_offset(Some(name))));
    }
    // The null symbol is the only local one.
    writer.write_symtab_section_header(1);
    writer.write_strtab_section_header();
    writer.write_shstrtab_section_header();
    bytes
}

fn write_headers(writer: &mut Writer<'_>, entry: u64, segments: &[ProgramHeader]) {
    let header = FileHeader {
        os_abi: elf::ELFOSABI_SYSV,
        e_type: elf::ET_EXEC,
        e_machine: elf::EM_X86_64,
        e_entry: entry,
        ..FileHeader::default()
    };
    writer.write_file_header(&header).expect("the file fits in memory");
    writer.write_align_program_headers();
    for segment in segments {
        writer.write_program_header(segment);
    }
}

/// The program headers: the file's own headers, one segment per kind of section that is there, and the stack's protection.
fn segments(sections: &[Section]) -> Vec<ProgramHeader> {
    let kinds: [(&[Placement], elf::ProgramFlags); 3] = [
        (&[Placement::Code], elf::PF_R | elf::PF_X),
        (&[Placement::ReadOnly], elf::PF_R),
        (&[Placement::Writable, Placement::Zeroed], elf::PF_R | elf::PF_W),
    ];
    let mut segments = Vec::new();
    for (placements, p_flags) in kinds {
        let members: Vec<&Section> =
            sections.iter().filter(|section| placements.contains(&section.placement)).collect();
        let (Some(first), Some(last)) = (members.first(), members.last()) else { continue };
        let in_file = members
            .iter()
            .filter(|section| section.placement != Placement::Zeroed)
            .map(|section| section.end_address())
            .max();
        segments.push(ProgramHeader {
            p_type: elf::PT_LOAD,
            p_flags,
            p_offset: first.file_offset(),
            p_vaddr: first.address,
            p_paddr: first.address,
            p_filesz: in_file.map_or(0, |end| end - first.address),
            p_memsz: last.end_address() - first.address,
            p_align: PAGE_SIZE,
        });
    }
    segments.push(ProgramHeader {
        p_type: elf::PT_GNU_STACK,
        p_flags: elf::PF_R | elf::PF_W,
        p_offset: 0,
        p_vaddr: 0,
        p_paddr: 0,
        p_filesz: 0,
        p_memsz: 0,
        p_align: 16,
    });

    let file_header_size = size_of::<elf::FileHeader64<Endianness>>();
    let program_headers_size = (segments.len() + 1) * size_of::<elf::ProgramHeader64<Endianness>>();
    let headers_size = (file_header_size + program_headers_size) as u64;
    let headers = ProgramHeader {
        p_type: elf::PT_LOAD,
        p_flags: elf::PF_R,
        p_offset: 0,
        p_vaddr: IMAGE_BASE,
        p_paddr: IMAGE_BASE,
        p_filesz: headers_size,
        p_memsz: headers_size,
        p_align: PAGE_SIZE,
    };
    segments.insert(0, headers);
    segments
}

fn section_header(section: &Section, sh_name: u32) -> SectionHeader {
    let (sh_type, protection) = match section.placement {
        Placement::Code => (elf::SHT_PROGBITS, elf::SHF_EXECINSTR),
        Placement::ReadOnly => (elf::SHT_PROGBITS, elf::SectionFlags::default()),
        Placement::Writable => (elf::SHT_PROGBITS, elf::SHF_WRITE),
        Placement::Zeroed => (elf::SHT_NOBITS, elf::SHF_WRITE),
    };
    SectionHeader {
        sh_name,
        sh_type,
        sh_flags: elf::SHF_ALLOC | protection,
        sh_addr: section.address,
        sh_offset: section.file_offset(),
        sh_size: section.size,
        sh_addralign: section.alignment,
        ..SectionHeader::default()
    }
}
