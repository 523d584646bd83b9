//! Containers: archives, and Mach-O files for several architectures.

use super::Headers;
use bytes::Bytes;
use object::FileKind;
use object::read::archive::ArchiveFile;
use object::read::macho::{FatArch, MachOFatFile32, MachOFatFile64};
use std::ops::Range;

/// Members that are looked at: as many as an archive of 4 GiB can have.
const MEMBERS_MAX: usize = 1 << 26;

/// A file in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name: that of the file, or of the architecture.
    pub name: String,
    /// Its bytes. They lie in the container's.
    pub bytes: Bytes,
    /// Where it stands in the container.
    pub range: Range<u64>,
}

/// What a container holds.
#[derive(Debug, Default)]
pub(crate) struct Container {
    /// The members that are lowered by themselves, in their order; they share no bytes.
    pub(crate) members: Vec<Member>,
    /// The members that are not, and why.
    pub(crate) opaque: Vec<(Member, String)>,
    /// Why the rest cannot be read.
    pub(crate) broken: Option<String>,
}

/// Whether what begins as a universal file or a Java class is the former: Java's version is above 44, and no universal file
/// has so many architectures.
pub(super) fn is_universal(file: &[u8]) -> bool {
    file.get(4..8).is_some_and(|count| count[..3] == [0; 3] && count[3] < 44)
}

/// The members of a container; none of a file that is none.
pub(crate) fn read(file: &Bytes) -> Container {
    let mut container = Container::default();
    let listed = match super::kind(file) {
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
    let is_archive = matches!(super::kind(file), Ok(FileKind::Archive));
    listed.sort_by_key(|(_, range)| range.start);
    let mut end = 0;
    for (name, range) in listed {
        let is_free = range.start > 0 && range.start >= end && range.start < range.end;
        let bytes = match (usize::try_from(range.start), usize::try_from(range.end)) {
            (Ok(start), Ok(end)) if is_free && end <= file.len() => file.slice(start..end),
            _ => {
                let found =
                    format!("member `{name}` at {range:x?} shares bytes with others or is not in the file");
                container.broken.get_or_insert(found);
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

/// Why a member is not lowered by itself; none if it is. Archives hold no containers, so that nesting ends.
fn unsupported(bytes: &Bytes, is_in_archive: bool) -> Option<String> {
    match Headers::find(bytes) {
        Err(reason) => Some(reason.to_string()),
        Ok(Headers::Archive) if !is_in_archive => None,
        Ok(Headers::Archive | Headers::Universal) => Some("a container in a container".to_owned()),
        Ok(_) => None,
    }
}

type Listed = Vec<(String, Range<u64>)>;

fn archive_members(file: &Bytes, container: &mut Container) -> object::Result<Listed> {
    let archive = ArchiveFile::parse(file.as_ref())?;
    let mut listed = Vec::new();
    for member in archive.members().take(MEMBERS_MAX) {
        match member {
            // The members of a thin archive are files of their own.
            Ok(member) if member.is_thin() => {}
            Ok(member) => {
                let (start, size) = member.file_range();
                let name = String::from_utf8_lossy(member.name()).into_owned();
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

fn universal_members<Fat: FatArch>(arches: &[Fat]) -> Listed {
    let member = |arch: &Fat| {
        let offset: u64 = arch.offset().into();
        (
            super::macho::architecture_name(arch.cputype(), arch.cpusubtype()),
            offset..offset.saturating_add(arch.size().into()),
        )
    };
    arches.iter().map(member).collect()
}
