//! `binary_headers` of a Mach-O file, from its header and the load commands.

use crate::file::formats::hexadecimal;
use crate::file::formats::macho::{Header, MachO};
use binframe_ir::Rows;
use binframe_ir::tables::{
    Architecture, BinaryHeader, BinaryHeaderBuilder, BinaryHeaders, BinaryKind, BinarySymbols, Endianness,
    Format,
};
use object::endian::Endian;
use object::macho::{self, CpuType};
use object::read::macho::LoadCommandVariant;

/// Symbols of the compiler's stack protector.
const STACK_PROTECTOR_SYMBOLS: [&str; 2] = ["___stack_chk_fail", "___stack_chk_guard"];

/// `CPU_SUBTYPE_ARM64E`: its code signs return addresses.
const ARM64E: u32 = 2;

pub(super) fn table<H: Header>(
    macho: &MachO<'_, H>,
    symbols: &Rows<BinarySymbols>,
    sha256: &[u8],
    member_index: u32,
) -> Rows<BinaryHeaders> {
    let (endian, header) = (macho.endian, macho.header);
    let flags = header.flags(endian);
    let kind = match header.filetype(endian) {
        macho::MH_EXECUTE if flags.contains(macho::MH_PIE) => BinaryKind::Dynamic,
        macho::MH_EXECUTE | macho::MH_PRELOAD => BinaryKind::Executable,
        macho::MH_DYLIB | macho::MH_BUNDLE | macho::MH_DYLINKER | macho::MH_KEXT_BUNDLE => {
            BinaryKind::Dynamic
        }
        macho::MH_OBJECT => BinaryKind::Relocatable,
        macho::MH_CORE => BinaryKind::CoreDump,
        _ => BinaryKind::Other,
    };
    let is_run = matches!(kind, BinaryKind::Executable | BinaryKind::Dynamic);
    let symbols = symbols.columns();
    let names_stack_protector =
        || (0..symbols.len()).any(|row| STACK_PROTECTOR_SYMBOLS.contains(&symbols.symbol_name.value(row)));
    let is_arm64e = macho.cpu_type == macho::CPU_TYPE_ARM64 && header.cpusubtype(endian).id().0 == ARM64E;
    let build_id = macho.variants().find_map(|(_, variant)| match variant {
        LoadCommandVariant::Uuid(command) => Some(hexadecimal(&command.uuid)),
        _ => None,
    });
    let mut rows = BinaryHeaderBuilder::default();
    rows.push(BinaryHeader {
        member_index,
        format: Format::MachO,
        architecture: Some(architecture(macho.cpu_type)),
        machine: Some(macho.cpu_type.0),
        bits: Some(if header.is_type_64() { 64 } else { 32 }),
        endianness: Some(if header.is_big_endian() { Endianness::Big } else { Endianness::Little }),
        kind,
        flags: flags.0.into(),
        entry_address: entry_address(macho),
        image_address: macho.image_address(),
        build_id: build_id.as_deref(),
        interpreter: interpreter(macho).as_deref(),
        is_position_independent: is_run.then_some(kind == BinaryKind::Dynamic),
        has_no_execute: is_run.then(|| !flags.contains(macho::MH_ALLOW_STACK_EXECUTION)),
        relocation_read_only: None,
        has_stack_protector: is_run.then(names_stack_protector),
        has_branch_protection: is_run.then_some(false),
        has_return_protection: is_run.then_some(is_arm64e),
        has_signature: Some(macho.linkedit(macho::LC_CODE_SIGNATURE).is_some()),
        file_size: macho.file.len() as u64,
        sha256: &hexadecimal(sha256),
    });
    rows.finish()
}

pub(super) fn architecture(cpu_type: CpuType) -> Architecture {
    match cpu_type {
        macho::CPU_TYPE_X86_64 => Architecture::X86_64,
        macho::CPU_TYPE_X86 => Architecture::X86,
        macho::CPU_TYPE_ARM64 | macho::CPU_TYPE_ARM64_32 => Architecture::Aarch64,
        macho::CPU_TYPE_ARM => Architecture::Arm,
        macho::CPU_TYPE_POWERPC => Architecture::PowerPc,
        macho::CPU_TYPE_POWERPC64 => Architecture::PowerPc64,
        macho::CPU_TYPE_MIPS => Architecture::Mips,
        macho::CPU_TYPE_SPARC => Architecture::Sparc,
        macho::CPU_TYPE_MC680X0 => Architecture::M68k,
        _ => Architecture::Other,
    }
}

fn entry_address<H: Header>(macho: &MachO<'_, H>) -> Option<u64> {
    macho.variants().find_map(|(command, variant)| match variant {
        // `entryoff` is a file offset. `__TEXT` starts at file offset 0, so that it is an offset from the image address
        // too.
        LoadCommandVariant::EntryPoint(command) => {
            macho.image_address()?.checked_add(command.entryoff.get(macho.endian))
        }
        LoadCommandVariant::Thread(_, state) if command.cmd() == macho::LC_UNIXTHREAD => {
            program_counter(macho.cpu_type, macho.endian, state)
        }
        _ => None,
    })
}

/// The program counter of a thread state, which consists of flavor, number of words, and registers.
///
/// Source: `mach/*/thread_status.h` of XNU.
fn program_counter(cpu_type: CpuType, endian: object::Endianness, state: &[u8]) -> Option<u64> {
    let (expected_flavor, offset, size) = match cpu_type {
        macho::CPU_TYPE_X86_64 => (4, 16 * 8, 8),
        macho::CPU_TYPE_X86 => (1, 10 * 4, 4),
        macho::CPU_TYPE_ARM64 => (6, 32 * 8, 8),
        macho::CPU_TYPE_ARM => (1, 15 * 4, 4),
        macho::CPU_TYPE_POWERPC => (1, 0, 4),
        macho::CPU_TYPE_POWERPC64 => (5, 0, 8),
        _ => return None,
    };
    let (flavor, rest) = state.split_first_chunk()?;
    let registers = rest.get(4..)?;
    let register = registers.get(offset..offset + size)?;
    match register.first_chunk() {
        _ if endian.read_u32(*flavor) != expected_flavor => None,
        Some(bytes) => Some(endian.read_u64(*bytes)),
        None => Some(endian.read_u32(*register.first_chunk()?).into()),
    }
}

fn interpreter<H: Header>(macho: &MachO<'_, H>) -> Option<String> {
    /// macOS's `PATH_MAX`.
    const PATH_SIZE_MAX: usize = 1024;
    let path = macho.variants().find_map(|(command, variant)| match variant {
        LoadCommandVariant::LoadDylinker(dylinker) => command.string(macho.endian, dylinker.name).ok(),
        _ => None,
    })?;
    Some(String::from_utf8_lossy(&path[..path.len().min(PATH_SIZE_MAX)]).into_owned())
}
