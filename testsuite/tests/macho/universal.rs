//! Members of universal files are binaries of their own; what is wrong with a member is said of it alone.

use super::read;
use binframe::ir::tables::{BinaryKind, DiagnosticCode, ExtentOwner, Format};
use binframe::passes::file::extents;
use binframe::passes::file::sections;
use binframe::{Dataset, rebuild};
use binframe_testsuite::apple;
use binframe_testsuite::lowering::{TemporaryDataset, try_tables};
use binframe_testsuite::objects::{self, Architecture};
use bytes::Bytes;

#[test]
fn members_of_universal_files_are_named_by_architecture() {
    let names = ["x86_64", "arm64", "i386", "armv7"];
    let object = |name: &&str| apple::compile(name, "c", "int one = 1;", &[]);
    let Some(members) = names.iter().map(object).collect::<Option<Vec<_>>>() else { return };
    let slices: Vec<_> = members.iter().map(Vec::as_slice).collect();
    for file in [objects::universal(&slices), objects::universal_64(&slices)] {
        let file = Bytes::from(file);
        let (sections, _) = read(&file);
        let header = sections.headers.columns().row(0);
        assert_eq!((header.format, header.kind), (Format::Universal, BinaryKind::Container));
        let found = sections::members(&file);
        assert_eq!(found.iter().map(|member| member.name.as_str()).collect::<Vec<_>>(), names);
        for (found, member) in found.iter().zip(&members) {
            assert_eq!(found.bytes, member);
        }
        let extents = extents::run(&file, &sections);
        let owners: Vec<_> = extents.columns().iter().map(|extent| extent.owner_kind).collect();
        let expected = names.iter().flat_map(|_| [ExtentOwner::Header, ExtentOwner::Member]);
        assert_eq!(owners, expected.collect::<Vec<_>>());
        if let Some(listed) = apple::llvm("lipo", &["-archs"], &file) {
            assert_eq!(listed.split_whitespace().collect::<Vec<_>>(), names);
        }
    }
}

/// The first member of a universal file with 64-bit headers is whole, the second is not.
#[test]
fn a_broken_member_leaves_the_other_as_it_is() {
    /// Offset of the second entry: architecture, offset, size.
    const ENTRY: usize = 8 + 32;
    let [whole, other] = [Architecture::X86_64, Architecture::Aarch64]
        .map(|architecture| objects::object(objects::Format::MachO, architecture));
    let file = objects::universal_64(&[&whole, &other]);
    let start = file.len() - other.len();
    let with = |at: usize, bytes: &[u8]| {
        let mut file = file.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    let too_long = (other.len() as u64 + 1).to_be_bytes();
    // What is wrong, whether the second member is a binary, and what is said of the container.
    let cases = [
        ("the end of the file", with(ENTRY + 16, &too_long), false, Some(DiagnosticCode::BrokenContainer)),
        ("a size of 2^64 - 1", with(ENTRY + 16, &[0xff; 8]), false, Some(DiagnosticCode::BrokenContainer)),
        ("an offset of 2^64 - 1", with(ENTRY + 8, &[0xff; 8]), false, Some(DiagnosticCode::BrokenContainer)),
        (
            "bytes of the first",
            with(ENTRY + 8, &4097_u64.to_be_bytes()),
            false,
            Some(DiagnosticCode::BrokenContainer),
        ),
        ("no Mach-O file", with(start, b"text"), false, Some(DiagnosticCode::OpaqueMember)),
        ("load commands", with(start + 36, &[0xff; 4]), true, None),
        (
            "load commands after the file",
            with(start + 20, &[0xff; 4]),
            false,
            Some(DiagnosticCode::OpaqueMember),
        ),
    ];
    for (name, file, is_binary, said) in cases {
        let file = Bytes::from(file);
        let container = sections::run(&file, 0).expect("a universal file");
        let codes: Vec<_> = container.diagnostics.columns().iter().map(|row| row.code).collect();
        assert_eq!(codes, Vec::from_iter(said), "{name}");
        let members = sections::members(&file);
        assert_eq!(members.len(), 1 + usize::from(is_binary), "{name}");
        assert_eq!((members[0].name.as_str(), &members[0].bytes[..]), ("x86_64", &whole[..]), "{name}");
        let tables = try_tables(&members[0].bytes).expect("a Mach-O file");
        assert!(tables.lowered.sections.diagnostics.is_empty(), "{name}");
        if let Some(member) = members.get(1) {
            assert_eq!(member.name, "arm64", "{name}");
            let tables = try_tables(&member.bytes).expect("a Mach-O file");
            assert!(!tables.lowered.sections.diagnostics.is_empty(), "{name}");
        }
        // The rows agree with each other, and have all bytes.
        let written = TemporaryDataset::of_bytes("universal", &file).expect("a universal file");
        let rebuilt = written.path().with_extension("rebuilt");
        let dataset = Dataset::open(&written.path()).expect("a dataset");
        rebuild(&dataset, None, &rebuilt).expect("the dataset is whole");
        assert_eq!(std::fs::read(&rebuilt).expect("the file was written"), file, "{name}");
    }
}
