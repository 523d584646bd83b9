//! Bytes of an image are read where Windows maps them, not where its section headers seem to place them.

use binframe_testsuite::lowering::tables;
use object::pe;

pub(crate) const IMAGE_BASE: u64 = 0x1_4000_0000;
const BODY_SIZE: u32 = 0x400;

/// A 64-bit image of one section whose code returns, that imports `ExitProcess`, and has base relocations.
#[derive(Clone, Copy)]
struct Image<'a> {
    section_alignment: u32,
    rva: u32,
    /// What the section header states; the body is at the offset rounded down to sectors.
    raw_offset: u32,
    virtual_size: u32,
    has_section: bool,
    relocations: &'a [u8],
    machine: u16,
    subsystem: u16,
    entry_rva: u32,
    /// Directory, its size, and its data at offset 0x200 of the section.
    directory: (usize, usize, &'a [u8]),
    /// Bytes between the DOS header and the PE headers.
    rich_header: &'a [u8],
}

const PLAIN: Image<'static> = Image {
    section_alignment: 0x1000,
    rva: 0x1000,
    raw_offset: 0x200,
    virtual_size: BODY_SIZE,
    has_section: true,
    relocations: &[],
    machine: 0x8664,
    subsystem: 3,
    entry_rva: 0x1000,
    directory: (0, 0, &[]),
    rich_header: &[],
};

/// A plain image with the given CLI header, bodies and metadata, and a Rich header.
pub(crate) fn image_of_net(clr: &[u8], rich_header: &[u8]) -> Vec<u8> {
    let directory = (pe::IMAGE_DIRECTORY_ENTRY_COM_DESCRIPTOR, 72, clr);
    Image { directory, rich_header, ..PLAIN }.bytes()
}

/// A plain image with the data of a directory.
pub(crate) fn image_with_directory(index: usize, size: usize, data: &[u8], machine: u16) -> Vec<u8> {
    Image { directory: (index, size, data), machine, ..PLAIN }.bytes()
}

/// A plain image with a Rich header.
pub(crate) fn image_with_rich_header(rich_header: &[u8]) -> Vec<u8> {
    Image { rich_header, ..PLAIN }.bytes()
}

impl Image<'_> {
    fn bytes(self) -> Vec<u8> {
        let mut file = vec![0; 0x200];
        let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
        let half = |number: u32| (number as u16).to_le_bytes();
        put(0, b"MZ");
        put(0x40, self.rich_header);
        let headers = 0x40 + self.rich_header.len();
        put(0x3c, &(headers as u32).to_le_bytes());
        put(headers, b"PE\0\0");
        put(headers + 4, &self.machine.to_le_bytes());
        put(headers + 6, &half(self.has_section.into()));
        put(headers + 20, &half(112 + 128));
        put(headers + 22, &half(0x22));
        let optional = headers + 24;
        put(optional, &half(0x20b));
        put(optional + 16, &self.entry_rva.to_le_bytes());
        put(optional + 24, &IMAGE_BASE.to_le_bytes());
        put(optional + 32, &self.section_alignment.to_le_bytes());
        put(optional + 36, &self.section_alignment.min(0x200).to_le_bytes());
        put(optional + 56, &(self.rva + 0x1000).to_le_bytes());
        put(optional + 60, &0x200_u32.to_le_bytes());
        put(optional + 68, &half(self.subsystem.into()));
        put(optional + 108, &16_u32.to_le_bytes());
        let directory = |index: usize| optional + 112 + 8 * index;
        put(directory(pe::IMAGE_DIRECTORY_ENTRY_IMPORT), &(self.rva + 0x40).to_le_bytes());
        put(directory(pe::IMAGE_DIRECTORY_ENTRY_IMPORT) + 4, &40_u32.to_le_bytes());
        if !self.relocations.is_empty() {
            put(directory(pe::IMAGE_DIRECTORY_ENTRY_BASERELOC), &(self.rva + 0x200).to_le_bytes());
            let size = self.relocations.len() as u32;
            put(directory(pe::IMAGE_DIRECTORY_ENTRY_BASERELOC) + 4, &size.to_le_bytes());
        }
        let (index, size, data) = self.directory;
        if !data.is_empty() {
            put(directory(index), &(self.rva + 0x200).to_le_bytes());
            put(directory(index) + 4, &(size as u32).to_le_bytes());
        }
        if self.has_section {
            let header = optional + 112 + 128;
            put(header, b".text");
            let fields = [self.virtual_size, self.rva, BODY_SIZE, self.raw_offset];
            for (index, field) in fields.into_iter().enumerate() {
                put(header + 8 + 4 * index, &field.to_le_bytes());
            }
            put(header + 36, &0xe000_0060_u32.to_le_bytes());
        }
        file.extend(self.body());
        file
    }

    fn body(&self) -> Vec<u8> {
        let mut body = vec![0; BODY_SIZE as usize];
        let mut put = |at: usize, bytes: &[u8]| body[at..at + bytes.len()].copy_from_slice(bytes);
        // `mov eax, 1; ret`, and at 0x20 `mov eax, 2; ret`.
        put(0, &[0xb8, 1, 0, 0, 0, 0xc3]);
        put(0x20, &[0xb8, 2, 0, 0, 0, 0xc3]);
        for (at, rva) in [(0x40, 0xa0), (0x4c, 0x140), (0x50, 0xc0)] {
            put(at, &(self.rva + rva).to_le_bytes());
        }
        for at in [0xa0, 0xc0] {
            put(at, &u64::from(self.rva + 0x160).to_le_bytes());
        }
        put(0x140, b"KERNEL32.dll\0");
        put(0x162, b"ExitProcess\0");
        put(0x200, self.relocations);
        put(0x200, self.directory.2);
        body
    }
}

/// Name of the imports, and the first instructions at the entry.
fn read(image: Image<'_>) -> (Vec<String>, Vec<String>) {
    let tables = tables(&image.bytes().into());
    let imports = tables.lowered.linkage.imports.columns();
    let imports = imports.iter().filter_map(|import| import.import_name.map(str::to_owned)).collect();
    let entry = IMAGE_BASE + u64::from(image.entry_rva);
    let instructions = tables.instructions.columns();
    let at_entry = instructions.iter().filter(|row| (entry..entry + 6).contains(&row.address));
    let shown = at_entry.map(|row| format!("{} {:?}", row.mnemonic.0, row.immediate)).collect();
    (imports, shown)
}

#[test]
fn sections_are_mapped_as_windows_maps_them() {
    let flat = Image { section_alignment: 0x200, rva: 0x200, entry_rva: 0x200, ..PLAIN };
    let images = [
        ("plain", PLAIN),
        ("an offset that is rounded down to sectors", Image { raw_offset: 0x220, ..PLAIN }),
        ("a stated size that ends in a page", Image { virtual_size: 0x10, ..PLAIN }),
        ("a file that is mapped as it is", flat),
        ("the same, with a section that states less", Image { virtual_size: 0x10, ..flat }),
        ("the same, with a section that states another offset", Image { raw_offset: 0x400, ..flat }),
        ("the same, without sections", Image { has_section: false, section_alignment: 0x10, ..flat }),
    ];
    for (name, image) in images {
        let (imports, shown) = read(image);
        assert_eq!(imports, ["ExitProcess"], "{name}");
        assert_eq!(shown, ["mov Some(1)", "ret None"], "{name}");
    }
}

/// Firmware reads the bytes of a section where its header states them, whatever the offset.
#[test]
fn sections_are_mapped_as_firmware_maps_them() {
    let image = Image { section_alignment: 0x20, rva: 0x220, subsystem: 10, entry_rva: 0x220, ..PLAIN };
    let mut file = Image { raw_offset: 0x220, ..image }.bytes();
    file.splice(0x200..0x200, [0; 0x20]);
    let tables = tables(&file.into());
    let imports = tables.lowered.linkage.imports.columns();
    assert_eq!(imports.row(0).import_name, Some("ExitProcess"));
    assert_eq!(tables.lowered.sections.sections.columns().row(0).file_offset, 0x220);
}

/// Zeros between two blocks are no padding: the second block is reported as lost.
#[test]
fn relocation_blocks_after_zeros_are_reported() {
    let block = [0x1000_u32.to_le_bytes(), 10_u32.to_le_bytes()].concat();
    let relocations = [&block[..], &[0x10, 0xa0], &[0; 8], &block, &[0x20, 0xa0]].concat();
    let tables = tables(&Image { relocations: &relocations, ..PLAIN }.bytes().into());
    assert_eq!(tables.lowered.linkage.relocations.columns().len(), 1);
    let diagnostics = tables.lowered.linkage.diagnostics.columns();
    assert!(diagnostics.row(0).message.contains("a block states a size of 0 bytes"));
}

#[test]
fn a_program_whose_entry_is_its_base_has_an_entry() {
    let entry = |image: Image<'_>| {
        let headers = tables(&image.bytes().into()).lowered.sections.headers;
        headers.columns().row(0).entry_address
    };
    assert_eq!(entry(Image { entry_rva: 0, ..PLAIN }), Some(IMAGE_BASE));
}

/// Blocks follow each other without alignment, and the second half of `HIGHADJ` may look like padding.
#[test]
fn relocation_blocks_of_any_size_are_read() {
    let mut relocations = Vec::new();
    for (page, entries) in
        [(0x1000_u32, &[0x3010_u16][..]), (0x2000, &[0x4020, 0x0123, 0xa030]), (0x3000, &[])]
    {
        relocations.extend(page.to_le_bytes());
        relocations.extend((8 + 2 * entries.len() as u32).to_le_bytes());
        relocations.extend(entries.iter().flat_map(|entry| entry.to_le_bytes()));
    }
    relocations.extend([0; 8]);
    let tables = tables(&Image { relocations: &relocations, ..PLAIN }.bytes().into());
    let found = tables.lowered.linkage.relocations.columns();
    let found: Vec<_> =
        found.iter().map(|row| (row.address - IMAGE_BASE, row.relocation_type.to_owned())).collect();
    let expected = [
        (0x1010, "IMAGE_REL_BASED_HIGHLOW"),
        (0x2020, "IMAGE_REL_BASED_HIGHADJ"),
        (0x2030, "IMAGE_REL_BASED_DIR64"),
    ];
    assert_eq!(found, expected.map(|(rva, name)| (rva, name.to_owned())));
    assert!(tables.lowered.linkage.diagnostics.is_empty());
}

/// .NET marks code that it compiled ahead of time for other systems by another machine.
#[test]
fn machines_of_other_systems_have_an_architecture() {
    use binframe::ir::tables::Architecture;
    for (machine, architecture) in [
        (0x8664 ^ 0x7b79, Architecture::X86_64),
        (0xaa64 ^ 0x4644, Architecture::Aarch64),
        (0x014c ^ 0xadc4, Architecture::X86),
        (0x6264, Architecture::LoongArch),
    ] {
        let headers = tables(&Image { machine, ..PLAIN }.bytes().into()).lowered.sections.headers;
        assert_eq!(headers.columns().row(0).architecture, Some(architecture), "{machine:#x}");
    }
}
