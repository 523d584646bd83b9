//! Edits ELF files: headers, sections, symbols and code, in place or by growing the file.

/// Size of a section header.
const SECTION_HEADER_SIZE: usize = 64;
/// Size of a program header.
const PROGRAM_HEADER_SIZE: usize = 56;
/// Size of a symbol.
const SYMBOL_SIZE: usize = 24;

/// Declares the fields of a header: constant, name, offset and size in bytes.
macro_rules! fields {
    ($($(#[$doc:meta])* $constant:ident $name:literal ($offset:literal, $size:literal)),+ $(,)?) => {
        $($(#[$doc])* pub const $constant: (usize, usize) = ($offset, $size);)+

        /// Offset and size of a field by name.
        pub fn named(name: &str) -> Option<(usize, usize)> {
            match name {
                $($name => Some($constant),)+
                _ => None,
            }
        }
    };
}

/// Fields of the ELF header.
pub mod header {
    fields! {
        /// Architecture.
        MACHINE "machine" (18, 2),
        /// File offset of the section headers.
        SECTION_HEADERS "section_headers" (40, 8),
        /// Number of section headers.
        SECTION_COUNT "section_count" (60, 2),
        /// Index of the section that contains section names.
        SECTION_NAMES "section_names" (62, 2),
    }
}

/// Fields of a section header.
pub mod section {
    fields! {
        /// Offset of the name.
        NAME "name" (0, 4),
        /// Type.
        TYPE "type" (4, 4),
        /// Flags.
        FLAGS "flags" (8, 8),
        /// Address.
        ADDRESS "address" (16, 8),
        /// Offset in the file.
        OFFSET "offset" (24, 8),
        /// Size.
        SIZE "size" (32, 8),
        /// Index of a related section.
        LINK "link" (40, 4),
        /// Size of an entry.
        ENTRY_SIZE "entry_size" (56, 8),
    }
}

/// Fields of a program header.
pub mod segment {
    fields! {
        /// Type.
        TYPE "type" (0, 4),
        /// Offset in the file.
        OFFSET "offset" (8, 8),
        /// Address.
        ADDRESS "address" (16, 8),
        /// Size in the file.
        FILE_SIZE "file_size" (32, 8),
        /// Size in memory.
        SIZE "size" (40, 8),
        /// Alignment.
        ALIGNMENT "alignment" (48, 8),
    }
}

/// Fields of a symbol.
pub mod symbol {
    fields! {
        /// Offset of the name.
        NAME "name" (0, 4),
        /// Index of the section.
        SECTION "section" (6, 2),
        /// Value.
        VALUE "value" (8, 8),
    }
}

/// An ELF file to edit.
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

    /// Sets a field of a symbol in the symbol table with the given section index.
    pub fn symbol(&mut self, table: usize, index: usize, field: (usize, usize), value: u64) -> &mut Self {
        self.put(self.section_offset(table) + SYMBOL_SIZE * index, field, value)
    }

    /// Overwrites bytes at an offset of the section at an index.
    pub fn content(&mut self, index: usize, offset: usize, bytes: &[u8]) -> &mut Self {
        let start = self.section_offset(index) + offset;
        self.0[start..start + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// Moves the section headers to the end of the file and appends `count` copies of the last one.
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

    /// Replaces the bytes of the section at an index. The new bytes are at the end of the file.
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
