//! The table of strings is equal to the output of GNU `strings`.

use binframe::ir::tables::{BinarySection, StringEncoding};
use binframe::passes::file::{sections, strings};
use binframe_testsuite::tools;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Strings by offset in the section.
type Texts = BTreeMap<u64, String>;

/// Maximum size of a row; longer strings are split.
const ROW_SIZE_MAX: u64 = 1 << 16;

/// Strings that GNU `strings` prints, in lines such as `   1234 text`, split like the rows of the table.
fn gnu(path: &Path, encoding: &str) -> Option<Texts> {
    let arguments = ["-a", "-n", "4", "-t", "d", "-e", encoding];
    let text = tools::print("strings", &arguments, path)?;
    let mut texts = Texts::new();
    for line in text.lines() {
        let (offset, text) = line.trim_start_matches(' ').split_once(' ').expect("an offset and text");
        let mut offset: u64 = offset.parse().expect("strings prints numbers");
        let width = if encoding == "s" { 1 } else { 2 };
        for text in text.as_bytes().chunks((ROW_SIZE_MAX / width) as usize) {
            texts.insert(offset, String::from_utf8(text.to_vec()).expect("ASCII"));
            offset += ROW_SIZE_MAX;
        }
    }
    Some(texts)
}

#[test]
fn strings_of_system_files_match_gnu_strings() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let content_path = folder.path().join("content");
    for path in tools::system_files(61) {
        let file = Bytes::from(fs::read(&path).expect("the file can be read"));
        let Ok(sections) = sections::run(&file, 0) else { continue };
        let found = strings::run(&sections);
        assert!(found.diagnostics.is_empty(), "{}", path.display());
        let mut texts: BTreeMap<(u32, bool), Texts> = BTreeMap::new();
        for row in found.strings.columns().iter() {
            let key = (row.section_index, row.encoding == StringEncoding::Ascii);
            texts.entry(key).or_default().insert(row.file_offset, row.text.to_owned());
            let character_size = if row.encoding == StringEncoding::Ascii { 1 } else { 2 };
            assert_eq!(row.size, row.text.len() as u64 * character_size);
        }
        for section in sections.sections.columns().iter().filter(is_searched) {
            fs::write(&content_path, section.content).expect("the temporary folder is writable");
            for (encoding, is_ascii) in [("s", true), ("l", false)] {
                let Some(expected) = gnu(&content_path, encoding) else { return };
                let found = texts.remove(&(section.section_index, is_ascii)).unwrap_or_default();
                let found: Texts =
                    found.into_iter().map(|(offset, text)| (offset - section.file_offset, text)).collect();
                let place = format!("{}: {} {encoding}", path.display(), section.section_name);
                let missing: Vec<_> =
                    expected.iter().filter(|(at, text)| found.get(at) != Some(text)).take(5).collect();
                assert!(missing.is_empty(), "{place}: {missing:x?}");
                assert_eq!(expected.len(), found.len(), "{place}: rows that GNU strings does not have");
            }
        }
        assert!(texts.is_empty(), "{}: {:?}", path.display(), texts.keys());
    }
}

/// Whether a section is searched for strings, by name and type of sections in compiled ELF files.
fn is_searched(section: &BinarySection<'_>) -> bool {
    let is_data = [Some("SHT_PROGBITS"), Some("SHT_NOTE"), Some("SHT_INIT_ARRAY"), Some("SHT_FINI_ARRAY")]
        .contains(&section.section_type);
    let skipped = [".eh_frame", ".gcc_except_table", ".debug_", ".gdb_index", ".stab"];
    !section.content.is_empty()
        && is_data
        && !section.is_executable
        && skipped.iter().all(|prefix| !section.section_name.starts_with(prefix))
}
