//! Checks the generated objects and containers of the test suite with the crate `object`.

use binframe_testsuite::objects::{ALL, Architecture, Format, MESSAGE, archive, object, universal};
use object::read::archive::ArchiveFile;
use object::read::macho::MachOFatFile32;
use object::{BinaryFormat, Object, ObjectSection, ObjectSymbol};

#[test]
fn generated_objects_have_the_documented_content() {
    for (format, architecture) in ALL {
        let bytes = object(format, architecture);
        assert!(bytes.len() < 4096, "{format:?} {architecture:?}: {} bytes", bytes.len());
        assert_eq!(bytes, object(format, architecture), "the bytes are deterministic");
        let file = object::File::parse(bytes.as_slice()).expect("an object");
        let expected = match format {
            Format::Elf => BinaryFormat::Elf,
            Format::MachO => BinaryFormat::MachO,
            Format::Coff => BinaryFormat::Coff,
        };
        assert_eq!(file.format(), expected);
        let symbol = |name: &str| {
            let name = if format == Format::MachO { format!("_{name}") } else { name.to_owned() };
            let mut symbols = file.symbols();
            symbols
                .find(|symbol| symbol.name() == Ok(&name))
                .unwrap_or_else(|| panic!("{name} of {format:?}"))
        };
        assert!(symbol("report").is_undefined());
        assert!(symbol("twice").is_local() && symbol("message").is_local());
        assert!(symbol("checked_twice").is_global() && symbol("operations").is_global());
        let mut relocations =
            file.sections().map(|section| section.relocations().count()).collect::<Vec<_>>();
        relocations.retain(|count| *count > 0);
        assert!(relocations.iter().sum::<usize>() >= 7, "{format:?} {architecture:?}: {relocations:?}");
        let mut sections = file.sections();
        let has_message =
            |content: &[u8]| content.windows(MESSAGE.len()).any(|text| text == MESSAGE.as_bytes());
        assert!(sections.any(|section| has_message(section.data().expect("its bytes"))));
    }
}

#[test]
fn generated_containers_have_their_members() {
    let member = object(Format::Elf, Architecture::X86_64);
    let names = ["short.o", "fifteen_bytes.o", "a_name_longer_than_a_header_holds.o"];
    let members = names.map(|name| (name, if name == names[1] { &member[1..] } else { &member[..] }));
    let bytes = archive(&members);
    let file = ArchiveFile::parse(bytes.as_slice()).expect("an archive");
    let found = file.members().map(|member| {
        let member = member.expect("a member");
        let content = member.data(bytes.as_slice()).expect("its bytes");
        (String::from_utf8(member.name().to_vec()).expect("UTF-8"), content)
    });
    let expected = members.map(|(name, content)| (name.to_owned(), content));
    assert_eq!(found.collect::<Vec<_>>(), expected);

    let members =
        [Architecture::X86_64, Architecture::Aarch64].map(|architecture| object(Format::MachO, architecture));
    let bytes = universal(&members.each_ref().map(Vec::as_slice));
    let file = MachOFatFile32::parse(bytes.as_slice()).expect("a universal file");
    let found: Vec<_> = file
        .arches()
        .iter()
        .map(|arch| (object::read::macho::FatArch::architecture(arch), arch_data(arch, &bytes)))
        .collect();
    let architectures = [object::Architecture::X86_64, object::Architecture::Aarch64];
    assert_eq!(found, architectures.into_iter().zip(members.iter().map(Vec::as_slice)).collect::<Vec<_>>());
}

fn arch_data<'a>(arch: &object::macho::FatArch32, file: &'a [u8]) -> &'a [u8] {
    object::read::macho::FatArch::data(arch, file).expect("its bytes")
}
