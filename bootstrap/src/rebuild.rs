//! Writes an input of a dataset back, byte for byte, from its tables alone.
//!
//! `file_extents` says what every byte belongs to; the bytes themselves stand there, in the content of a section, or in the
//! extents of a member of the container. Nothing is believed that another row does not confirm: extents follow each other
//! without a gap, contents have the sizes that rows claim, bytes that two rows hold are the same, and the whole has the size
//! and the digest that the header says.

use crate::error::Error;
use crate::file::{NewFile, map_file};
use crate::store::{Dataset, StoredPart};
use binframe_ir::tables::{
    Binaries, BinaryHeaders, BinaryKind, BinarySection, BinarySections, FileExtent, FileExtents,
};
use binframe_ir::{Rows, Table};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::marker::PhantomData;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A file that was rebuilt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// The input that it was.
    pub binary: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

/// Writes an input of a dataset to a file, which appears whole or not at all. Without a name, the dataset must be of one input
/// (and its members).
pub fn rebuild(dataset: &Dataset, binary: Option<&str>, output: &Path) -> Result<Rebuilt, Error> {
    for table in [Binaries::INFO, BinaryHeaders::INFO, BinarySections::INFO, FileExtents::INFO] {
        if !dataset.has_table(table) {
            return Err(Error::MissingTable { path: dataset.path().to_owned(), table });
        }
    }
    let members = Members::read(dataset)?;
    let binary = members.choose(dataset, binary)?;
    let header = Header::read(dataset, binary)?;
    let file = NewFile::create(output, header.is_program)?;
    let mut rebuilder = Rebuilder {
        dataset,
        members: &members,
        file: file.file(),
        output,
        placed: Vec::new(),
        shared: Vec::new(),
    };
    rebuilder.place(binary, &header, 0)?;
    rebuilder.compare_shared()?;
    rebuilder.compare_digests(&map_file(file.partial_path())?.0)?;
    file.publish()?;
    Ok(Rebuilt { binary: binary.to_owned(), size: header.size, sha256: header.sha256 })
}

/// What the header of an input says of the whole.
struct Header {
    size: u64,
    sha256: String,
    member_index: u32,
    /// Whether the system is to run it.
    is_program: bool,
}

impl Header {
    fn read(dataset: &Dataset, binary: &str) -> Result<Self, Error> {
        let missing = || disagreement(dataset, BinaryHeaders::INFO.name, binary, 0, "the row is missing");
        let rows = parts::<BinaryHeaders>(dataset, binary)?.first().ok_or_else(missing)?.read()?;
        let header = rows.columns().iter().next().ok_or_else(missing)?;
        let is_linked = matches!(header.kind, BinaryKind::Executable | BinaryKind::Dynamic);
        Ok(Self {
            size: header.file_size,
            sha256: header.sha256.to_owned(),
            member_index: header.member_index,
            is_program: is_linked && header.entry_address.is_some(),
        })
    }
}

/// Which inputs are members of which.
struct Members {
    /// Inputs that are files of their own.
    files: Vec<String>,
    /// Members, by container.
    of: HashMap<String, Vec<String>>,
}

impl Members {
    fn read(dataset: &Dataset) -> Result<Self, Error> {
        let mut members = Self { files: Vec::new(), of: HashMap::new() };
        for (binary, part) in dataset.stored_parts(Binaries::INFO, None, None)? {
            let rows = Rows::<Binaries>::from_batch(part.read()?).expect("the table was asked for");
            match rows.columns().iter().find_map(|row| row.container.map(str::to_owned)) {
                Some(container) => members.of.entry(container).or_default().push(binary),
                None => members.files.push(binary),
            }
        }
        Ok(members)
    }

    fn choose<'a>(&'a self, dataset: &Dataset, asked: Option<&str>) -> Result<&'a str, Error> {
        let all = || self.files.iter().chain(self.of.values().flatten());
        let found = match asked {
            Some(asked) => all().find(|binary| *binary == asked),
            None if self.files.len() == 1 => self.files.first(),
            None => None,
        };
        found.map(String::as_str).ok_or_else(|| Error::NoSuchBinary {
            path: dataset.path().to_owned(),
            asked: asked.map(str::to_owned),
            known: self.files.clone(),
        })
    }

    fn of<'a>(&'a self, container: &str) -> &'a [String] {
        self.of.get(container).map_or(&[], Vec::as_slice)
    }
}

struct Rebuilder<'a> {
    dataset: &'a Dataset,
    members: &'a Members,
    file: &'a File,
    output: &'a Path,
    /// Inputs that were written, where they begin in the file, and their headers' digests.
    placed: Vec<(String, Range<u64>, String)>,
    /// Parts of `binary_sections` with bytes that belong to others, and where their input begins in the file.
    shared: Vec<(Part<BinarySections>, u64)>,
}

/// Extents whose bytes stand elsewhere, by the index of their section or member, with their rows.
type Elsewhere = BTreeMap<u32, Vec<(usize, u64, u64)>>;

impl Rebuilder<'_> {
    /// Writes an input, which begins at an offset of the file.
    fn place(&mut self, binary: &str, header: &Header, base: u64) -> Result<(), Error> {
        self.placed.push((binary.to_owned(), base..base + header.size, header.sha256.clone()));
        let (mut of_sections, of_members) = self.place_extents(binary, header, base)?;
        self.place_sections(binary, base, &mut of_sections)?;
        if let Some((index, row)) =
            of_sections.iter().find_map(|(index, rows)| Some((index, rows.first()?.0)))
        {
            let message = format!("it belongs to section {index}, which is not in binary_sections");
            return Err(self.disagreement(FileExtents::INFO.name, binary, row, &message));
        }
        let mut members = HashMap::new();
        for member in self.members.of(binary) {
            let header = Header::read(self.dataset, member)?;
            members.insert(header.member_index, (member, header));
        }
        for (index, rows) in of_members {
            for (row, offset, size) in rows {
                let found = members.get(&index).filter(|(_, header)| header.size == size);
                let Some((member, header)) = found else {
                    let message = format!("it holds member {index} of {size} bytes, and no input is that");
                    return Err(self.disagreement(FileExtents::INFO.name, binary, row, &message));
                };
                self.place(member, header, base + offset)?;
            }
        }
        Ok(())
    }

    /// Writes the bytes that stand in `file_extents`, and returns where the others stand: in sections, and in members.
    fn place_extents(
        &self,
        binary: &str,
        header: &Header,
        base: u64,
    ) -> Result<(Elsewhere, Elsewhere), Error> {
        let table = FileExtents::INFO.name;
        let (mut of_sections, mut of_members) = (Elsewhere::new(), Elsewhere::new());
        let (mut row, mut offset) = (0, 0);
        for part in parts::<FileExtents>(self.dataset, binary)? {
            for extent in part.read()?.columns().iter() {
                if let Some(message) = extent_error(&extent, offset, header.size) {
                    return Err(self.disagreement(table, binary, row, &message));
                }
                match (extent.content, extent.section_index, extent.member_index) {
                    (Some(content), _, _) => self.write(content, base + offset)?,
                    (None, Some(index), _) => {
                        of_sections.entry(index).or_default().push((row, offset, extent.size));
                    }
                    (None, None, Some(index)) => {
                        of_members.entry(index).or_default().push((row, offset, extent.size));
                    }
                    (None, None, None) => {
                        return Err(self.disagreement(table, binary, row, "nothing has its bytes"));
                    }
                }
                offset += extent.size;
                row += 1;
            }
        }
        if offset != header.size {
            let message = format!("the file has {} bytes, its extents {offset}", header.size);
            return Err(self.disagreement(BinaryHeaders::INFO.name, binary, 0, &message));
        }
        Ok((of_sections, of_members))
    }

    /// Writes the bytes that stand in sections, and takes their extents away.
    fn place_sections(&mut self, binary: &str, base: u64, extents: &mut Elsewhere) -> Result<(), Error> {
        for part in parts::<BinarySections>(self.dataset, binary)? {
            let rows = part.read()?;
            let mut is_shared = false;
            for (row, section) in (part.first_row..).zip(rows.columns().iter()) {
                if section.content.len() as u64 > section.file_size {
                    let message = "its content is longer than its size in the file";
                    return Err(self.disagreement(BinarySections::INFO.name, binary, row, message));
                }
                let mut placed = 0;
                for (extent_row, offset, size) in extents.remove(&section.section_index).unwrap_or_default() {
                    let bytes = bytes_of(&section, offset, size).ok_or_else(|| {
                        let message = format!("section {} does not have its bytes", section.section_index);
                        self.disagreement(FileExtents::INFO.name, binary, extent_row, &message)
                    })?;
                    self.write(bytes, base + offset)?;
                    placed += size;
                }
                is_shared |= placed < section.content.len() as u64;
            }
            if is_shared {
                self.shared.push((part, base));
            }
        }
        Ok(())
    }

    /// Compares contents, parts of which belong to others, with the file.
    fn compare_shared(&self) -> Result<(), Error> {
        let mut buffer = vec![0; 1 << 16];
        for (part, base) in &self.shared {
            for (row, section) in (part.first_row..).zip(part.read()?.columns().iter()) {
                let mut offset = base + section.file_offset;
                for bytes in section.content.chunks(buffer.len()) {
                    let written = &mut buffer[..bytes.len()];
                    if self.file.read_exact_at(written, offset).is_err() || written != bytes {
                        let message = format!("its content is not what the file has from {offset:#x} on");
                        return Err(self.disagreement(
                            BinarySections::INFO.name,
                            &part.binary,
                            row,
                            &message,
                        ));
                    }
                    offset += bytes.len() as u64;
                }
            }
        }
        Ok(())
    }

    /// Compares the digests of headers with those of what was written.
    fn compare_digests(&self, file: &[u8]) -> Result<(), Error> {
        for (binary, range, sha256) in &self.placed {
            let digest = Sha256::digest(&file[range.start as usize..range.end as usize]);
            let digest = digest.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
            if digest != *sha256 {
                let message = format!("its sha256 is {sha256}, that of the bytes in the tables {digest}");
                return Err(self.disagreement(BinaryHeaders::INFO.name, binary, 0, &message));
            }
        }
        Ok(())
    }

    fn write(&self, bytes: &[u8], offset: u64) -> Result<(), Error> {
        self.file.write_all_at(bytes, offset).map_err(Error::io(self.output, "write"))
    }

    fn disagreement(&self, table: &'static str, binary: &str, row: usize, message: &str) -> Error {
        disagreement(self.dataset, table, binary, row, message)
    }
}

/// What is wrong with an extent, which should begin at an offset and end in the file.
fn extent_error(extent: &FileExtent<'_>, offset: u64, file_size: u64) -> Option<String> {
    if extent.file_offset != offset {
        return Some(format!("it begins at {:#x}, the one before ends at {offset:#x}", extent.file_offset));
    }
    if extent.size == 0 || extent.size > file_size - offset {
        return Some(format!("it has {} bytes, the rest of the file {}", extent.size, file_size - offset));
    }
    let length = extent.content.map(|content| content.len() as u64);
    length
        .filter(|length| *length != extent.size)
        .map(|length| format!("it has {} bytes, its content {length}", extent.size))
}

/// The bytes of a section that stand at an offset of the file.
fn bytes_of<'a>(section: &BinarySection<'a>, offset: u64, size: u64) -> Option<&'a [u8]> {
    let start = usize::try_from(offset.checked_sub(section.file_offset)?).ok()?;
    section.content.get(start..start.checked_add(usize::try_from(size).ok()?)?)
}

/// Rows of one input that are stored together.
struct Part<T> {
    binary: String,
    stored: StoredPart,
    /// The position of its first row among those of the input.
    first_row: usize,
    table: PhantomData<T>,
}

impl<T: Table> Part<T> {
    fn read(&self) -> Result<Rows<T>, Error> {
        Ok(Rows::from_batch(self.stored.read()?).expect("the table was asked for"))
    }
}

fn parts<T: Table>(dataset: &Dataset, binary: &str) -> Result<Vec<Part<T>>, Error> {
    let mut next_row = 0;
    let part = |(binary, stored): (String, StoredPart)| {
        let first_row = next_row;
        next_row += stored.rows();
        Part { binary, stored, first_row, table: PhantomData }
    };
    Ok(dataset.stored_parts(T::INFO, Some(binary), None)?.into_iter().map(part).collect())
}

fn disagreement(dataset: &Dataset, table: &'static str, binary: &str, row: usize, message: &str) -> Error {
    Error::Disagreement {
        path: dataset.path().to_owned(),
        table,
        binary: binary.to_owned(),
        row,
        message: message.to_owned(),
    }
}
