//! `binary_exports` of a Mach-O file, from the trie of exports or, without one, from the external symbols.
//!
//! In the trie, names with a common prefix share the path of that prefix. A node states the export whose name ends
//! there, if any, and its outgoing edges. The traversal is depth-first with an explicit stack; a node with two
//! incoming edges is an error, so that it terminates.

use super::super::ir::LinkageBuilder;
use super::imports::library;
use crate::diagnostics::DiagnosticLocation;
use crate::file::formats::macho::{Header, MachO};
use crate::file::sections::SectionsIr;
use crate::file::text_budget::NAMES_TOO_LONG;
use binframe_ir::tables::{BinaryExport, DiagnosticCode, SymbolBinding, SymbolDefinition, SymbolVisibility};
use gimli::{EndianSlice, LittleEndian, Reader};
use object::macho::{self, ExportSymbolFlags};
use object::read::macho::LoadCommandVariant;
use std::collections::{HashMap, HashSet};

pub(super) fn push<H: Header>(
    macho: &MachO<'_, H>,
    sections: &SectionsIr,
    libraries: &[String],
    linkage: &mut LinkageBuilder,
) {
    if macho.is_relocatable() {
        return;
    }
    let of_info = macho.variants().find_map(|(_, variant)| match variant {
        LoadCommandVariant::DyldInfo(info) if info.export_size.get(macho.endian) > 0 => Some((
            info.export_off.get(macho.endian).into(),
            info.export_data(macho.endian, macho.file.as_ref()),
        )),
        _ => None,
    });
    let Some((file_offset, data)) = macho.linkedit(macho::LC_DYLD_EXPORTS_TRIE).or(of_info) else {
        return push_symbols(sections, linkage);
    };
    let mut writer = ExportWriter {
        image_address: macho.image_address().unwrap_or(0),
        symbols: defined_symbols(sections),
        libraries,
        linkage,
        next_index: 0,
    };
    let pushed = data.map_err(|error| error.to_string());
    if let Err(error) = pushed.and_then(|data| writer.push_trie(data)) {
        let message = format!("exports were left out: {error}");
        linkage.warning(DiagnosticCode::BrokenLinkage, DiagnosticLocation::FileOffset(file_offset), &message);
    }
}

/// Indexes of the global symbols that this file defines, by name.
fn defined_symbols(sections: &SectionsIr) -> HashMap<&str, u32> {
    let symbols = sections.symbols.columns();
    let is_defined = |row: &usize| {
        symbols.binding.get(*row) != SymbolBinding::Local
            && symbols.definition_kind.get(*row) != SymbolDefinition::Undefined
    };
    let rows = (0..symbols.len()).filter(is_defined);
    rows.map(|row| (symbols.symbol_name.value(row), symbols.symbol_index[row])).collect()
}

fn push_symbols(sections: &SectionsIr, linkage: &mut LinkageBuilder) {
    let symbols = sections.symbols.columns();
    let exported = symbols.iter().filter(|symbol| {
        matches!(symbol.definition_kind, SymbolDefinition::Section | SymbolDefinition::Absolute)
            && symbol.binding != SymbolBinding::Local
            && symbol.visibility == SymbolVisibility::Default
    });
    for (export_index, symbol) in (0..).zip(exported) {
        let Some(name) = linkage.names.take(symbol.symbol_name) else { return };
        linkage.exports.push(BinaryExport {
            export_index,
            export_name: Some(name),
            ordinal: None,
            address: Some(symbol.symbol_address),
            forwarded_to: None,
            version: None,
            is_symbol_dynamic: Some(false),
            symbol_index: Some(symbol.symbol_index),
        });
    }
}

/// An edge of the trie.
struct Edge<'a> {
    /// Offset of its target node.
    node: usize,
    /// Length of the name of its source node, in bytes.
    prefix: usize,
    /// The characters that it appends to the name.
    text: &'a [u8],
}

struct ExportWriter<'a> {
    image_address: u64,
    symbols: HashMap<&'a str, u32>,
    libraries: &'a [String],
    linkage: &'a mut LinkageBuilder,
    next_index: u32,
}

type Slice<'a> = EndianSlice<'a, LittleEndian>;

impl ExportWriter<'_> {
    fn push_trie(&mut self, data: &[u8]) -> Result<(), String> {
        let mut pending = vec![Edge { node: 0, prefix: 0, text: b"" }];
        let mut visited = HashSet::new();
        let mut name = Vec::new();
        // Nodes of a valid trie do not overlap.
        let mut bytes_left = data.len();
        while let Some(edge) = pending.pop().filter(|_| !data.is_empty()) {
            if !visited.insert(edge.node) {
                return Err(format!("two edges lead to the node at {:#x}", edge.node));
            }
            name.truncate(edge.prefix);
            name.extend(edge.text);
            let node = data.get(edge.node..).ok_or("a node is behind the end of the trie")?;
            let mut reader = Slice::new(node, LittleEndian);
            let is_read = self.push_node(&mut reader, &name, &mut pending);
            is_read.map_err(|error| error.to_string())??;
            bytes_left = bytes_left.checked_sub(node.len() - reader.len()).ok_or("nodes share bytes")?;
        }
        Ok(())
    }

    fn push_node<'t>(
        &mut self,
        node: &mut Slice<'t>,
        name: &[u8],
        pending: &mut Vec<Edge<'t>>,
    ) -> gimli::Result<Result<(), String>> {
        let size = node.read_uleb128()? as usize;
        let mut exported = node.split(size)?;
        if size > 0 && !self.push_export(&mut exported, name)? {
            return Ok(Err(NAMES_TOO_LONG.to_owned()));
        }
        let first = pending.len();
        for _ in 0..node.read_u8()? {
            let text = node.read_null_terminated_slice()?.slice();
            let child = node.read_uleb128()? as usize;
            pending.push(Edge { node: child, prefix: name.len(), text });
        }
        // The stack pops the last edge first.
        pending[first..].reverse();
        Ok(Ok(()))
    }

    /// Adds a row; false if its names exceed the budget.
    fn push_export(&mut self, exported: &mut Slice<'_>, name: &[u8]) -> gimli::Result<bool> {
        let flags = ExportSymbolFlags(exported.read_uleb128()?);
        let value = exported.read_uleb128()?;
        let mut forwarded_to = None;
        let mut address = None;
        if flags.contains(macho::EXPORT_SYMBOL_FLAGS_REEXPORT) {
            let library = u32::try_from(value).ok().and_then(|number| library(self.libraries, number));
            let other_name = exported.read_null_terminated_slice()?.slice();
            let other_name = if other_name.is_empty() { name } else { other_name };
            let other_name = String::from_utf8_lossy(other_name);
            forwarded_to = Some(format!("{}.{other_name}", library.unwrap_or_default()));
        } else if flags.kind() == macho::EXPORT_SYMBOL_FLAGS_KIND_ABSOLUTE {
            address = Some(value);
        } else if flags.kind() != macho::EXPORT_SYMBOL_FLAGS_KIND_THREAD_LOCAL {
            address = Some(self.image_address.wrapping_add(value));
        }
        let name = String::from_utf8_lossy(name);
        let symbol_index = self.symbols.get(name.as_ref()).copied();
        let names = &mut self.linkage.names;
        let (Some(name), forwarded_to) = (names.take(name), forwarded_to.and_then(|text| names.take(text)))
        else {
            return Ok(false);
        };
        self.linkage.exports.push(BinaryExport {
            export_index: self.next_index,
            export_name: Some(&name),
            ordinal: None,
            address,
            forwarded_to: forwarded_to.as_deref(),
            version: None,
            is_symbol_dynamic: symbol_index.map(|_| false),
            symbol_index,
        });
        self.next_index += 1;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::linkage::LinkageIr;
    use bytes::Bytes;

    /// Three names with a common prefix; the last is re-exported from the first library.
    const TRIE: &[u8] = b"\0\x01_a\0\x06\x02\0\x10\x02b\0\x11cd\0\x15\x02\0\x20\0\x05\x08\x01_z\0\0";

    fn exports(trie: &[u8]) -> (Result<(), String>, LinkageIr) {
        let file = Bytes::from(vec![0; 100]);
        let mut linkage = LinkageBuilder::new(&file);
        let libraries = ["libz.dylib".to_owned()];
        let mut writer = ExportWriter {
            image_address: 0x1000,
            symbols: HashMap::new(),
            libraries: &libraries,
            linkage: &mut linkage,
            next_index: 0,
        };
        let pushed = writer.push_trie(trie);
        (pushed, linkage.finish())
    }

    #[test]
    fn a_name_is_the_text_of_the_edges_to_its_node() {
        let (pushed, linkage) = exports(TRIE);
        assert_eq!(pushed, Ok(()));
        let rows = linkage.exports.columns();
        let rows: Vec<_> = rows.iter().map(|row| (row.export_name, row.address, row.forwarded_to)).collect();
        assert_eq!(
            rows,
            [
                (Some("_a"), Some(0x1010), None),
                (Some("_ab"), Some(0x1020), None),
                (Some("_acd"), None, Some("libz.dylib._z")),
            ]
        );
    }

    #[test]
    fn a_cyclic_trie_is_an_error() {
        let mut trie = TRIE.to_vec();
        // Edge `b` points to the root, to its source node, or to the target of another edge.
        for target in [0, 6, 0x15] {
            trie[12] = target;
            let (pushed, linkage) = exports(&trie);
            assert!(pushed.is_err());
            assert!(linkage.exports.columns().len() <= 2);
        }
    }

    #[test]
    fn every_truncated_trie_is_an_error() {
        for size in 1..TRIE.len() {
            assert!(exports(&TRIE[..size]).0.is_err(), "{size}");
        }
    }
}
