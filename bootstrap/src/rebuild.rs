//! Rebuild: restores a binary byte for byte from its tables: `(binary_headers, binary_sections, binary_extents) -> file`.
//!
//! *Problem.* Every byte of a file is stored in at least one row: in an extent itself, in the content of a section, or
//! in the extents of a member of the container. The file must come from the tables alone, and tables that contradict
//! each other must be refused with the row.
//!
//! *Algorithm.* (1) Read the extents in file order: write those with content, and collect the others by section and by
//! member. (2) For each section, write the bytes of its extents from its content. (3) Rebuild each member at the offset
//! of its extent. (4) Compare the contents of sections that overlap other extents with the written file. (5) Compare
//! the SHA-256 of every binary with its header. (6) Publish the file.
//!
//! *Invariants.* Each extent starts where the previous one ends, and the last one ends at the file size. Contents have
//! the sizes that their rows declare. Every extent has exactly one source.
//!
//! *Cost.* Linear in the size of the file. One row group is in memory at a time; overlapping sections are read twice.

use crate::error::Error;
use crate::file;
use crate::new_file::NewFile;
use crate::store::reader::{Dataset, StoredRowGroup};
use binframe_ir::tables::{
    Binaries, BinaryExtent, BinaryExtents, BinaryHeaders, BinaryKind, BinarySection, BinarySections,
};
use binframe_ir::{Rows, Table};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::marker::PhantomData;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Containers around a binary: a universal file may contain an archive, which contains objects.
const DEPTH_MAX: usize = 2;

/// A rebuilt file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// Name of the binary.
    pub binary: String,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256, in hexadecimal.
    pub sha256: String,
}

/// Rebuilds a binary of a dataset into a file, which is written atomically. Without a name, the dataset must have
/// exactly one binary that is not a member of a container.
pub fn rebuild(dataset: &Dataset, binary: Option<&str>, output: &Path) -> Result<Rebuilt, Error> {
    for table in [Binaries::INFO, BinaryHeaders::INFO, BinarySections::INFO, BinaryExtents::INFO] {
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
        written: Vec::new(),
        overlapping: Vec::new(),
    };
    rebuilder.write_binary(binary, &header, 0, 0)?;
    rebuilder.compare_overlapping()?;
    rebuilder.compare_digests(&file::map(file.file(), output)?.0)?;
    file.publish()?;
    Ok(Rebuilt { binary: binary.to_owned(), size: header.size, sha256: header.sha256 })
}

/// The facts about a binary in `binary_headers`.
struct Header {
    size: u64,
    sha256: String,
    member_index: u32,
    /// Whether the file can be executed, and so needs the permission.
    is_program: bool,
}

impl Header {
    fn read(dataset: &Dataset, binary: &str) -> Result<Self, Error> {
        let missing = || disagreement(dataset, BinaryHeaders::INFO.name, binary, 0, "the row is missing");
        let rows = row_groups::<BinaryHeaders>(dataset, binary)?.first().ok_or_else(missing)?.read()?;
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

/// The binaries of a dataset by container.
struct Members {
    /// Binaries that are not members of a container.
    files: Vec<String>,
    /// Members of each container.
    of: HashMap<String, Vec<String>>,
}

impl Members {
    fn read(dataset: &Dataset) -> Result<Self, Error> {
        let mut members = Self { files: Vec::new(), of: HashMap::new() };
        for (binary, row_group) in dataset.row_groups(Binaries::INFO, None, None)? {
            let rows = Rows::<Binaries>::from_batch(row_group.read()?).expect("row groups of the table");
            match rows.columns().iter().find_map(|row| row.container.map(str::to_owned)) {
                Some(container) => members.of.entry(container).or_default().push(binary),
                None => members.files.push(binary),
            }
        }
        Ok(members)
    }

    /// The binary of the requested name, or the only one.
    fn choose<'a>(&'a self, dataset: &Dataset, requested: Option<&str>) -> Result<&'a str, Error> {
        let all = || self.files.iter().chain(self.of.values().flatten());
        let found = match requested {
            Some(name) => all().find(|binary| *binary == name),
            None if self.files.len() == 1 => self.files.first(),
            None => None,
        };
        found.map(String::as_str).ok_or_else(|| Error::NoSuchBinary {
            path: dataset.path().to_owned(),
            requested: requested.map(str::to_owned),
            available: self.files.clone(),
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
    /// Binaries that were written: name, range in the file, and SHA-256 of the header.
    written: Vec<(String, Range<u64>, String)>,
    /// Row groups of `binary_sections` with bytes that were written from other rows, and the offset of their binary in
    /// the file.
    overlapping: Vec<(RowGroup<BinarySections>, u64)>,
}

/// Row, file offset and size of extents whose bytes are stored in a section or a member, by the index of the section or
/// member.
type PendingExtents = BTreeMap<u32, Vec<(usize, u64, u64)>>;

impl Rebuilder<'_> {
    /// Writes a binary that starts at offset `base` of the file, and is in `depth` containers.
    fn write_binary(&mut self, binary: &str, header: &Header, base: u64, depth: usize) -> Result<(), Error> {
        if depth > DEPTH_MAX {
            let message = "it is a container in a container in a container";
            return Err(self.disagreement(Binaries::INFO.name, binary, 0, message));
        }
        self.written.push((binary.to_owned(), base..base + header.size, header.sha256.clone()));
        let (mut of_sections, of_members) = self.write_extents(binary, header, base)?;
        self.write_sections(binary, base, &mut of_sections)?;
        if let Some((index, row)) =
            of_sections.iter().find_map(|(index, rows)| Some((index, rows.first()?.0)))
        {
            let message = format!("it belongs to section {index}, which is not in binary_sections");
            return Err(self.disagreement(BinaryExtents::INFO.name, binary, row, &message));
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
                    let message = format!(
                        "it is member {index} of {size} bytes, and no binary has this index and size"
                    );
                    return Err(self.disagreement(BinaryExtents::INFO.name, binary, row, &message));
                };
                self.write_binary(member, header, base + offset, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Writes the extents that have content, and returns the other extents, of sections and of members.
    fn write_extents(
        &self,
        binary: &str,
        header: &Header,
        base: u64,
    ) -> Result<(PendingExtents, PendingExtents), Error> {
        let table = BinaryExtents::INFO.name;
        let (mut of_sections, mut of_members) = (PendingExtents::new(), PendingExtents::new());
        let (mut row, mut offset) = (0, 0);
        for row_group in row_groups::<BinaryExtents>(self.dataset, binary)? {
            for extent in row_group.read()?.columns().iter() {
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

    /// Writes the extents of sections from the sections' contents, and removes them from `extents`.
    fn write_sections(&mut self, binary: &str, base: u64, extents: &mut PendingExtents) -> Result<(), Error> {
        for row_group in row_groups::<BinarySections>(self.dataset, binary)? {
            let rows = row_group.read()?;
            let mut is_overlapping = false;
            for (row, section) in (row_group.first_row..).zip(rows.columns().iter()) {
                if section.content.len() as u64 > section.file_size {
                    let message = "its content is longer than its size in the file";
                    return Err(self.disagreement(BinarySections::INFO.name, binary, row, message));
                }
                let mut written = 0;
                for (extent_row, offset, size) in extents.remove(&section.section_index).unwrap_or_default() {
                    let bytes = bytes_of(&section, offset, size).ok_or_else(|| {
                        let message = format!("section {} does not have its bytes", section.section_index);
                        self.disagreement(BinaryExtents::INFO.name, binary, extent_row, &message)
                    })?;
                    self.write(bytes, base + offset)?;
                    written += size;
                }
                is_overlapping |= written < section.content.len() as u64;
            }
            if is_overlapping {
                self.overlapping.push((row_group, base));
            }
        }
        Ok(())
    }

    /// Compares contents with bytes that were written from other rows with the file.
    fn compare_overlapping(&self) -> Result<(), Error> {
        let mut buffer = vec![0; 1 << 16];
        for (row_group, base) in &self.overlapping {
            for (row, section) in (row_group.first_row..).zip(row_group.read()?.columns().iter()) {
                let mut offset = base + section.file_offset;
                for bytes in section.content.chunks(buffer.len()) {
                    let written = &mut buffer[..bytes.len()];
                    if self.file.read_exact_at(written, offset).is_err() || written != bytes {
                        let message = format!("its content is not what the file has from {offset:#x} on");
                        return Err(self.disagreement(
                            BinarySections::INFO.name,
                            &row_group.binary,
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

    /// Compares the SHA-256 of every written binary with its header.
    fn compare_digests(&self, file: &[u8]) -> Result<(), Error> {
        for (binary, range, sha256) in &self.written {
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

/// The contradiction in an extent that should start at `offset`, if there is one.
fn extent_error(extent: &BinaryExtent<'_>, offset: u64, file_size: u64) -> Option<String> {
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

/// The `size` bytes at a file offset, from the content of a section; `None` if it does not contain them.
fn bytes_of<'a>(section: &BinarySection<'a>, offset: u64, size: u64) -> Option<&'a [u8]> {
    let start = usize::try_from(offset.checked_sub(section.file_offset)?).ok()?;
    section.content.get(start..start.checked_add(usize::try_from(size).ok()?)?)
}

/// A row group of a known table.
struct RowGroup<T> {
    binary: String,
    stored: StoredRowGroup,
    /// Position of the first row among the rows of the binary.
    first_row: usize,
    table: PhantomData<T>,
}

impl<T: Table> RowGroup<T> {
    fn read(&self) -> Result<Rows<T>, Error> {
        Ok(Rows::from_batch(self.stored.read()?).expect("a row group of the table"))
    }
}

/// The row groups of a table for one binary, in order.
fn row_groups<T: Table>(dataset: &Dataset, binary: &str) -> Result<Vec<RowGroup<T>>, Error> {
    let mut next_row = 0;
    let row_group = |(binary, stored): (String, StoredRowGroup)| {
        let first_row = next_row;
        next_row += stored.row_count();
        RowGroup { binary, stored, first_row, table: PhantomData }
    };
    Ok(dataset.row_groups(T::INFO, Some(binary), None)?.into_iter().map(row_group).collect())
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
