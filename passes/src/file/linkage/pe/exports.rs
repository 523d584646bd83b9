//! `binary_exports` of a PE image and its own row of `binary_libraries`, from the export directory.

use super::super::ir::LinkageBuilder;
use crate::diagnostics::DiagnosticLocation;
use crate::file::formats::pe::Pe;
use crate::file::text_budget::NAMES_TOO_LONG;
use binframe_ir::tables::{BinaryExport, BinaryLibrary, DiagnosticCode, LibraryKind};
use object::LittleEndian as LE;
use object::pe::{IMAGE_DIRECTORY_ENTRY_EXPORT, ImageExportDirectory};
use std::ops::Range;

/// Adds the rows. Returns the number of rows of `binary_libraries`, which are the first of that table.
pub(super) fn push(pe: &Pe<'_>, linkage: &mut LinkageBuilder) -> u32 {
    let Some((rva, size)) = pe.directory(IMAGE_DIRECTORY_ENTRY_EXPORT) else { return 0 };
    let directory: Option<&ImageExportDirectory> = pe.read(rva);
    let own_name = directory.and_then(|directory| pe.string(directory.name.get(LE)));
    let own_name = own_name.and_then(|name| linkage.names.take(String::from_utf8_lossy(name)));
    if let Some(library_name) = &own_name {
        let kind = LibraryKind::OwnName;
        linkage.libraries.push(BinaryLibrary { library_index: 0, kind, library_name, version: None });
    }
    let read = match directory {
        Some(directory) => push_exports(pe, directory, rva..rva.saturating_add(size), linkage),
        None => Err("the directory does not lie in the file".to_owned()),
    };
    if let Err(error) = read {
        let message = format!("the rest of the exports cannot be read: {error}");
        linkage.warning(
            DiagnosticCode::BrokenLinkage,
            DiagnosticLocation::Address(pe.address(rva)),
            &message,
        );
    }
    own_name.iter().count() as u32
}

fn push_exports(
    pe: &Pe<'_>,
    directory: &ImageExportDirectory,
    directory_rvas: Range<u32>,
    linkage: &mut LinkageBuilder,
) -> Result<(), String> {
    let functions =
        table(pe, directory.address_of_functions.get(LE), directory.number_of_functions.get(LE), 4)?;
    let count = directory.number_of_names.get(LE);
    let names = table(pe, directory.address_of_names.get(LE), count, 4)?;
    let positions = table(pe, directory.address_of_name_ordinals.get(LE), count, 2)?;
    // Names with the positions of their functions. A function may have several names.
    let mut names: Vec<_> = positions.map(|position| position as usize).zip(names).collect();
    names.sort_by_key(|(position, _)| *position);
    let mut names = names.into_iter().peekable();
    let mut export_index = 0;
    for (position, function_rva) in functions.enumerate() {
        let mut own = std::iter::from_fn(|| names.next_if(|(of, _)| *of == position)).peekable();
        // An unused ordinal has no function.
        let is_unused = function_rva == 0 && own.peek().is_none();
        let mut name_rvas: Vec<_> = own.map(|(_, name_rva)| Some(name_rva)).collect();
        if name_rvas.is_empty() && !is_unused {
            name_rvas.push(None);
        }
        for name_rva in name_rvas {
            let text =
                |rva| pe.string(rva).map(String::from_utf8_lossy).ok_or("a name does not lie in the file");
            let name = name_rva.map(text).transpose()?;
            // An RVA in the directory itself is not that of a function but of a string: the export is forwarded to that
            // name.
            let is_forwarded = directory_rvas.contains(&function_rva);
            let forwarded_to = is_forwarded.then(|| text(function_rva)).transpose()?;
            let names = &mut linkage.names;
            let kept = [&name, &forwarded_to].into_iter().flatten().all(|name| names.take(name).is_some());
            if !kept {
                return Err(NAMES_TOO_LONG.to_owned());
            }
            linkage.exports.push(BinaryExport {
                export_index,
                export_name: name.as_deref(),
                ordinal: Some(directory.base.get(LE).wrapping_add(position as u32)),
                address: (!is_forwarded).then(|| pe.address(function_rva)),
                forwarded_to: forwarded_to.as_deref(),
                version: None,
                is_symbol_dynamic: None,
                symbol_index: None,
            });
            export_index += 1;
        }
    }
    match names.next() {
        Some((position, _)) => Err(format!("a name is that of function {position}, which there is not")),
        None => Ok(()),
    }
}

/// The integers of a table, each of `size` bytes.
fn table<'d>(
    pe: &Pe<'d>,
    rva: u32,
    count: u32,
    size: usize,
) -> Result<impl Iterator<Item = u32> + use<'d>, String> {
    let bytes = match count {
        0 => Some(&[][..]),
        count => u32::try_from(u64::from(count) * size as u64).ok().and_then(|size| pe.bytes(rva, size)),
    };
    let bytes = bytes.ok_or_else(|| format!("a table of {count} entries does not lie in the file"))?;
    Ok(bytes
        .chunks_exact(size)
        .map(|entry| entry.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte))))
}
