//! Compares the members of archives and universal files, and the symbols that the index of an archive names.

use crate::rows::Row;
use crate::tools;
use binframe::ir::tables::{BinaryKind, SymbolBinding, SymbolDefinition};
use binframe::passes::Member;
use binframe::passes::file::sections;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::path::Path;

/// Number of members of an archive that are compared as files of their own.
const MEMBERS_COMPARED_MAX: usize = 3;

/// A container, its members that are binaries, and the messages about the others.
pub(super) struct Container<'a> {
    pub(super) path: &'a Path,
    bytes: Bytes,
    pub(super) members: Vec<Member>,
    messages: Vec<(u64, String)>,
}

impl<'a> Container<'a> {
    pub(super) fn read(path: &'a Path, bytes: Bytes) -> Result<Self, String> {
        let read = sections::run(&bytes, 0).map_err(|error| error.to_string())?;
        let messages = read.diagnostics.columns();
        let messages = messages.iter().map(|row| (row.file_offset.unwrap_or(0), row.message.to_owned()));
        Ok(Self { path, members: sections::members(&bytes), messages: messages.collect(), bytes })
    }

    /// Members to compare as files of their own: all of a universal file, and some of an archive.
    pub(super) fn sample(&self) -> impl Iterator<Item = &Member> {
        let step = match self.is_archive() {
            true => self.members.len().div_ceil(MEMBERS_COMPARED_MAX).max(1),
            false => 1,
        };
        self.members.iter().step_by(step)
    }

    pub(super) fn is_archive(&self) -> bool {
        self.bytes.starts_with(b"!<arch>\n")
    }

    /// The members that are binaries, and those that a diagnostic names, by file offset.
    pub(super) fn found_members(&self) -> Vec<Row> {
        let opaque = self.messages.iter().filter_map(|(offset, message)| {
            let (name, _) = message.strip_prefix("member `")?.rsplit_once("`: ")?;
            Some((*offset, name.to_owned()))
        });
        let members = self.members.iter().map(|member| (member.range.start, member.name.clone()));
        members.chain(opaque).map(|(offset, name)| member_row(offset, &name)).collect()
    }

    /// `name 0x100`, the offset of the content; or the lines of a universal file's headers.
    pub(super) fn expected_members(&self) -> Option<Vec<Row>> {
        if !self.is_archive() {
            let printed =
                tools::print(&tools::find("llvm-objdump")?, &["--macho", "--universal-headers"], self.path)?;
            let mut rows = Vec::new();
            let mut name = "";
            for line in printed.lines().map(str::trim) {
                if let Some(architecture) = line.strip_prefix("architecture ") {
                    name = architecture;
                } else if let Some(offset) = line.strip_prefix("offset ") {
                    rows.push(member_row(offset.parse().ok()?, name));
                }
            }
            return Some(rows);
        }
        let printed = tools::print(&tools::find("llvm-ar")?, &["tO"], self.path)?;
        let rows = printed.lines().filter_map(|line| {
            let (name, offset) = line.rsplit_once(" 0x")?;
            Some(member_row(u64::from_str_radix(offset, 16).ok()?, name))
        });
        Some(rows.collect())
    }

    /// The index of the archive: `symbol in member`. `None` if it has none.
    pub(super) fn expected_index(&self) -> Option<Vec<Row>> {
        let printed = tools::print(&tools::find("llvm-nm")?, &["--print-armap", "--quiet"], self.path)?;
        let (_, index) = printed.split_once("Archive map\n")?;
        let lines = index.lines().take_while(|line| !line.is_empty());
        let rows: BTreeSet<_> = lines.filter_map(|line| line.rsplit_once(" in ")).collect();
        Some(rows.into_iter().map(|(symbol, member)| index_row(member, symbol)).collect())
    }

    /// The symbols that members define for others. An index may name a symbol of several members once; the others are left
    /// out.
    pub(super) fn found_index(&self, expected: &[Row]) -> Vec<Row> {
        let indexed: BTreeSet<_> = expected.iter().map(|row| row.key.as_str()).collect();
        let symbols: BTreeSet<_> =
            indexed.iter().filter_map(|key| Some(key.rsplit_once(" in ")?.0)).collect();
        let mut rows = BTreeSet::new();
        for member in &self.members {
            let Ok(read) = sections::run(&member.bytes, 0) else { continue };
            // A short import object defines the symbols by which others call the function of a library.
            let defines_all = read.headers.columns().row(0).kind == BinaryKind::ShortImport;
            for symbol in read.symbols.columns().iter() {
                let is_defined = symbol.definition_kind != SymbolDefinition::Undefined || defines_all;
                if is_defined && symbol.binding != SymbolBinding::Local && !symbol.is_dynamic {
                    rows.insert((member.name.clone(), symbol.symbol_name.to_owned()));
                }
            }
        }
        let row = rows.into_iter().filter_map(|(member, symbol)| {
            let row = index_row(&member, &symbol);
            (indexed.contains(row.key.as_str()) || !symbols.contains(symbol.as_str())).then_some(row)
        });
        row.collect()
    }
}

fn member_row(offset: u64, name: &str) -> Row {
    Row { key: format!("offset {offset:#x}"), cells: vec![("name", name.to_owned())] }
}

fn index_row(member: &str, symbol: &str) -> Row {
    Row { key: format!("{symbol} in {member}"), cells: vec![("row", "present".to_owned())] }
}
