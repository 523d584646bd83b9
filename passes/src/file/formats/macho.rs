//! Headers of Mach-O files: 32-bit and 64-bit, of either byte order.
//!
//! Source: `mach-o/loader.h` and `mach-o/fat.h` of Apple's XNU.

use super::claims::Claim;
use super::unsupported::Unsupported;
use bytes::Bytes;
use object::Endianness;
use object::macho::{self, CpuSubtype, CpuType, MachHeader32, MachHeader64, SymtabCommand};
use object::read::macho::{LoadCommandData, LoadCommandVariant, MachHeader, Section, Segment};

/// The header of 32-bit or of 64-bit files.
pub(crate) trait Header:
    MachHeader<Endian = Endianness, Segment: Sync, Section: Sync, Nlist: Sync> + Sync
{
}

impl Header for MachHeader32<Endianness> {}
impl Header for MachHeader64<Endianness> {}

/// A load command.
pub(crate) type Command<'a> = LoadCommandData<'a, Endianness>;

/// The headers of a Mach-O file.
pub(crate) struct MachO<'a, H: Header> {
    pub(crate) file: &'a Bytes,
    pub(crate) header: &'a H,
    pub(crate) endian: Endianness,
    pub(crate) cpu_type: CpuType,
    pub(crate) commands: Vec<Command<'a>>,
    /// File offset of the first load command that cannot be read, and the error.
    pub(crate) broken: Option<(u64, object::Error)>,
    pub(crate) segments: Vec<SegmentCommand<'a, H>>,
}

/// A segment and its sections.
pub(crate) struct SegmentCommand<'a, H: Header> {
    /// File offset of the load command.
    pub(crate) command_offset: u64,
    pub(crate) header: &'a H::Segment,
    pub(crate) sections: &'a [H::Section],
    /// The error if the section headers cannot be read.
    pub(crate) broken: Option<object::Error>,
}

impl<'a, H: Header> MachO<'a, H> {
    /// Finds the headers. Load commands after the first that cannot be read are dropped.
    pub(crate) fn find(file: &'a Bytes) -> Result<Self, Unsupported> {
        let size = file.len();
        let unsupported = |found: String, expected| Err(Unsupported::new(size as u64, found, expected));
        let Ok(header) = H::parse(file.as_ref(), 0) else {
            let found = format!("the end of the file ({size} bytes)");
            return unsupported(found, "a Mach-O header of 28 or 32 bytes");
        };
        let endian = header.endian().unwrap_or_default();
        let Ok(iterator) = header.load_commands(endian, file.as_ref(), 0) else {
            let found = format!("the end of the file ({size} bytes)");
            return unsupported(found, "all load commands");
        };
        let mut commands = Vec::new();
        let mut broken = None;
        let mut end = size_of::<H>() as u64;
        for command in iterator {
            match command {
                Ok(command) => {
                    end = command.offset() + u64::from(command.cmdsize());
                    commands.push(command);
                }
                Err(error) => broken = Some((end, error)),
            }
        }
        let segments = commands.iter().filter_map(|command| Self::segment(endian, *command)).collect();
        let cpu_type = header.cputype(endian);
        Ok(Self { file, header, endian, cpu_type, commands, broken, segments })
    }

    fn segment(endian: Endianness, command: Command<'a>) -> Option<SegmentCommand<'a, H>> {
        let (header, data) = H::Segment::from_command(command).ok().flatten()?;
        let (sections, broken) = match header.sections(endian, data) {
            Ok(sections) => (sections, None),
            Err(error) => (&[][..], Some(error)),
        };
        Some(SegmentCommand { command_offset: command.offset(), header, sections, broken })
    }

    /// Index (the first is 1), segment, header and file offset of each section, in the order of the headers.
    pub(crate) fn sections(&self) -> impl Iterator<Item = (u32, &'a H::Segment, &'a H::Section, u64)> {
        let of_segment = |segment: &SegmentCommand<'a, H>| {
            let (endian, header) = (self.endian, segment.header);
            let mut offsets = header.section_offsets(endian, segment.sections);
            segment.sections.iter().map(move |section| match offsets.next() {
                Some(Ok((_, offset))) => (header, section, offset),
                _ => (header, section, section.offset(endian).into()),
            })
        };
        let all = self.segments.iter().flat_map(of_segment);
        (1..).zip(all).map(|(index, (segment, section, offset))| (index, segment, section, offset))
    }

    /// Whether the file is a relocatable object.
    pub(crate) fn is_relocatable(&self) -> bool {
        self.header.filetype(self.endian) == macho::MH_OBJECT
    }

    /// Address of the Mach-O header, for which the file was linked; `None` for an object.
    pub(crate) fn image_address(&self) -> Option<u64> {
        let mut segments = self.segments.iter().filter(|_| !self.is_relocatable());
        let text = segments.find(|segment| segment.header.name() == macho::SEG_TEXT.as_bytes())?;
        Some(text.header.vmaddr(self.endian).into())
    }

    /// The load commands that can be read, decoded.
    pub(crate) fn variants(&self) -> impl Iterator<Item = (Command<'a>, LoadCommandVariant<'a, Endianness>)> {
        self.commands.iter().filter_map(|command| Some((*command, command.variant().ok()?)))
    }

    /// The identifier of the build.
    pub(crate) fn uuid(&self) -> Option<&'a [u8]> {
        self.variants().find_map(|(_, variant)| match variant {
            LoadCommandVariant::Uuid(command) => Some(command.uuid.as_slice()),
            _ => None,
        })
    }

    /// The `LC_SYMTAB` command.
    pub(crate) fn symtab(&self) -> Option<&'a SymtabCommand<Endianness>> {
        self.commands.iter().find_map(|command| command.symtab().ok().flatten())
    }

    /// File offset and bytes of the data in `__LINKEDIT` that a command locates; an error if they are not in the file.
    pub(crate) fn linkedit(&self, name: macho::LoadCommandType) -> Option<(u64, object::Result<&'a [u8]>)> {
        self.variants().find_map(|(command, variant)| match variant {
            LoadCommandVariant::LinkeditData(data) if command.cmd() == name => {
                Some((data.dataoff.get(self.endian).into(), data.data(self.endian, self.file.as_ref())))
            }
            _ => None,
        })
    }

    /// File ranges of the headers, and of tables that are in no section.
    pub(crate) fn claims(&self) -> Vec<Claim> {
        let endian = self.endian;
        let size = size_of::<H>() as u64 + u64::from(self.header.sizeofcmds(endian));
        let mut claims = vec![Claim::header(0, size)];
        let mut claim = |offset: u64, count: u64, size: u64| {
            claims.push(Claim::table(offset, count.saturating_mul(size)));
        };
        for (_, variant) in self.variants() {
            self.tables(&variant, &mut claim);
        }
        for (_, _, section, _) in self.sections() {
            claim(section.reloff(endian).into(), section.nreloc(endian).into(), 8);
        }
        claims
    }

    /// Calls `claim` with file offset, number of entries and size of an entry of each table that a command locates.
    fn tables(&self, variant: &LoadCommandVariant<'a, Endianness>, claim: &mut impl FnMut(u64, u64, u64)) {
        let endian = self.endian;
        let mut claim =
            |offset: u32, count: u32, size: usize| claim(offset.into(), count.into(), size as u64);
        match variant {
            LoadCommandVariant::Symtab(table) => {
                claim(table.symoff.get(endian), table.nsyms.get(endian), size_of::<H::Nlist>());
                claim(table.stroff.get(endian), table.strsize.get(endian), 1);
            }
            LoadCommandVariant::Dysymtab(table) => {
                let module_size = if self.header.is_type_64() { 56 } else { 52 };
                claim(table.tocoff.get(endian), table.ntoc.get(endian), 8);
                claim(table.modtaboff.get(endian), table.nmodtab.get(endian), module_size);
                claim(table.extrefsymoff.get(endian), table.nextrefsyms.get(endian), 4);
                claim(table.indirectsymoff.get(endian), table.nindirectsyms.get(endian), 4);
                claim(table.extreloff.get(endian), table.nextrel.get(endian), 8);
                claim(table.locreloff.get(endian), table.nlocrel.get(endian), 8);
            }
            LoadCommandVariant::DyldInfo(info) => {
                claim(info.rebase_off.get(endian), info.rebase_size.get(endian), 1);
                claim(info.bind_off.get(endian), info.bind_size.get(endian), 1);
                claim(info.weak_bind_off.get(endian), info.weak_bind_size.get(endian), 1);
                claim(info.lazy_bind_off.get(endian), info.lazy_bind_size.get(endian), 1);
                claim(info.export_off.get(endian), info.export_size.get(endian), 1);
            }
            LoadCommandVariant::LinkeditData(data) => {
                claim(data.dataoff.get(endian), data.datasize.get(endian), 1);
            }
            LoadCommandVariant::TwolevelHints(hints) => {
                claim(hints.offset.get(endian), hints.nhints.get(endian), 4);
            }
            LoadCommandVariant::Note(note) => {
                let (offset, size) = (note.offset.get(endian), note.size.get(endian));
                if let (Ok(offset), Ok(size)) = (u32::try_from(offset), u32::try_from(size)) {
                    claim(offset, size, 1);
                }
            }
            _ => {}
        }
    }
}

/// Apple's name for an architecture, such as `arm64e`.
///
/// Source: the table of `arch(3)`, in `cctools`.
pub(super) fn architecture_name(cpu_type: CpuType, subtype: CpuSubtype) -> String {
    let name = match (cpu_type, subtype.id().0) {
        (macho::CPU_TYPE_X86_64, 8) => "x86_64h",
        (macho::CPU_TYPE_X86_64, _) => "x86_64",
        (macho::CPU_TYPE_X86, _) => "i386",
        (macho::CPU_TYPE_ARM64, 1) => "arm64v8",
        (macho::CPU_TYPE_ARM64, 2) => "arm64e",
        (macho::CPU_TYPE_ARM64, _) => "arm64",
        (macho::CPU_TYPE_ARM64_32, _) => "arm64_32",
        (macho::CPU_TYPE_ARM, 5) => "armv4t",
        (macho::CPU_TYPE_ARM, 6) => "armv6",
        (macho::CPU_TYPE_ARM, 7) => "armv5",
        (macho::CPU_TYPE_ARM, 8) => "xscale",
        (macho::CPU_TYPE_ARM, 9) => "armv7",
        (macho::CPU_TYPE_ARM, 10) => "armv7f",
        (macho::CPU_TYPE_ARM, 11) => "armv7s",
        (macho::CPU_TYPE_ARM, 12) => "armv7k",
        (macho::CPU_TYPE_ARM, 13) => "armv8",
        (macho::CPU_TYPE_ARM, 14) => "armv6m",
        (macho::CPU_TYPE_ARM, 15) => "armv7m",
        (macho::CPU_TYPE_ARM, 16) => "armv7em",
        (macho::CPU_TYPE_ARM, _) => "arm",
        (macho::CPU_TYPE_POWERPC, 1) => "ppc601",
        (macho::CPU_TYPE_POWERPC, 3) => "ppc603",
        (macho::CPU_TYPE_POWERPC, 4) => "ppc603e",
        (macho::CPU_TYPE_POWERPC, 5) => "ppc603ev",
        (macho::CPU_TYPE_POWERPC, 6) => "ppc604",
        (macho::CPU_TYPE_POWERPC, 7) => "ppc604e",
        (macho::CPU_TYPE_POWERPC, 9) => "ppc750",
        (macho::CPU_TYPE_POWERPC, 10) => "ppc7400",
        (macho::CPU_TYPE_POWERPC, 11) => "ppc7450",
        (macho::CPU_TYPE_POWERPC, 100) => "ppc970",
        (macho::CPU_TYPE_POWERPC, _) => "ppc",
        (macho::CPU_TYPE_POWERPC64, 100) => "ppc970-64",
        (macho::CPU_TYPE_POWERPC64, _) => "ppc64",
        (macho::CPU_TYPE_MC680X0, _) => "m68k",
        (macho::CPU_TYPE_MC88000, _) => "m88k",
        (macho::CPU_TYPE_HPPA, _) => "hppa",
        (macho::CPU_TYPE_I860, _) => "i860",
        (macho::CPU_TYPE_SPARC, _) => "sparc",
        (cpu_type, subtype) => return format!("{}-{subtype}", cpu_type.0),
    };
    name.to_owned()
}
