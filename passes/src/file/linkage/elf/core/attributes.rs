//! `binary_attributes` of an ELF core dump: the process, its signal, and its auxiliary vector.

use super::super::super::ir::LinkageBuilder;
use super::fields::{CoreNote, Fields};
use super::registers::System;
use binframe_ir::tables::BinaryAttribute;
use object::elf::{self, Machine};

/// Where a BSD system stores identifiers and the name of the process.
pub(super) struct BsdProcess {
    ids: usize,
    name: usize,
}

pub(super) const NETBSD: BsdProcess = BsdProcess { ids: 80, name: 124 };
pub(super) const OPENBSD: BsdProcess = BsdProcess { ids: 32, name: 72 };

/// Identifiers of a process, in the order in which all systems store them.
const IDS: [&str; 4] = ["pid", "ppid", "pgrp", "sid"];

/// Linux's entries of the auxiliary vector from 15, which precede those that are apart.
const LINUX_FROM_15: [&str; 19] = [
    "AT_PLATFORM",
    "AT_HWCAP",
    "AT_CLKTCK",
    "AT_FPUCW",
    "AT_DCACHEBSIZE",
    "AT_ICACHEBSIZE",
    "AT_UCACHEBSIZE",
    "AT_IGNOREPPC",
    "AT_SECURE",
    "AT_BASE_PLATFORM",
    "AT_RANDOM",
    "AT_HWCAP2",
    "AT_RSEQ_FEATURE_SIZE",
    "AT_RSEQ_ALIGN",
    "AT_HWCAP3",
    "AT_HWCAP4",
    "AT_EXECFN",
    "AT_SYSINFO",
    "AT_SYSINFO_EHDR",
];

/// FreeBSD's entries from 15.
const FREEBSD_FROM_15: [&str; 22] = [
    "AT_EXECPATH",
    "AT_CANARY",
    "AT_CANARYLEN",
    "AT_OSRELDATE",
    "AT_NCPUS",
    "AT_PAGESIZES",
    "AT_PAGESIZESLEN",
    "AT_TIMEKEEP",
    "AT_STACKPROT",
    "AT_EHDRFLAGS",
    "AT_HWCAP",
    "AT_HWCAP2",
    "AT_BSDFLAGS",
    "AT_ARGC",
    "AT_ARGV",
    "AT_ENVC",
    "AT_ENVV",
    "AT_PS_STRINGS",
    "AT_FXRNG",
    "AT_KPRELOAD",
    "AT_USRSTACKBASE",
    "AT_USRSTACKLIM",
];

/// The entries of all systems, from 0.
const COMMON: [&str; 10] = [
    "AT_NULL",
    "AT_IGNORE",
    "AT_EXECFD",
    "AT_PHDR",
    "AT_PHENT",
    "AT_PHNUM",
    "AT_PAGESZ",
    "AT_BASE",
    "AT_FLAGS",
    "AT_ENTRY",
];

/// Linux's and FreeBSD's entries from 10.
const FROM_10: [&str; 5] = ["AT_NOTELF", "AT_UID", "AT_EUID", "AT_GID", "AT_EGID"];

fn entry_name(system: System, entry: u64) -> Option<&'static str> {
    let index = usize::try_from(entry).ok()?;
    let from_15: &[&str] = match system {
        _ if index < COMMON.len() => return Some(COMMON[index]),
        System::Linux => &LINUX_FROM_15,
        System::FreeBsd => &FREEBSD_FROM_15,
        System::NetBsd | System::OpenBsd | System::Solaris => return None,
    };
    match (system, entry) {
        (_, 10..15) => Some(FROM_10[index - 10]),
        (System::Linux, 40) => Some("AT_L1I_CACHESIZE"),
        (System::Linux, 41) => Some("AT_L1I_CACHEGEOMETRY"),
        (System::Linux, 42) => Some("AT_L1D_CACHESIZE"),
        (System::Linux, 43) => Some("AT_L1D_CACHEGEOMETRY"),
        (System::Linux, 44) => Some("AT_L2_CACHESIZE"),
        (System::Linux, 45) => Some("AT_L2_CACHEGEOMETRY"),
        (System::Linux, 46) => Some("AT_L3_CACHESIZE"),
        (System::Linux, 47) => Some("AT_L3_CACHEGEOMETRY"),
        (System::Linux, 51) => Some("AT_MINSIGSTKSZ"),
        _ => from_15.get(index - 15).copied(),
    }
}

/// Pairs of words, up to `AT_NULL`.
pub(super) fn auxiliary_vector(
    note: CoreNote<'_>,
    fields: &Fields<'_>,
    system: System,
    linkage: &mut LinkageBuilder,
) {
    let word = fields.word_size();
    for at in (0..fields.size()).step_by(2 * word) {
        let (Some(entry), Some(value)) = (fields.word(at), fields.word(at + word)) else { return };
        if entry == 0 {
            return;
        }
        let unnamed = format!("{entry:#x}");
        number(note, entry_name(system, entry).unwrap_or(&unnamed), value, linkage);
    }
}

/// `prpsinfo` of Linux. User and group have two bytes each on some processors with words of four.
pub(super) fn linux_process(
    note: CoreNote<'_>,
    fields: &Fields<'_>,
    linkage: &mut LinkageBuilder,
) -> Option<()> {
    let word = fields.word_size();
    let id_size = if fields.size() < 128 { 2 } else { 4 };
    let users_at = 2 * word;
    let ids_at = users_at + 2 * id_size;
    let name_at = ids_at + 16;
    text(note, "state", &fields.text(1, 1)?, linkage);
    number(note, "nice", fields.integer(3, 1)?, linkage);
    number(note, "flags", fields.word(word)?, linkage);
    number(note, "uid", fields.integer(users_at, id_size)?, linkage);
    number(note, "gid", fields.integer(users_at + id_size, id_size)?, linkage);
    ids(note, fields, ids_at, linkage)?;
    text(note, "name", &fields.text(name_at, 16)?, linkage);
    text(note, "arguments", &fields.text(name_at + 16, 80)?, linkage);
    Some(())
}

/// `prpsinfo` of FreeBSD: version, size, name of 17 bytes, arguments of 81, and the process in files of newer systems.
pub(super) fn freebsd_process(
    note: CoreNote<'_>,
    fields: &Fields<'_>,
    linkage: &mut LinkageBuilder,
) -> Option<()> {
    let name_at = 2 * fields.word_size();
    text(note, "name", &fields.text(name_at, 17)?, linkage);
    text(note, "arguments", &fields.text(name_at + 17, 81)?, linkage);
    number(note, "pid", fields.number((name_at + 98).next_multiple_of(4))?.into(), linkage);
    Some(())
}

/// `psinfo` of Solaris: flags, number of threads, identifiers; later name and arguments.
pub(super) fn solaris_process(
    note: CoreNote<'_>,
    fields: &Fields<'_>,
    linkage: &mut LinkageBuilder,
) -> Option<()> {
    let name_at = if fields.word_size() == 8 { 136 } else { 88 };
    ids(note, fields, 8, linkage)?;
    text(note, "name", &fields.text(name_at, 16)?, linkage);
    text(note, "arguments", &fields.text(name_at + 16, 80)?, linkage);
    Some(())
}

pub(super) fn bsd_process(
    note: CoreNote<'_>,
    fields: &Fields<'_>,
    process: &BsdProcess,
    linkage: &mut LinkageBuilder,
) -> Option<()> {
    number(note, "signal", fields.number(8)?.into(), linkage);
    ids(note, fields, process.ids, linkage)?;
    text(note, "name", &fields.text(process.name, 32)?, linkage);
    Some(())
}

/// `siginfo` of Linux: signal, error and code (on MIPS: signal, code and error), and the address of a fault.
pub(super) fn signal_information(
    note: CoreNote<'_>,
    fields: &Fields<'_>,
    machine: Machine,
    linkage: &mut LinkageBuilder,
) -> Option<()> {
    /// Signals of a fault: `SIGILL`, `SIGFPE`, `SIGSEGV`, and `SIGBUS`, which has two numbers.
    const FAULTS: [u32; 5] = [4, 8, 11, 7, 10];
    let (error_at, code_at) = if machine == elf::EM_MIPS { (8, 4) } else { (4, 8) };
    let signal = fields.number(0)?;
    let code = fields.number(code_at)?;
    number(note, "signal", signal.into(), linkage);
    number(note, "error", fields.number(error_at)?.into(), linkage);
    number(note, "code", code.into(), linkage);
    // Signals that a process sent have a code that is not positive.
    if FAULTS.contains(&signal) && code as i32 > 0 {
        linkage.push_attribute(BinaryAttribute {
            address: Some(fields.word(if fields.word_size() == 8 { 16 } else { 12 })?),
            ..of(note, "fault")
        });
    }
    Some(())
}

fn ids(note: CoreNote<'_>, fields: &Fields<'_>, at: usize, linkage: &mut LinkageBuilder) -> Option<()> {
    for (index, name) in IDS.into_iter().enumerate() {
        number(note, name, fields.number(at + 4 * index)?.into(), linkage);
    }
    Some(())
}

/// An attribute without values.
fn of<'a>(note: CoreNote<'a>, attribute_name: &'a str) -> BinaryAttribute<'a> {
    let source_name = note.type_name;
    BinaryAttribute {
        note_index: Some(note.index),
        source_name,
        attribute_name,
        ..BinaryAttribute::default()
    }
}

fn number(note: CoreNote<'_>, name: &str, value: u64, linkage: &mut LinkageBuilder) {
    linkage.push_attribute(BinaryAttribute { value: Some(value), ..of(note, name) });
}

fn text(note: CoreNote<'_>, name: &str, text: &str, linkage: &mut LinkageBuilder) {
    linkage.push_attribute(BinaryAttribute { text: Some(text), ..of(note, name) });
}
