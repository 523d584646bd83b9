//! `(linked file) -> stripped file, and stripped file without unwind tables`.

use crate::build::run;
use binframe_testsuite::patch::{Patch, section, segment};
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Sections with unwind tables.
const UNWINDING: [&[u8]; 3] = [b".eh_frame", b".eh_frame_hdr", b".gcc_except_table"];

/// Writes both variants into a folder. The stripped file must not contain ground truth.
pub(crate) fn write(full: &Path, folder: &Path) -> Result<(), String> {
    let stripped = folder.join("stripped");
    run(Command::new("strip").args(["-s", "-R", ".llvm_bb_addr_map"]).arg(full).arg("-o").arg(&stripped))?;
    let bytes = fs::read(&stripped).map_err(|error| error.to_string())?;
    let bare = without_unwinding(&bytes).map_err(|error| error.to_string())?;
    fs::write(folder.join("bare"), bare).map_err(|error| error.to_string())
}

/// Zeros the bytes of the unwind sections, and makes their section and program headers null.
fn without_unwinding(bytes: &[u8]) -> object::read::Result<Vec<u8>> {
    let header = elf::FileHeader64::<object::Endianness>::parse(bytes)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, bytes)?;
    let mut patch = Patch(bytes.to_vec());
    for (index, entry) in sections.iter().enumerate() {
        let name = sections.section_name(endian, entry)?;
        let is_symbols = entry.sh_type(endian) == elf::SHT_SYMTAB;
        assert!(!is_symbols && name != b".llvm_bb_addr_map", "the stripped file contains no ground truth");
        if UNWINDING.contains(&name) {
            patch.content(index, 0, &vec![0; entry.data(endian, bytes)?.len()]);
            for field in [section::NAME, section::TYPE, section::FLAGS, section::ADDRESS, section::SIZE] {
                patch.section(index, field, 0);
            }
        }
    }
    for (index, entry) in header.program_headers(endian, bytes)?.iter().enumerate() {
        if entry.p_type(endian) == elf::PT_GNU_EH_FRAME {
            patch.segment(index, segment::TYPE, 0);
        }
    }
    Ok(patch.0)
}
