//! Short import objects: members of import libraries that name one symbol of a DLL, for linkers.
//!
//! Source: Microsoft's "PE Format", "Import Library Format".

use super::unsupported::Unsupported;
use bytes::Bytes;
use object::LittleEndian as LE;
use object::pe::{ImportObjectHeader, Machine};
use object::pod;
use object::read::coff::{ImportFile, ImportName, ImportType};

/// A short import object.
pub(crate) struct ShortImport<'a> {
    pub(crate) file: &'a Bytes,
    pub(crate) machine: Machine,
    /// The symbol that the linker resolves.
    pub(crate) symbol: &'a [u8],
    /// Name of the DLL.
    pub(crate) library: &'a [u8],
    /// Name that the DLL exports; `None` if it exports a number.
    pub(crate) name: Option<&'a [u8]>,
    /// The number or, next to a name, its likely position in the DLL's table of names.
    pub(crate) ordinal_or_hint: u16,
    pub(crate) is_function: bool,
}

impl<'a> ShortImport<'a> {
    /// Reads the object.
    pub(crate) fn find(file: &'a Bytes) -> Result<Self, Unsupported> {
        let unsupported = |error: &str| Unsupported::new(0, error, "a short import object");
        let import = ImportFile::parse(file.as_ref()).map_err(|error| unsupported(&error.to_string()))?;
        let (header, _) = pod::from_bytes::<ImportObjectHeader>(file)
            .map_err(|()| unsupported("a header that is cut short"))?;
        Ok(Self {
            file,
            machine: header.machine.get(LE),
            symbol: import.symbol(),
            library: import.dll(),
            name: match import.import() {
                ImportName::Name(name) => Some(name),
                ImportName::Ordinal(_) => None,
            },
            ordinal_or_hint: header.ordinal_or_hint.get(LE),
            is_function: matches!(import.import_type(), ImportType::Code),
        })
    }
}
