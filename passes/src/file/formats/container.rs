//! Containers: the members of archives, and of universal files (Mach-O files for several architectures).
//!
//! Containers nest once: a universal file may contain archives, an archive contains no containers that are read.

use super::Headers;
use binframe_ir::Fingerprint;
use bytes::Bytes;
use object::FileKind;
use object::read::archive::ArchiveFile;
use object::read::macho::{FatArch, MachOFatFile32, MachOFatFile64};
use std::ops::Range;

/// Number of members that are read; an archive of 4 GiB has no more.
const MEMBERS_MAX: usize = 1 << 26;

/// A file in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// File name in an archive, architecture in a universal file.
    pub name: String,
    /// The bytes, a slice of the container's.
    pub bytes: Bytes,
    /// The range of these bytes in the container.
    pub range: Range<u64>,
}

/// The members of a container, sorted by file offset.
#[derive(Debug, Default)]
pub(crate) struct Container {
    /// The members that are binaries of their own. They do not overlap.
    pub(crate) members: Vec<Member>,
    /// The other members, each with the reason.
    pub(crate) opaque: Vec<(Member, String)>,
    /// Paths of the members that are files of their own, relative to the directory of a thin archive.
    pub(crate) thin: Vec<String>,
    /// The first error; `None` if all members were read.
    pub(crate) broken: Option<String>,
}

/// Finds the members of a container; a file of another format has none.
pub(crate) fn read(file: &Bytes) -> Container {
    let mut container = Container::default();
    let kind = super::file_kind(file);
    let listed = match kind {
        Ok(FileKind::Archive) => archive_members(file, &mut container),
        Ok(FileKind::MachOFat32) => {
            MachOFatFile32::parse(file.as_ref()).map(|fat| universal_members(fat.arches()))
        }
        Ok(FileKind::MachOFat64) => {
            MachOFatFile64::parse(file.as_ref()).map(|fat| universal_members(fat.arches()))
        }
        _ => return container,
    };
    let mut listed = listed.unwrap_or_else(|error| {
        container.broken = Some(error.to_string());
        Vec::new()
    });
    let is_archive = matches!(kind, Ok(FileKind::Archive));
    listed.sort_by_key(|(_, range)| range.start);
    let mut end = 0;
    for (name, range) in listed {
        let is_free = range.start > 0 && range.start >= end && range.start < range.end;
        let bytes = match (usize::try_from(range.start), usize::try_from(range.end)) {
            (Ok(start), Ok(end)) if is_free && end <= file.len() => file.slice(start..end),
            _ => {
                let problem =
                    format!("member `{name}` at {range:x?} shares bytes with others or is not in the file");
                container.broken.get_or_insert(problem);
                continue;
            }
        };
        end = range.end;
        let member = Member { name, bytes, range };
        match unsupported(&member.bytes, is_archive) {
            None => container.members.push(member),
            Some(reason) => container.opaque.push((member, reason)),
        }
    }
    container
}

/// Why a member is not a binary of its own; `None` if it is one.
fn unsupported(bytes: &Bytes, is_in_archive: bool) -> Option<String> {
    match Headers::find(bytes) {
        Err(reason) => Some(reason.to_string()),
        Ok(Headers::Archive) if !is_in_archive => None,
        Ok(Headers::Archive | Headers::Universal) => Some("a container in a container".to_owned()),
        Ok(_) => None,
    }
}

/// Size in bytes of the longest name of a member, as of a file name in most file systems.
const NAME_SIZE_MAX: usize = 255;

/// Number of bytes of a longer name that its hash depends on.
const HASHED_SIZE_MAX: usize = 1 << 12;

/// The name of a member. Members may share one long name in the archive, but each has it in every table; so a name that
/// is too long is replaced by its beginning and a hash.
fn member_name(name: &[u8]) -> String {
    if name.len() <= NAME_SIZE_MAX {
        return String::from_utf8_lossy(name).into_owned();
    }
    let hash = Fingerprint::of_bytes(&name[..name.len().min(HASHED_SIZE_MAX)]);
    let beginning = String::from_utf8_lossy(&name[..NAME_SIZE_MAX / 2]);
    format!("{beginning}…{hash}")
}

/// Names and file ranges of members, as the container states them.
type ListedMembers = Vec<(String, Range<u64>)>;

fn archive_members(file: &Bytes, container: &mut Container) -> object::Result<ListedMembers> {
    let archive = ArchiveFile::parse(file.as_ref())?;
    let mut listed = Vec::new();
    for member in archive.members().take(MEMBERS_MAX) {
        match member {
            Ok(member) if member.is_thin() => container.thin.push(member_name(member.name())),
            Ok(member) => {
                let (start, size) = member.file_range();
                let name = member_name(member.name());
                listed.push((name, start..start.saturating_add(size)));
            }
            Err(error) => {
                container.broken = Some(error.to_string());
                break;
            }
        }
    }
    listed.retain(|(_, range)| range.start < range.end);
    Ok(listed)
}

fn universal_members<Fat: FatArch>(arches: &[Fat]) -> ListedMembers {
    let member = |arch: &Fat| {
        let offset: u64 = arch.offset().into();
        (
            super::macho::architecture_name(arch.cputype(), arch.cpusubtype()),
            offset..offset.saturating_add(arch.size().into()),
        )
    };
    arches.iter().map(member).collect()
}
