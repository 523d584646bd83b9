//! Breaks ELF files on purpose: edits of headers, sections, symbols and code, in place or by growing the file.

/// Size of a section header.
const SECTION_HEADER_SIZE: usize = 64;
/// Size of a program header.
const PROGRAM_HEADER_SIZE: usize = 56;
/// Size of a symbol.
const SYMBOL_SIZE: usize = 24;

/// Fields of the ELF header: offset, size in bytes.
pub mod header {
    /// Where the section headers begin.
    pub const SECTION_HEADERS: (usize, usize) = (40, 8);
    /// Number of section headers.
    pub const SECTION_COUNT: (usize, usize) = (60, 2);
    /// Index of the section with the names of sections.
    pub const SECTION_NAMES: (usize, usize) = (62, 2);
}

/// Fields of a section header: offset, size in bytes.
pub mod section {
    /// Offset of the name.
    pub const NAME: (usize, usize) = (0, 4);
    /// Type.
    pub const TYPE: (usize, usize) = (4, 4);
    /// Flags.
    pub const FLAGS: (usize, usize) = (8, 8);
    /// Address.
    pub const ADDRESS: (usize, usize) = (16, 8);
    /// Offset in the file.
    pub const OFFSET: (usize, usize) = (24, 8);
    /// Size.
    pub const SIZE: (usize, usize) = (32, 8);
    /// Another section that this one needs.
    pub const LINK: (usize, usize) = (40, 4);
    /// Size of an entry.
    pub const ENTRY_SIZE: (usize, usize) = (56, 8);
}

/// Fields of a program header: offset, size in bytes.
pub mod segment {
    /// Type.
    pub const TYPE: (usize, usize) = (0, 4);
    /// Offset in the file.
    pub const OFFSET: (usize, usize) = (8, 8);
    /// Address.
    pub const ADDRESS: (usize, usize) = (16, 8);
    /// Size in the file.
    pub const FILE_SIZE: (usize, usize) = (32, 8);
    /// Size in memory.
    pub const SIZE: (usize, usize) = (40, 8);
    /// Alignment.
    pub const ALIGNMENT: (usize, usize) = (48, 8);
}

/// Fields of a symbol: offset, size in bytes.
pub mod symbol {
    /// Offset of the name.
    pub const NAME: (usize, usize) = (0, 4);
    /// Index of the section.
    pub const SECTION: (usize, usize) = (6, 2);
    /// Value.
    pub const VALUE: (usize, usize) = (8, 8);
}

/// A file that is edited.
#[derive(Clone)]
pub struct Patch(pub Vec<u8>);

impl Patch {
    /// Sets a field of the ELF header.
    pub fn header(&mut self, field: (usize, usize), value: u64) -> &mut Self {
        self.put(0, field, value)
    }

    /// Sets a field of the section header at an index.
    pub fn section(&mut self, index: usize, field: (usize, usize), value: u64) -> &mut Self {
        self.put(self.get(0, header::SECTION_HEADERS) as usize + SECTION_HEADER_SIZE * index, field, value)
    }

    /// Sets a field of the program header at an index.
    pub fn segment(&mut self, index: usize, field: (usize, usize), value: u64) -> &mut Self {
        self.put(64 + PROGRAM_HEADER_SIZE * index, field, value)
    }

    /// Sets a field of a symbol of the table in the section at an index.
    pub fn symbol(&mut self, table: usize, index: usize, field: (usize, usize), value: u64) -> &mut Self {
        self.put(self.section_offset(table) + SYMBOL_SIZE * index, field, value)
    }

    /// Overwrites bytes at an offset of the section at an index.
    pub fn content(&mut self, index: usize, offset: usize, bytes: &[u8]) -> &mut Self {
        let start = self.section_offset(index) + offset;
        self.0[start..start + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// Moves the section headers to the end of the file and adds `count` copies of the last.
    pub fn add_section_headers(&mut self, count: usize) -> &mut Self {
        let start = self.get(0, header::SECTION_HEADERS) as usize;
        let old = self.get(0, header::SECTION_COUNT) as usize;
        let headers = self.0[start..start + SECTION_HEADER_SIZE * old].to_vec();
        let end = self.0.len() as u64;
        self.0.extend_from_slice(&headers);
        let last = headers[headers.len() - SECTION_HEADER_SIZE..].repeat(count);
        self.0.extend_from_slice(&last);
        self.header(header::SECTION_HEADERS, end).header(header::SECTION_COUNT, (old + count) as u64)
    }

    /// Gives the section at an index other bytes, which stand at the end of the file.
    pub fn replace_section(&mut self, index: usize, bytes: &[u8]) -> &mut Self {
        let offset = self.0.len() as u64;
        self.0.extend_from_slice(bytes);
        self.section(index, section::OFFSET, offset).section(index, section::SIZE, bytes.len() as u64)
    }

    fn section_offset(&self, index: usize) -> usize {
        let headers = self.get(0, header::SECTION_HEADERS) as usize;
        self.get(headers + SECTION_HEADER_SIZE * index, section::OFFSET) as usize
    }

    fn get(&self, base: usize, (offset, size): (usize, usize)) -> u64 {
        let mut bytes = [0; 8];
        bytes[..size].copy_from_slice(&self.0[base + offset..base + offset + size]);
        u64::from_le_bytes(bytes)
    }

    fn put(&mut self, base: usize, (offset, size): (usize, usize), value: u64) -> &mut Self {
        self.0[base + offset..base + offset + size].copy_from_slice(&value.to_le_bytes()[..size]);
        self
    }
}
