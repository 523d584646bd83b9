//! Threads, registers, processes and mapped files of core dumps are those that eu-readelf prints, and for systems and
//! processors that it does not know, at the offsets that binutils documents.
//!
//! Core dumps are made here, with a byte of its own at each offset of a structure.

use binframe::ir::tables::{BinaryAttribute, BinaryThread};
use binframe_testsuite::lowering::{Tables, tables};
use binframe_testsuite::{elfutils, fixtures};
use object::elf::{self, Machine};
use std::collections::BTreeMap;
use std::fs;

/// A core dump of one segment of notes.
#[derive(Clone, Copy)]
struct Core {
    machine: Machine,
    is_64: bool,
    is_big: bool,
    /// System, as in the file header; Solaris has 6.
    abi: u8,
}

const fn little(machine: Machine, is_64: bool) -> Core {
    Core { machine, is_64, is_big: false, abi: 0 }
}

const fn big(machine: Machine, is_64: bool) -> Core {
    Core { machine, is_64, is_big: true, abi: 0 }
}

impl Core {
    fn number(self, value: u64, size: usize) -> Vec<u8> {
        let bytes = value.to_le_bytes();
        let bytes = bytes[..size].iter().copied();
        if self.is_big { bytes.rev().collect() } else { bytes.collect() }
    }

    /// The file, given owner, type and content of each note.
    fn file(self, notes: &[(&str, u32, &[u8])]) -> Vec<u8> {
        let mut segment = Vec::new();
        for (owner, note_type, content) in notes {
            let name = [owner.as_bytes(), &[0]].concat();
            for field in [name.len() as u32, content.len() as u32, *note_type] {
                segment.extend(self.number(field.into(), 4));
            }
            for part in [&name[..], content] {
                segment.extend(part);
                segment.resize(segment.len().next_multiple_of(4), 0);
            }
        }
        let word = if self.is_64 { 8 } else { 4 };
        let (header_size, entry_size) = if self.is_64 { (64, 56) } else { (52, 32) };
        let (class, data) = (1 + u8::from(self.is_64), 1 + u8::from(self.is_big));
        let mut file = vec![0x7f, b'E', b'L', b'F', class, data, 1, self.abi, 0, 0, 0, 0, 0, 0, 0, 0];
        let fields = [
            (elf::ET_CORE.0.into(), 2),
            (self.machine.0.into(), 2),
            (1, 4),
            (0, word),
            (header_size, word),
            (0, word),
            (0, 4),
            (header_size, 2),
            (entry_size, 2),
            (1, 2),
            (0, 2),
            (0, 2),
            (0, 2),
        ];
        let (offset, size) = (header_size + entry_size, segment.len() as u64);
        let program_header = match self.is_64 {
            true => vec![(4, 4), (0, 4), (offset, 8), (0, 8), (0, 8), (size, 8), (0, 8), (4, 8)],
            false => vec![(4, 4), (offset, 4), (0, 4), (0, 4), (size, 4), (0, 4), (0, 4), (4, 4)],
        };
        file.extend(
            fields.into_iter().chain(program_header).flat_map(|(value, size)| self.number(value, size)),
        );
        file.extend(segment);
        file
    }

    /// The value at an offset of `pattern`.
    fn value(self, offset: usize, size: usize) -> u64 {
        let bytes = pattern(offset + size)[offset..].to_vec();
        let add = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        if self.is_big { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) }
    }
}

/// Bytes none of which is zero, and whose sequences of two differ.
fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|offset| 1 + ((offset * 7 + offset / 250 * 3) % 250) as u8).collect()
}

fn threads(tables: &Tables) -> Vec<BinaryThread<'_>> {
    tables.lowered.linkage.threads.columns().iter().collect()
}

/// Values of the registers of a thread by name.
fn registers(tables: &Tables, thread_index: u32) -> BTreeMap<&str, u64> {
    let rows = tables.lowered.linkage.thread_registers.columns();
    let rows: Vec<_> = rows.iter().filter(|row| row.thread_index == thread_index).collect();
    let values: BTreeMap<_, _> = rows.iter().map(|row| (row.register_name, row.value)).collect();
    assert_eq!(values.len(), rows.len(), "a thread has one register of a name");
    values
}

fn attributes<'a>(tables: &'a Tables, source_name: &str) -> Vec<BinaryAttribute<'a>> {
    let rows = tables.lowered.linkage.attributes.columns();
    rows.iter().filter(|row| row.source_name == source_name).collect()
}

/// The numbers of the first note as eu-readelf prints them.
fn eu_readelf(file: &[u8]) -> Option<Vec<(String, u64)>> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("core");
    fs::write(&path, file).expect("the folder is writable");
    let notes = elfutils::notes(&path)?;
    Some(notes[0].numbers().into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

#[test]
fn registers_of_linux_are_those_of_elfutils() {
    let cores = [
        (little(elf::EM_X86_64, true), 336),
        (little(elf::EM_386, false), 144),
        (little(elf::EM_AARCH64, true), 392),
        (little(elf::EM_ARM, false), 148),
        (little(elf::EM_RISCV, true), 376),
        (big(elf::EM_PPC64, true), 504),
        (little(elf::EM_PPC64, true), 504),
        (big(elf::EM_PPC, false), 268),
        (big(elf::EM_S390, true), 336),
        (big(elf::EM_S390, false), 224),
        (big(elf::EM_68K, false), 154),
        (big(elf::EM_SPARCV9, true), 408),
    ];
    for (core, size) in cores {
        let content = pattern(size);
        let file = core.file(&[("CORE", 1, &content)]);
        let Some(expected) = eu_readelf(&file) else { return };
        let machine = core.machine;
        let tables = tables(&file.into());
        let threads = threads(&tables);
        let number = |name: &str| expected.iter().find(|(of, _)| of == name).map(|(_, value)| *value as u32);
        assert_eq!(threads[0].thread_id, number("pid"), "{machine:?}");
        assert_eq!(
            threads[0].signal.map(|signal| signal as i16),
            number("cursig").map(|signal| signal as i16)
        );
        let found = registers(&tables, 0);
        let mask = if core.is_64 { u64::MAX } else { u64::from(u32::MAX) };
        let mut compared = 0;
        for (name, value) in &expected {
            let name = elfutils::REGISTERS
                .iter()
                .find(|(other, own)| other == name && found.contains_key(own))
                .map_or(&**name, |(_, own)| own);
            if let Some(own) = found.get(name) {
                // Segment registers are printed with 16 bits.
                let mask = if *value <= 0xffff && *own > 0xffff { 0xffff } else { mask };
                assert_eq!(own & mask, value & mask, "{machine:?} {name}");
                compared += 1;
            }
        }
        // It prints all registers but the errors of PowerPC and some of m68k and SPARC.
        assert!(compared + 9 >= found.len(), "{machine:?}: {compared} of {}", found.len());
    }
}

/// The size of a note with registers, offsets of thread and signal in it, the size of registers, and a register at the
/// beginning and at the end, as in `bfd/elf.c` of binutils, headers of Linux, and `struct reg` of the systems.
#[test]
fn registers_of_other_systems_are_at_their_offsets() {
    type Place = (&'static str, usize, usize);
    type Case = (Core, &'static str, u32, usize, usize, usize, [Place; 2]);
    let solaris = |core: Core| Core { abi: 6, ..core };
    let cores: [Case; 18] = [
        // x32, and the ABIs of MIPS.
        (little(elf::EM_X86_64, false), "CORE", 1, 296, 24, 27, [("r15", 72, 8), ("gs", 280, 8)]),
        (big(elf::EM_MIPS, false), "CORE", 1, 256, 24, 38, [("r0", 96, 4), ("cause", 244, 4)]),
        (big(elf::EM_MIPS, false), "CORE", 1, 440, 24, 38, [("r0", 72, 8), ("cause", 368, 8)]),
        (little(elf::EM_MIPS, true), "CORE", 1, 480, 32, 38, [("r0", 112, 8), ("cause", 408, 8)]),
        (little(elf::EM_LOONGARCH, true), "CORE", 1, 480, 32, 35, [("r0", 112, 8), ("badv", 384, 8)]),
        (little(elf::EM_SH, false), "CORE", 1, 168, 24, 23, [("r0", 72, 4), ("tra", 160, 4)]),
        (big(elf::EM_SPARC, false), "CORE", 1, 228, 24, 36, [("psr", 72, 4), ("i7", 212, 4)]),
        (little(elf::EM_X86_64, true), "FreeBSD", 1, 224, 40, 26, [("r15", 48, 8), ("ss", 216, 8)]),
        (little(elf::EM_386, false), "FreeBSD", 1, 104, 24, 19, [("fs", 28, 4), ("gs", 100, 4)]),
        (little(elf::EM_AARCH64, true), "FreeBSD", 1, 320, 40, 34, [("x0", 48, 8), ("spsr", 312, 8)]),
        (little(elf::EM_RISCV, true), "FreeBSD", 1, 312, 40, 33, [("ra", 48, 8), ("sstatus", 304, 8)]),
        (big(elf::EM_PPC64, true), "FreeBSD", 1, 344, 40, 37, [("r0", 48, 8), ("pc", 336, 8)]),
        (little(elf::EM_ARM, false), "FreeBSD", 1, 96, 24, 17, [("r0", 28, 4), ("cpsr", 92, 4)]),
        (
            solaris(little(elf::EM_X86_64, true)),
            "CORE",
            16,
            1296,
            4,
            28,
            [("r15", 544, 8), ("gs_base", 760, 8)],
        ),
        (solaris(little(elf::EM_386, false)), "CORE", 16, 800, 4, 19, [("gs", 344, 4), ("ss", 416, 4)]),
        (solaris(big(elf::EM_SPARCV9, true)), "CORE", 16, 1392, 4, 38, [("g0", 544, 8), ("fprs", 840, 8)]),
        (solaris(big(elf::EM_SPARC, false)), "CORE", 16, 896, 4, 38, [("g0", 344, 4), ("tbr", 492, 4)]),
        (little(elf::EM_RISCV, true), "CORE", 1, 376, 32, 32, [("pc", 112, 8), ("t6", 360, 8)]),
    ];
    for (core, owner, note_type, size, id_at, count, places) in cores {
        let content = pattern(size);
        let tables = tables(&core.file(&[(owner, note_type, &content)]).into());
        let context = format!("{owner} {:?} {size}", core.machine);
        let threads = threads(&tables);
        assert_eq!(threads.len(), 1, "{context}");
        assert_eq!(threads[0].thread_id, Some(core.value(id_at, 4) as u32), "{context}");
        let found = registers(&tables, 0);
        assert_eq!(found.len(), count, "{context}");
        for (name, at, size) in places {
            assert_eq!(found.get(name), Some(&core.value(at, size)), "{context} {name}");
        }
        assert!(threads[0].program_counter.is_some() && threads[0].stack_pointer.is_some(), "{context}");
    }
}

/// NetBSD and OpenBSD state the thread in the name of the owner.
#[test]
fn threads_of_netbsd_and_openbsd_are_rows() {
    let core = little(elf::EM_X86_64, true);
    let mut process = pattern(160);
    process[8..12].copy_from_slice(&11_u32.to_le_bytes());
    process[124..132].copy_from_slice(b"victim\0\0");
    process[156..160].copy_from_slice(&2_u32.to_le_bytes());
    let state = pattern(208);
    let notes: [(&str, u32, &[u8]); 4] = [
        ("NetBSD-CORE", 1, &process),
        ("NetBSD-CORE@1", 33, &state),
        ("NetBSD-CORE@2", 33, &state),
        ("NetBSD-CORE@2", 35, &[0; 512]),
    ];
    let netbsd = tables(&core.file(&notes).into());
    let found = threads(&netbsd);
    let ids: Vec<_> = found.iter().map(|row| (row.thread_id, row.signal)).collect();
    assert_eq!(ids, [(Some(1), Some(0)), (Some(2), Some(11))]);
    assert_eq!(found[1].program_counter, Some(core.value(21 * 8, 8)));
    assert_eq!(found[1].stack_pointer, Some(core.value(24 * 8, 8)));
    assert_eq!(attributes(&netbsd, "NT_NETBSDCORE_PROCINFO").last().and_then(|row| row.text), Some("victim"));

    process[72..80].copy_from_slice(b"victim\0\0");
    let notes: [(&str, u32, &[u8]); 3] =
        [("OpenBSD", 10, &process), ("OpenBSD@77", 20, &state[..192]), ("OpenBSD@77", 21, &[0; 512])];
    let openbsd = tables(&core.file(&notes).into());
    let found = threads(&openbsd);
    assert_eq!((found[0].thread_id, found[0].signal), (Some(77), Some(11)));
    assert_eq!(found[0].program_counter, Some(core.value(16 * 8, 8)));
    assert_eq!(attributes(&openbsd, "NT_OPENBSD_PROCINFO").last().and_then(|row| row.text), Some("victim"));
}

#[test]
fn threads_of_freebsd_have_names_and_files() {
    let core = little(elf::EM_X86_64, true);
    let mut status = pattern(224);
    status[36..44].copy_from_slice(&[6, 0, 0, 0, 0x21, 0x43, 1, 0]);
    let mut entry = pattern(160);
    entry[..4].copy_from_slice(&160_u32.to_le_bytes());
    entry[8..32].copy_from_slice(&[0x1000_u64, 0x3000, 0x40].map(u64::to_le_bytes).concat());
    entry[136..].copy_from_slice(b"/bin/victim\0\0\0\0\0\0\0\0\0\0\0\0\0");
    let files = [&1064_u32.to_le_bytes()[..], &entry].concat();
    let vector = [&16_u32.to_le_bytes()[..], &[16_u64, 5, 0, 0].map(u64::to_le_bytes).concat()].concat();
    let notes: [(&str, u32, &[u8]); 4] = [
        ("FreeBSD", 1, &status),
        ("FreeBSD", 7, b"worker\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        ("FreeBSD", 10, &files),
        ("FreeBSD", 16, &vector),
    ];
    let tables = tables(&core.file(&notes).into());
    let found = threads(&tables)[0];
    assert_eq!((found.thread_id, found.signal, found.thread_name), (Some(0x14321), Some(6), Some("worker")));
    let mapped = tables.lowered.linkage.mapped_files.columns().row(0);
    assert_eq!((mapped.address, mapped.size, mapped.mapped_offset), (0x1000, 0x2000, 0x40));
    assert_eq!(mapped.mapped_path, "/bin/victim");
    let vector = attributes(&tables, "NT_PROCSTAT_AUXV");
    assert_eq!((vector.len(), vector[0].attribute_name, vector[0].value), (1, "AT_CANARY", Some(5)));
}

/// A core dump of Linux, as the kernel wrote it but without vector registers and the contents of segments.
#[test]
fn a_core_dump_of_linux_is_read() {
    let tables = tables(&fixtures::file("core").expect("the fixture").into());
    // `eu-readelf -n`, `gdb`.
    let found = threads(&tables);
    let ids: Vec<_> =
        found.iter().map(|row| (row.thread_id, row.signal, row.program_counter, row.stack_pointer)).collect();
    let expected = [
        (Some(3803), Some(11), Some(0x40_103f), Some(0x7ffc_fd47_8d50)),
        (Some(3804), Some(11), Some(0x40_1023), Some(0x40_3000)),
    ];
    assert_eq!(ids, expected);
    let waiting = registers(&tables, 1);
    assert_eq!((waiting.len(), waiting["orig_rax"], waiting["rsi"]), (27, 34, 4_206_592));
    let process = attributes(&tables, "NT_PRPSINFO");
    let number = |name| process.iter().find(|row| row.attribute_name == name).and_then(|row| row.value);
    assert_eq!((number("pid"), number("ppid"), number("flags")), (Some(3803), Some(3792), Some(0x40_0600)));
    let signal = attributes(&tables, "NT_SIGINFO");
    assert_eq!(
        signal.iter().find(|row| row.attribute_name == "fault").and_then(|row| row.address),
        Some(0x1234)
    );
    let vector = attributes(&tables, "NT_AUXV");
    let entry = vector.iter().find(|row| row.attribute_name == "AT_ENTRY").and_then(|row| row.value);
    assert_eq!((vector.len(), entry), (22, Some(0x40_1000)));
    let mapped: Vec<_> = tables
        .lowered
        .linkage
        .mapped_files
        .columns()
        .iter()
        .map(|row| (row.address, row.size, row.mapped_offset, row.mapped_path.to_owned()))
        .collect();
    let path = || "/tmp/threads/threads".to_owned();
    assert_eq!(mapped, [(0x40_0000, 0x1000, 0, path()), (0x40_1000, 0x1000, 0x1000, path())]);
}

/// Contents that are cut off, or that state counts which they do not have, add the rows that they have.
#[test]
fn notes_that_are_cut_off_are_read_as_far_as_they_go() {
    let core = little(elf::EM_X86_64, true);
    let count = [u64::MAX, 4096].map(u64::to_le_bytes).concat();
    for (owner, note_type, content) in [
        ("CORE", 1, &pattern(200)[..]),
        ("CORE", 3, &pattern(50)),
        ("CORE", 6, &pattern(17)),
        ("CORE", 0x4649_4c45, &count),
        ("CORE", 0x5349_4749, &pattern(6)),
        ("FreeBSD", 7, &[]),
        ("FreeBSD", 10, &pattern(9)),
        ("NetBSD-CORE@x", 33, &pattern(9)),
        ("OpenBSD@", 20, &pattern(9)),
    ] {
        let tables = tables(&core.file(&[(owner, note_type, content)]).into());
        assert!(tables.lowered.linkage.thread_registers.is_empty(), "{owner} {note_type}");
        assert!(tables.lowered.linkage.mapped_files.is_empty(), "{owner} {note_type}");
        assert_eq!(tables.lowered.linkage.notes.batch().rows(), 1, "{owner} {note_type}");
    }
}
