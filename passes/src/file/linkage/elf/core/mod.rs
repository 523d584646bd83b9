//! `binary_threads`, `binary_thread_registers`, `binary_mapped_files` and attributes of an ELF core dump, from the notes of
//! Linux (also of QEMU, `gcore` and .NET's `createdump`), FreeBSD, NetBSD, OpenBSD and Solaris.
//!
//! Registers of floating point and vectors have no rows of their own; their notes have.
//!
//! Sources: Linux, `uapi/linux/elfcore.h`; FreeBSD, `sys/procfs.h` and `sys/user.h`; NetBSD, `core(5)`; OpenBSD,
//! `sys/exec_elf.h` and `sys/core.h`; Solaris, `proc(4)`.

mod attributes;
mod fields;
mod registers;

use super::super::ir::LinkageBuilder;
use crate::file::formats::elf::{Elf, Header};
use binframe_ir::tables::{BinaryMappedFile, BinaryThread};
pub(super) use fields::CoreNote;
use fields::Fields;
use object::Endianness;
use object::elf::{self, Machine};
use registers::{System, layout};

/// Solaris, in the file header.
const ABI_SOLARIS: u8 = 6;

/// Types of notes, by the owner that defines them.
mod note_type {
    pub(super) const PRSTATUS: u32 = 1;
    pub(super) const PRPSINFO: u32 = 3;
    pub(super) const AUXV: u32 = 6;
    pub(super) const SOLARIS_PSINFO: u32 = 13;
    pub(super) const SOLARIS_LWPSTATUS: u32 = 16;
    pub(super) const FILE: u32 = 0x4649_4c45;
    pub(super) const SIGINFO: u32 = 0x5349_4749;
    pub(super) const FREEBSD_THRMISC: u32 = 7;
    pub(super) const FREEBSD_VMMAP: u32 = 10;
    pub(super) const FREEBSD_AUXV: u32 = 16;
    pub(super) const NETBSD_PROCINFO: u32 = 1;
    pub(super) const NETBSD_AUXV: u32 = 2;
    pub(super) const OPENBSD_PROCINFO: u32 = 10;
    pub(super) const OPENBSD_AUXV: u32 = 11;
    pub(super) const OPENBSD_REGS: u32 = 20;
}

/// The names of the types of notes that have none for other files; `None` if the owner or the type is unknown.
pub(super) fn type_name(owner: &[u8], note_type: u32) -> Option<&'static str> {
    let owner = owner.split(|byte| *byte == b'@').next().unwrap_or_default();
    Some(match (owner, note_type) {
        (b"FreeBSD", 1) => "NT_PRSTATUS",
        (b"FreeBSD", 2) => "NT_FPREGSET",
        (b"FreeBSD", 3) => "NT_PRPSINFO",
        (b"FreeBSD", 7) => "NT_THRMISC",
        (b"FreeBSD", 8) => "NT_PROCSTAT_PROC",
        (b"FreeBSD", 9) => "NT_PROCSTAT_FILES",
        (b"FreeBSD", 10) => "NT_PROCSTAT_VMMAP",
        (b"FreeBSD", 11) => "NT_PROCSTAT_GROUPS",
        (b"FreeBSD", 12) => "NT_PROCSTAT_UMASK",
        (b"FreeBSD", 13) => "NT_PROCSTAT_RLIMIT",
        (b"FreeBSD", 14) => "NT_PROCSTAT_OSREL",
        (b"FreeBSD", 15) => "NT_PROCSTAT_PSSTRINGS",
        (b"FreeBSD", 16) => "NT_PROCSTAT_AUXV",
        (b"FreeBSD", 17) => "NT_PTLWPINFO",
        (b"FreeBSD", 0x200) => "NT_X86_SEGBASES",
        (b"FreeBSD", 0x202) => "NT_X86_XSTATE",
        (b"NetBSD-CORE", 1) => "NT_NETBSDCORE_PROCINFO",
        (b"NetBSD-CORE", 2) => "NT_NETBSDCORE_AUXV",
        (b"NetBSD-CORE", 24) => "NT_NETBSDCORE_LWPSTATUS",
        (b"OpenBSD", 10) => "NT_OPENBSD_PROCINFO",
        (b"OpenBSD", 11) => "NT_OPENBSD_AUXV",
        (b"OpenBSD", 20) => "NT_OPENBSD_REGS",
        (b"OpenBSD", 21) => "NT_OPENBSD_FPREGS",
        (b"OpenBSD", 22) => "NT_OPENBSD_XFPREGS",
        (b"OpenBSD", 23) => "NT_OPENBSD_WCOOKIE",
        (b"OpenBSD", 24) => "NT_OPENBSD_PACMASK",
        _ => return None,
    })
}

/// A thread whose other notes may follow.
struct Thread {
    note_index: u32,
    id: u32,
    name: Option<String>,
    signal: Option<u32>,
    program_counter: Option<u64>,
    stack_pointer: Option<u64>,
}

/// Reads the notes of a core dump.
pub(super) struct CoreReader {
    machine: Machine,
    is_64: bool,
    is_solaris: bool,
    endian: Endianness,
    threads: Vec<Thread>,
    mapping_index: u32,
    /// NetBSD and OpenBSD: the signal, and the thread that received it if that is stated.
    signal: Option<(u32, Option<u32>)>,
}

impl CoreReader {
    /// The reader of a file; `None` if it is not a core dump.
    pub(super) fn of<H: Header>(elf: &Elf<'_, H>) -> Option<Self> {
        (elf.header.e_type(elf.endian) == elf::ET_CORE).then(|| Self {
            machine: elf.machine,
            is_64: elf.header.is_type_64(),
            is_solaris: elf.header.e_ident().os_abi.0 == ABI_SOLARIS,
            endian: elf.endian,
            threads: Vec::new(),
            mapping_index: 0,
            signal: None,
        })
    }

    /// Reads a note. One that is too short, or of another layout, adds no rows.
    pub(super) fn read(&mut self, note: CoreNote<'_>, linkage: &mut LinkageBuilder) {
        let fields = Fields::new(note.content, self.is_64, self.endian);
        let (owner, id) = owner_and_thread(note.owner);
        // What a note that is cut off lacks has no rows.
        let _ = match owner {
            b"CORE" => self.unix(note, &fields, linkage),
            b"FreeBSD" => self.freebsd(note, &fields, linkage),
            b"NetBSD-CORE" => self.netbsd(note, &fields, id, linkage),
            b"OpenBSD" => self.openbsd(note, &fields, id, linkage),
            _ => None,
        };
    }

    fn unix(&mut self, note: CoreNote<'_>, fields: &Fields<'_>, linkage: &mut LinkageBuilder) -> Option<()> {
        match note.note_type {
            note_type::PRSTATUS if !self.is_solaris => {
                // Signal information of 12 bytes, the signal, two masks of words, and four identifiers.
                let word = fields.word_size();
                let (id_at, registers_at) = match (self.machine, self.is_64) {
                    (elf::EM_68K, _) => (22, 70),
                    (_, true) => (32, 112),
                    (_, false) => (16 + 2 * word, 72),
                };
                let signal = fields.half(12)?.into();
                self.thread(note, fields.number(id_at)?, Some(signal), registers_at, System::Linux, linkage);
            }
            note_type::SOLARIS_LWPSTATUS if self.is_solaris => {
                let registers_at = if self.is_64 { 544 } else { 344 };
                let signal = fields.half(12)?.into();
                self.thread(note, fields.number(4)?, Some(signal), registers_at, System::Solaris, linkage);
            }
            note_type::PRPSINFO if !self.is_solaris => attributes::linux_process(note, fields, linkage)?,
            note_type::SOLARIS_PSINFO if self.is_solaris => {
                attributes::solaris_process(note, fields, linkage)?;
            }
            note_type::AUXV => {
                let system = if self.is_solaris { System::Solaris } else { System::Linux };
                attributes::auxiliary_vector(note, fields, system, linkage);
            }
            note_type::SIGINFO => attributes::signal_information(note, fields, self.machine, linkage)?,
            note_type::FILE => self.linux_files(note, fields, linkage)?,
            _ => {}
        }
        Some(())
    }

    fn freebsd(
        &mut self,
        note: CoreNote<'_>,
        fields: &Fields<'_>,
        linkage: &mut LinkageBuilder,
    ) -> Option<()> {
        match note.note_type {
            note_type::PRSTATUS => {
                // Version, sizes of three structures, release, signal, thread.
                let at = 4 * fields.word_size();
                let registers_at = if self.is_64 { 48 } else { 28 };
                let signal = Some(fields.number(at + 4)?);
                self.thread(note, fields.number(at + 8)?, signal, registers_at, System::FreeBsd, linkage);
            }
            note_type::PRPSINFO => attributes::freebsd_process(note, fields, linkage)?,
            note_type::FREEBSD_THRMISC => {
                let name = linkage.names.take(fields.text(0, 20)?.into_owned())?;
                self.threads.last_mut()?.name = Some(name);
            }
            note_type::FREEBSD_VMMAP => self.freebsd_files(note, fields, linkage)?,
            note_type::FREEBSD_AUXV => {
                // The size of an entry precedes them.
                let entries = fields.from(4)?;
                attributes::auxiliary_vector(note, &entries, System::FreeBsd, linkage);
            }
            _ => {}
        }
        Some(())
    }

    fn netbsd(
        &mut self,
        note: CoreNote<'_>,
        fields: &Fields<'_>,
        id: Option<u32>,
        linkage: &mut LinkageBuilder,
    ) -> Option<()> {
        // Requests of `ptrace` that read integer registers.
        let registers_type = match self.machine {
            elf::EM_AARCH64 | elf::EM_ALPHA | elf::EM_SPARC | elf::EM_SPARC32PLUS | elf::EM_SPARCV9 => 32,
            elf::EM_SH => 35,
            _ => 33,
        };
        match (id, note.note_type) {
            (None, note_type::NETBSD_PROCINFO) => {
                self.signal = Some((fields.number(8)?, fields.number(156).filter(|id| *id != 0)));
                attributes::bsd_process(note, fields, &attributes::NETBSD, linkage)?;
            }
            (None, note_type::NETBSD_AUXV) => {
                attributes::auxiliary_vector(note, fields, System::NetBsd, linkage);
            }
            (Some(id), found) if found == registers_type => {
                self.thread(note, id, None, 0, System::NetBsd, linkage);
            }
            _ => {}
        }
        Some(())
    }

    fn openbsd(
        &mut self,
        note: CoreNote<'_>,
        fields: &Fields<'_>,
        id: Option<u32>,
        linkage: &mut LinkageBuilder,
    ) -> Option<()> {
        match (id, note.note_type) {
            (None, note_type::OPENBSD_PROCINFO) => {
                self.signal = Some((fields.number(8)?, None));
                attributes::bsd_process(note, fields, &attributes::OPENBSD, linkage)?;
            }
            (None, note_type::OPENBSD_AUXV) => {
                attributes::auxiliary_vector(note, fields, System::OpenBsd, linkage);
            }
            (id, note_type::OPENBSD_REGS) => {
                self.thread(note, id.unwrap_or(0), None, 0, System::OpenBsd, linkage);
            }
            _ => {}
        }
        Some(())
    }

    /// Adds a thread and its registers.
    fn thread(
        &mut self,
        note: CoreNote<'_>,
        id: u32,
        signal: Option<u32>,
        registers_at: usize,
        system: System,
        linkage: &mut LinkageBuilder,
    ) {
        let stored = note.content.get(registers_at..).unwrap_or_default();
        let thread_index = self.threads.len() as u32;
        let layout = layout(system, self.machine, self.is_64, stored.len());
        let (program_counter, stack_pointer) =
            layout.map_or((None, None), |layout| layout.push(thread_index, stored, self.endian, linkage));
        let note_index = note.index;
        let thread = Thread { note_index, id, name: None, signal, program_counter, stack_pointer };
        self.threads.push(thread);
    }

    /// Mapped files of Linux: their number, the size of a page, start, end and offset of each in pages, then their paths.
    fn linux_files(
        &mut self,
        note: CoreNote<'_>,
        fields: &Fields<'_>,
        linkage: &mut LinkageBuilder,
    ) -> Option<()> {
        let word = fields.word_size();
        let (count, page_size) = (usize::try_from(fields.word(0)?).ok()?, fields.word(word)?);
        let paths = note.content.get(count.checked_mul(3)?.checked_add(2)?.checked_mul(word)?..)?;
        for (index, path) in (0..count).zip(paths.split(|byte| *byte == 0)) {
            let at = |part: usize| fields.word((2 + 3 * index + part) * word);
            let (start, end, page) = (at(0)?, at(1)?, at(2)?);
            self.mapped_file(note, start..end, page.wrapping_mul(page_size), path, linkage)?;
        }
        Some(())
    }

    /// Mapped files of FreeBSD: entries that state their size, with the path at the end.
    fn freebsd_files(
        &mut self,
        note: CoreNote<'_>,
        fields: &Fields<'_>,
        linkage: &mut LinkageBuilder,
    ) -> Option<()> {
        const PATH_AT: usize = 136;
        let mut at = 4;
        while let Some(size) = fields.number(at).filter(|size| *size as usize >= PATH_AT) {
            let number = |offset| fields.integer(at + offset, 8);
            let end = (at + size as usize).min(note.content.len());
            let path = note.content.get(at + PATH_AT..end)?.split(|byte| *byte == 0).next()?;
            if !path.is_empty() {
                self.mapped_file(note, number(8)?..number(16)?, number(24)?, path, linkage)?;
            }
            at = end;
        }
        Some(())
    }

    fn mapped_file(
        &mut self,
        note: CoreNote<'_>,
        addresses: std::ops::Range<u64>,
        mapped_offset: u64,
        path: &[u8],
        linkage: &mut LinkageBuilder,
    ) -> Option<()> {
        let mapped_path = linkage.names.take(String::from_utf8_lossy(path))?;
        linkage.mapped_files.push(BinaryMappedFile {
            mapping_index: self.mapping_index,
            note_index: note.index,
            address: addresses.start,
            size: addresses.end.saturating_sub(addresses.start),
            mapped_offset,
            mapped_path: &mapped_path,
        });
        self.mapping_index += 1;
        Some(())
    }

    /// Adds the rows of the threads.
    pub(super) fn finish(self, linkage: &mut LinkageBuilder) {
        for (thread_index, thread) in (0..).zip(&self.threads) {
            let of_process = self.signal.map(|(signal, receiver)| match receiver {
                Some(receiver) if receiver != thread.id => 0,
                None if thread_index > 0 => 0,
                _ => signal,
            });
            linkage.threads.push(BinaryThread {
                thread_index,
                note_index: Some(thread.note_index),
                command_index: None,
                thread_id: Some(thread.id),
                thread_name: thread.name.as_deref(),
                signal: thread.signal.or(of_process),
                program_counter: thread.program_counter,
                stack_pointer: thread.stack_pointer,
            });
        }
    }
}

/// An owner without the thread that BSD systems append, as in `OpenBSD@123`, and the thread.
fn owner_and_thread(owner: &[u8]) -> (&[u8], Option<u32>) {
    let mut parts = owner.splitn(2, |byte| *byte == b'@');
    let name = parts.next().unwrap_or_default();
    let id = parts.next().and_then(|id| std::str::from_utf8(id).ok()?.parse().ok());
    (name, id)
}
