//! `binary_resources` of a PE image, from its tree of resources, whose levels are type, name and language.

use super::super::ir::LinkageBuilder;
use crate::diagnostics::DiagnosticLocation;
use crate::file::formats::pe::Pe;
use crate::file::text_budget::NAMES_TOO_LONG;
use binframe_ir::tables::{BinaryResource, DiagnosticCode};
use object::LittleEndian as LE;
use object::pe::{
    IMAGE_DIRECTORY_ENTRY_RESOURCE, ImageResourceDataEntry, ImageResourceDirectoryEntry, NAMES_RT,
};
use object::read::pe::{
    ResourceDirectory, ResourceDirectoryEntryData, ResourceDirectoryTable, ResourceNameOrId,
};

pub(super) fn push(pe: &Pe<'_>, linkage: &mut LinkageBuilder) {
    let Some((rva, size)) = pe.directory(IMAGE_DIRECTORY_ENTRY_RESOURCE) else { return };
    let content = pe.bytes_from(rva).map_or(&[][..], |(bytes, _)| &bytes[..bytes.len().min(size as usize)]);
    let tree = ResourceTree {
        pe,
        directory: ResourceDirectory::new(content),
        entries_left: content.len() / size_of::<ImageResourceDirectoryEntry>(),
        resource_index: 0,
        linkage,
    };
    tree.push(rva);
}

struct ResourceTree<'a, 'd> {
    pe: &'a Pe<'d>,
    directory: ResourceDirectory<'d>,
    /// Entries that may still be read: nodes of a broken tree may be shared, so that paths multiply.
    entries_left: usize,
    resource_index: u32,
    linkage: &'a mut LinkageBuilder,
}

type Entry = ImageResourceDirectoryEntry;

impl<'d> ResourceTree<'_, 'd> {
    fn push(mut self, rva: u32) {
        let read =
            self.directory.root().map_err(|error| error.to_string()).and_then(|root| self.types(&root));
        if let Err(error) = read {
            let location = DiagnosticLocation::Address(self.pe.address(rva));
            let message = format!("the resources after the first {}: {error}", self.resource_index);
            self.linkage.warning(DiagnosticCode::BrokenResource, location, &message);
        }
    }

    fn types(&mut self, root: &ResourceDirectoryTable<'d>) -> Result<(), String> {
        for &entry in root.entries {
            let resource_type = match entry.name_or_id() {
                ResourceNameOrId::Id(id) => NAMES_RT.name(id).map_or_else(|| id.to_string(), str::to_owned),
                ResourceNameOrId::Name(_) => self.name(entry)?,
            };
            for &named in self.table(entry)?.entries {
                let resource_name = self.name(named)?;
                for &of_language in self.table(named)?.entries {
                    self.leaf(&resource_type, &resource_name, of_language)?;
                }
            }
        }
        Ok(())
    }

    /// Counts an entry.
    fn count(&mut self) -> Result<(), String> {
        self.entries_left =
            self.entries_left.checked_sub(1).ok_or("there are more than fit in the directory")?;
        Ok(())
    }

    /// The table that an entry refers to.
    fn table(&mut self, entry: Entry) -> Result<ResourceDirectoryTable<'d>, String> {
        self.count()?;
        let data = entry.data(self.directory).map_err(|error| error.to_string())?;
        data.table().ok_or_else(|| "the tree ends before its third level".to_owned())
    }

    fn name(&mut self, entry: Entry) -> Result<String, String> {
        match entry.name_or_id() {
            ResourceNameOrId::Id(id) => Ok(id.to_string()),
            ResourceNameOrId::Name(name) => {
                let name = name.to_string_lossy(self.directory).map_err(|error| error.to_string())?;
                self.linkage.names.take(name).ok_or(NAMES_TOO_LONG.to_owned())
            }
        }
    }

    /// Adds the row of an entry of the third level.
    fn leaf(&mut self, resource_type: &str, resource_name: &str, entry: Entry) -> Result<(), String> {
        self.count()?;
        let data: &ImageResourceDataEntry = match entry.data(self.directory) {
            Ok(ResourceDirectoryEntryData::Data(data)) => data,
            Ok(ResourceDirectoryEntryData::Table(_)) => return Err("the tree has a fourth level".to_owned()),
            Err(error) => return Err(error.to_string()),
        };
        let ResourceNameOrId::Id(language) = entry.name_or_id() else {
            return Err("a language has no number".to_owned());
        };
        let names = &mut self.linkage.names;
        if [resource_type, resource_name].into_iter().any(|name| names.take(name).is_none()) {
            return Err(NAMES_TOO_LONG.to_owned());
        }
        let rva = data.offset_to_data.get(LE);
        self.linkage.resources.push(BinaryResource {
            resource_index: self.resource_index,
            resource_type,
            resource_name,
            language: language.into(),
            address: self.pe.address(rva),
            file_offset: self.pe.bytes_from(rva).map(|(_, file_offset)| file_offset),
            size: data.size.get(LE).into(),
        });
        self.resource_index += 1;
        Ok(())
    }
}
