//! Arrays of pointers to functions that the loader calls: `.preinit_array`, `.init_array`, `.fini_array`.

use crate::file::formats::elf::{Elf, Header};
use binframe_ir::tables::InitializerKind;
use object::elf;
use object::read::elf::SectionHeader;
use std::ops::Range;

/// An array of pointers to functions.
pub(super) struct FunctionArray {
    pub(super) kind: InitializerKind,
    /// Address range of the array.
    pub(super) addresses: Range<u64>,
}

/// The arrays of a linked file: those of the dynamic section; without one, the sections of these types.
pub(super) fn find<H: Header>(elf: &Elf<'_, H>) -> Vec<FunctionArray> {
    let endian = elf.endian;
    if elf.is_relocatable() {
        return Vec::new();
    }
    let array = |kind, address: u64, size: u64| FunctionArray {
        kind,
        addresses: address..address.saturating_add(size),
    };
    if let Ok(Some(dynamic)) = elf.dynamic() {
        let tags = [
            (InitializerKind::PreInit, elf::DT_PREINIT_ARRAY, elf::DT_PREINIT_ARRAYSZ),
            (InitializerKind::Init, elf::DT_INIT_ARRAY, elf::DT_INIT_ARRAYSZ),
            (InitializerKind::Fini, elf::DT_FINI_ARRAY, elf::DT_FINI_ARRAYSZ),
        ];
        let of_tags =
            |(kind, address, size)| Some(array(kind, dynamic.value(address)?, dynamic.value(size)?));
        return tags.into_iter().filter_map(of_tags).collect();
    }
    let of_section = |header: &H::SectionHeader| {
        let kind = match header.sh_type(endian) {
            elf::SHT_PREINIT_ARRAY => InitializerKind::PreInit,
            elf::SHT_INIT_ARRAY => InitializerKind::Init,
            elf::SHT_FINI_ARRAY => InitializerKind::Fini,
            _ => return None,
        };
        Some(array(kind, header.sh_addr(endian).into(), header.sh_size(endian).into()))
    };
    elf.section_headers.iter().filter_map(of_section).collect()
}
