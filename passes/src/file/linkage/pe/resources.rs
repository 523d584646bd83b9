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
    let Some((rva, _)) = pe.directory(IMAGE_DIRECTORY_ENTRY_RESOURCE) else { return };
    // The loader does not read the size of the directory.
    let content = pe.bytes_from(rva).map_or(&[][..], |(bytes, _)| bytes);
    let mut tree = ResourceTree {
        pe,
        rva,
        directory: ResourceDirectory::new(content),
        entries_left: content.len() / size_of::<ImageResourceDirectoryEntry>(),
        resource_index: 0,
        linkage,
    };
    match tree.directory.root() {
        Ok(root) => tree.types(&root),
        Err(error) => tree.report(&error.to_string()),
    }
}

/// The walk over a tree. An entry that cannot be read is reported, and the others are read.
struct ResourceTree<'a, 'd> {
    pe: &'a Pe<'d>,
    /// Relative address of the tree.
    rva: u32,
    directory: ResourceDirectory<'d>,
    /// Entries that may still be read: nodes of a broken tree may be shared, so that paths multiply.
    entries_left: usize,
    resource_index: u32,
    linkage: &'a mut LinkageBuilder,
}

type Entry = ImageResourceDirectoryEntry;

/// A table of entries, or a resource.
type Node<'d> = ResourceDirectoryEntryData<'d>;

impl<'d> ResourceTree<'_, 'd> {
    fn report(&mut self, problem: &str) {
        let location = DiagnosticLocation::Address(self.pe.address(self.rva));
        let message = format!("a resource, or a branch of resources, is left out: {problem}");
        self.linkage.warning(DiagnosticCode::BrokenResource, location, &message);
    }

    fn types(&mut self, root: &ResourceDirectoryTable<'d>) {
        for &entry in root.entries {
            let read = self.resource_type(entry).and_then(|resource_type| {
                match self.node(entry)? {
                    Node::Table(named) => self.names(&resource_type, &named),
                    Node::Data(_) => return Err("a resource has a type, but no name".to_owned()),
                }
                Ok(())
            });
            if let Err(problem) = read {
                self.report(&problem);
            }
        }
    }

    fn names(&mut self, resource_type: &str, named: &ResourceDirectoryTable<'d>) {
        for &entry in named.entries {
            let read = self.name(entry).and_then(|resource_name| {
                match self.node(entry)? {
                    Node::Table(languages) => self.languages(resource_type, &resource_name, &languages),
                    // A tree may have no level of languages.
                    Node::Data(data) => self.push(resource_type, &resource_name, None, None, data)?,
                }
                Ok(())
            });
            if let Err(problem) = read {
                self.report(&problem);
            }
        }
    }

    fn languages(
        &mut self,
        resource_type: &str,
        resource_name: &str,
        languages: &ResourceDirectoryTable<'d>,
    ) {
        for &entry in languages.entries {
            let read = self.node(entry).and_then(|node| {
                let Node::Data(data) = node else { return Err("the tree has a fourth level".to_owned()) };
                match entry.name_or_id() {
                    ResourceNameOrId::Id(id) => {
                        self.push(resource_type, resource_name, Some(id.into()), None, data)
                    }
                    ResourceNameOrId::Name(_) => {
                        let name = self.name(entry)?;
                        self.push(resource_type, resource_name, None, Some(&name), data)
                    }
                }
            });
            if let Err(problem) = read {
                self.report(&problem);
            }
        }
    }

    /// What an entry refers to.
    fn node(&mut self, entry: Entry) -> Result<Node<'d>, String> {
        self.entries_left =
            self.entries_left.checked_sub(1).ok_or("there are more than fit in the section")?;
        entry.data(self.directory).map_err(|error| error.to_string())
    }

    fn resource_type(&mut self, entry: Entry) -> Result<String, String> {
        match entry.name_or_id() {
            ResourceNameOrId::Id(id) => Ok(NAMES_RT.name(id).map_or_else(|| id.to_string(), str::to_owned)),
            ResourceNameOrId::Name(_) => self.name(entry),
        }
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

    /// Adds the row of a resource.
    fn push(
        &mut self,
        resource_type: &str,
        resource_name: &str,
        language: Option<u32>,
        language_name: Option<&str>,
        data: &ImageResourceDataEntry,
    ) -> Result<(), String> {
        let names = &mut self.linkage.names;
        if [resource_type, resource_name].into_iter().any(|name| names.take(name).is_none()) {
            return Err(NAMES_TOO_LONG.to_owned());
        }
        let rva = data.offset_to_data.get(LE);
        self.linkage.resources.push(BinaryResource {
            resource_index: self.resource_index,
            resource_type,
            resource_name,
            language,
            language_name,
            address: self.pe.address(rva),
            file_offset: self.pe.bytes_from(rva).map(|(_, file_offset)| file_offset),
            size: data.size.get(LE).into(),
        });
        self.resource_index += 1;
        Ok(())
    }
}
