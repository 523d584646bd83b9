//! Compares the tables of debug information with the output of `llvm-dwarfdump`. Rows are identified by the offset of
//! their entry in `.debug_info`.

use crate::File;
use crate::rows::{Positions, Row, hexadecimal, or_none};
use binframe::ir::tables::{
    DebugFunctions, DebugLines, DebugTypeMembers, DebugTypes, DebugUnits, DebugVariables, LocationClass,
    MemberKind,
};
use binframe::ir::{Batch, Enumeration, Rows, Table};
use binframe::passes::file::debug;
use binframe_testsuite::dwarfdump::{
    self, Entry, Line, function_at, inherited, location, number, parse_entries, parse_lines,
};
use std::collections::{BTreeMap, BTreeSet};

/// Size of `.debug_info` up to which it is compared: the tool takes minutes for the largest ones.
const SIZE_MAX: u64 = 1 << 18;

/// The tables of a file, and the entries that the tool prints.
struct Debug {
    units: Rows<DebugUnits>,
    lines: Rows<DebugLines>,
    functions: Rows<DebugFunctions>,
    variables: Rows<DebugVariables>,
    types: Rows<DebugTypes>,
    members: Rows<DebugTypeMembers>,
    entries: BTreeMap<u64, Entry>,
    /// Lowest address of code.
    lowest: u64,
}

/// Rows of one table, from binframe and from the tool.
pub(super) type Pair = (&'static str, Vec<Row>, Vec<Row>);

/// The tables to compare; none for a file without debug information in itself, or with more than is compared.
pub(super) fn tables(file: &File) -> Vec<Pair> {
    let sections = file.sections.sections.columns();
    let mut info = sections.iter().filter(|section| section.section_name.ends_with("debug_info"));
    if !info.next().is_some_and(|section| section.size <= SIZE_MAX && !section.content.is_empty()) {
        return Vec::new();
    }
    let Some(printed) = file.output("llvm-dwarfdump", &["--debug-info"]) else { return Vec::new() };
    let entries = parse_entries(&printed);
    // What other files contain is not in the output for this one.
    let is_split = |entry: &Entry| entry.get("dwo_name").or(entry.get("GNU_dwo_name")).is_some();
    if entries.is_empty() || entries.values().any(is_split) {
        return Vec::new();
    }
    let Some(printed) = file.output("llvm-dwarfdump", &["--debug-line"]) else { return Vec::new() };
    let tables = debug::run(&file.bytes, &file.sections, &[]);
    let lowest = u64::from(!sections.iter().any(|row| row.is_executable && row.address == 0 && row.size > 0));
    let debug = Debug {
        units: rows(&tables.tables()),
        lines: rows(&tables.tables()),
        functions: rows(&tables.tables()),
        variables: rows(&tables.tables()),
        types: rows(&tables.tables()),
        members: rows(&tables.tables()),
        entries,
        lowest,
    };
    let lines = parse_lines(&printed, lowest);
    vec![
        ("debug_units", debug.found_units(), debug.expected_units()),
        ("debug_lines", debug.found_lines(), debug.expected_lines(lines)),
        ("debug_functions", debug.found_functions(), debug.expected_functions()),
        debug.variables(),
        debug.types(),
        ("debug_type_members", debug.found_members(), debug.expected_members()),
    ]
}

fn rows<T: Table>(tables: &[&Batch]) -> Rows<T> {
    let parts: Vec<_> = tables.iter().filter_map(|batch| Rows::from_batch((*batch).clone())).collect();
    Rows::concat(&parts)
}

impl Debug {
    /// Offset of an entry.
    fn at(&self, unit: u32, offset: u32) -> u64 {
        self.units.columns().row(unit as usize).unit_offset + u64::from(offset)
    }

    fn type_at(&self, index: u32) -> u64 {
        let of = self.types.columns().row(index as usize);
        self.at(of.unit_index, of.entry_offset)
    }

    /// The first entry of a unit.
    fn root(&self, unit_offset: u64) -> Option<&Entry> {
        self.entries.range(unit_offset..).next().map(|(_, entry)| entry)
    }

    fn found_units(&self) -> Vec<Row> {
        let row = self.units.columns().iter().map(|row| {
            let cells = vec![
                ("unit_name", or_none(row.unit_name)),
                ("compilation_directory", or_none(row.compilation_directory)),
                ("producer", or_none(row.producer)),
                ("language", or_none(row.language.map(|language| language.0))),
            ];
            Row { key: hexadecimal(row.unit_offset), cells }
        });
        row.collect()
    }

    fn expected_units(&self) -> Vec<Row> {
        let units = self.units.columns();
        // The tool prints the offset of the first entry; that of the unit is some bytes before.
        let roots = self.entries.iter().filter(|(_, entry)| entry.tag.ends_with("_unit"));
        let row = roots.map(|(offset, entry)| {
            let unit_offset = units.iter().map(|unit| unit.unit_offset).filter(|start| start < offset).max();
            let cells = vec![
                ("unit_name", or_none(entry.text("name"))),
                ("compilation_directory", or_none(entry.text("comp_dir"))),
                ("producer", or_none(entry.text("producer"))),
                ("language", or_none(entry.get("language"))),
            ];
            Row { key: or_none(unit_offset.map(hexadecimal)), cells }
        });
        row.collect()
    }

    fn found_lines(&self) -> Vec<Row> {
        let mut programs: BTreeMap<u64, Vec<Line>> = BTreeMap::new();
        let units = self.units.columns();
        for row in self.lines.columns().iter() {
            let unit = units.row(row.unit_index as usize);
            let program = self.root(unit.unit_offset).and_then(|root| root.number("stmt_list"));
            let file = row.source_file.map_or("", |file| file.0);
            let file = below(unit.compilation_directory, file);
            programs.entry(program.unwrap_or(u64::MAX)).or_default().push(Line {
                address: row.address,
                size: row.size,
                file: file.to_owned(),
                number: row.source_line.unwrap_or(0),
                column: row.source_column.unwrap_or(0),
                discriminator: row.discriminator,
                flags: [row.is_statement, row.is_prologue_end, row.is_epilogue_begin],
            });
        }
        line_rows(programs)
    }

    fn expected_lines(&self, mut programs: BTreeMap<u64, Vec<Line>>) -> Vec<Row> {
        let mut used = BTreeSet::new();
        for unit in self.units.columns().iter() {
            let program = self.root(unit.unit_offset).and_then(|root| root.number("stmt_list"));
            let Some(program) = program.filter(|program| used.insert(*program)) else { continue };
            for line in programs.get_mut(&program).into_iter().flatten() {
                line.file = below(unit.compilation_directory, &line.file).to_owned();
            }
        }
        // The tables have no lines of a program that no unit refers to.
        programs.retain(|program, _| used.contains(program));
        line_rows(programs)
    }

    fn found_functions(&self) -> Vec<Row> {
        let functions = self.functions.columns();
        let at: BTreeMap<_, _> = functions
            .iter()
            .map(|row| (row.function_index, self.at(row.unit_index, row.entry_offset)))
            .collect();
        let row = functions.iter().map(|row| {
            let offset = self.at(row.unit_index, row.entry_offset);
            let cells = vec![
                ("address", hexadecimal(row.address)),
                ("size", row.size.to_string()),
                ("is_inlined", row.is_inlined.to_string()),
                ("function_name", or_none(row.function_name)),
                ("linkage_name", or_none(row.linkage_name)),
                ("call_file", or_none(row.call_file.map(|file| file.0))),
                ("call_line", or_none(row.call_line)),
                ("declaration_file", or_none(row.declaration_file.map(|file| file.0))),
                ("declaration_line", or_none(row.declaration_line)),
                ("parent_function_index", or_none(row.parent_function_index.map(|parent| at[&parent]))),
            ];
            Row { key: format!("{offset:#x} range {}", row.range_index), cells }
        });
        row.collect()
    }

    fn expected_functions(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for (&offset, entry) in &self.entries {
            if !["subprogram", "inlined_subroutine"].contains(&entry.tag.as_str()) {
                continue;
            }
            let inherited_text = |name| inherited(&self.entries, offset, |entry| entry.text(name));
            let declaration_line = inherited(&self.entries, offset, |entry| entry.number("decl_line"));
            let parent = entry.parent.and_then(|parent| function_at(&self.entries, parent, self.lowest));
            for (index, (start, end)) in entry.ranges(self.lowest).into_iter().enumerate() {
                let cells = vec![
                    ("address", hexadecimal(start)),
                    ("size", (end - start).to_string()),
                    ("is_inlined", (entry.tag == "inlined_subroutine").to_string()),
                    ("function_name", or_none(inherited_text("name"))),
                    (
                        "linkage_name",
                        or_none(
                            inherited_text("linkage_name").or_else(|| inherited_text("MIPS_linkage_name")),
                        ),
                    ),
                    ("call_file", or_none(entry.text("call_file"))),
                    // Compilers write 0 if there is no line.
                    ("call_line", or_none(entry.number("call_line").filter(|line| *line > 0))),
                    ("declaration_file", or_none(inherited_text("decl_file"))),
                    ("declaration_line", or_none(declaration_line)),
                    ("parent_function_index", or_none(parent)),
                ];
                rows.push(Row { key: format!("{offset:#x} range {index}"), cells });
            }
        }
        rows
    }

    /// The variables that the table has, and those with a location in functions that have code.
    fn variables(&self) -> Pair {
        let mut found = Vec::new();
        let mut offsets = BTreeSet::new();
        for row in self.variables.columns().iter() {
            let offset = self.at(row.unit_index, row.entry_offset);
            offsets.insert(offset);
            let value = match row.location_kind {
                LocationClass::Register => row.register_number.map(u64::from),
                LocationClass::Constant => row.constant.map(i64::cast_unsigned),
                _ => row.frame_offset.map(i64::cast_unsigned).or(row.address),
            };
            let range = row.valid_address.zip(row.valid_size).map(|(start, size)| (start, start + size));
            let of = row.type_index.map(|index| self.type_at(index));
            found.push(Row {
                key: format!("{offset:#x} location {}", row.location_index),
                cells: variable(row.variable_name, row.is_parameter, of, range, (row.location_kind, value)),
            });
        }
        let with_code = self.entries.iter().filter(|(offset, entry)| {
            ["variable", "formal_parameter"].contains(&entry.tag.as_str())
                && entry.get("location").is_some()
                && function_at(&self.entries, **offset, self.lowest).is_some()
        });
        offsets.extend(with_code.map(|(offset, _)| *offset));
        let mut expected = Vec::new();
        for offset in offsets {
            let Some(entry) = self.entries.get(&offset) else { continue };
            let name = inherited(&self.entries, offset, |entry| entry.text("name"));
            let of = inherited(&self.entries, offset, |entry| entry.reference("type"));
            for (index, (range, place)) in locations(entry).into_iter().enumerate() {
                let cells = variable(name, entry.tag == "formal_parameter", of, range, place);
                expected.push(Row { key: format!("{offset:#x} location {index}"), cells });
            }
        }
        take_unknown(&mut found, &mut expected);
        ("debug_variables", found, expected)
    }

    fn types(&self) -> Pair {
        let row = self.types.columns().iter().map(|row| {
            let cells = vec![
                ("type_name", or_none(row.type_name)),
                ("target_type_index", or_none(row.target_type_index.map(|index| self.type_at(index)))),
                ("encoding", or_none(row.encoding.map(|encoding| encoding.0))),
                ("size", or_none(row.size)),
            ];
            Row { key: hexadecimal(self.at(row.unit_index, row.entry_offset)), cells }
        });
        let mut found: Vec<_> = row.collect();
        // The index range of an array is part of the array.
        let is_type = |entry: &Entry| {
            (entry.tag.ends_with("_type") || entry.tag == "typedef") && !entry.tag.contains("subrange")
        };
        let row = self.entries.iter().filter(|(_, entry)| is_type(entry)).map(|(offset, entry)| {
            let cells = vec![
                ("type_name", or_none(entry.text("name"))),
                ("target_type_index", or_none(entry.reference("type"))),
                ("encoding", or_none(entry.get("encoding"))),
                // The table derives a size that is not stated.
                (
                    "size",
                    entry.number("byte_size").map_or_else(|| UNKNOWN.to_owned(), |size| size.to_string()),
                ),
            ];
            Row { key: hexadecimal(*offset), cells }
        });
        let mut expected: Vec<_> = row.collect();
        take_unknown(&mut found, &mut expected);
        ("debug_types", found, expected)
    }

    fn found_members(&self) -> Vec<Row> {
        let mut positions = Positions::default();
        let members = self.members.columns();
        let row = members.iter().filter(|row| row.kind != MemberKind::Parameter).map(|row| {
            let value = row.value.filter(|_| row.kind == MemberKind::Enumerator).map(i64::cast_unsigned);
            let offset = row.byte_offset.or(row.bit_offset.map(|bits| bits / 8));
            let cells = vec![
                ("member_name", or_none(row.member_name)),
                ("member_type_index", or_none(row.member_type_index.map(|index| self.type_at(index)))),
                ("byte_offset", or_none(offset)),
                ("bit_size", or_none(row.bit_size)),
                ("value", or_none(value)),
            ];
            Row { key: positions.next(&hexadecimal(self.type_at(row.type_index))), cells }
        });
        row.collect()
    }

    fn expected_members(&self) -> Vec<Row> {
        let mut positions = Positions::default();
        let mut rows = Vec::new();
        for entry in self.entries.values() {
            if !["member", "enumerator", "inheritance"].contains(&entry.tag.as_str()) {
                continue;
            }
            let mut owner = entry.parent;
            while let Some(offset) = owner.filter(|offset| !self.entries[offset].tag.ends_with("_type")) {
                owner = self.entries[&offset].parent;
            }
            let Some(owner) = owner else { continue };
            let cells = vec![
                ("member_name", or_none(entry.text("name"))),
                ("member_type_index", or_none(entry.reference("type"))),
                ("byte_offset", or_none(byte_offset(entry))),
                ("bit_size", or_none(entry.number("bit_size"))),
                ("value", or_none(entry.number("const_value"))),
            ];
            rows.push(Row { key: positions.next(&hexadecimal(owner)), cells });
        }
        rows
    }
}

/// Offset of a field, rounded down to a byte.
fn byte_offset(entry: &Entry) -> Option<u64> {
    if entry.tag == "enumerator" || entry.get("external").is_some() {
        return None;
    }
    let location = entry.get("data_member_location");
    let location = location.and_then(|text| number(text.split(' ').next_back()?));
    // Before DWARF 4, bit offsets are relative to the storage unit.
    if let Some(offset) = entry.number("bit_offset") {
        let bits = entry.number("byte_size").unwrap_or(0) * 8;
        let bits = bits.saturating_sub(offset + entry.number("bit_size").unwrap_or(0));
        return location.map(|location| location + bits / 8);
    }
    let bit_offset = entry.number("data_bit_offset").map(|bits| bits / 8);
    Some(location.or(bit_offset).unwrap_or(0))
}

/// A path without the compilation directory, which line number programs before DWARF 5 do not list.
fn below<'a>(directory: Option<&str>, path: &'a str) -> &'a str {
    let rest = path.strip_prefix(directory.unwrap_or_default());
    rest.and_then(|rest| rest.strip_prefix('/')).unwrap_or(path)
}

fn line_rows(programs: BTreeMap<u64, Vec<Line>>) -> Vec<Row> {
    let rows = programs.into_iter().flat_map(|(program, lines)| {
        lines.into_iter().enumerate().map(move |(index, line)| {
            let [is_statement, is_prologue_end, is_epilogue_begin] = line.flags.map(|flag| flag.to_string());
            let cells = vec![
                ("address", hexadecimal(line.address)),
                ("size", line.size.to_string()),
                ("source_file", line.file),
                ("source_line", line.number.to_string()),
                ("source_column", line.column.to_string()),
                ("discriminator", line.discriminator.to_string()),
                ("is_statement", is_statement),
                ("is_prologue_end", is_prologue_end),
                ("is_epilogue_begin", is_epilogue_begin),
            ];
            Row { key: format!("program {program:#x} row {index}"), cells }
        })
    });
    rows.collect()
}

/// Stands for a value that the tool does not print.
const UNKNOWN: &str = "unknown";

/// Replaces values that the tool does not print, on both sides.
fn take_unknown(found: &mut [Row], expected: &mut [Row]) {
    let mut found: BTreeMap<_, _> = found.iter_mut().map(|row| (row.key.clone(), &mut row.cells)).collect();
    for row in expected {
        let Some(found) = found.get_mut(&row.key) else { continue };
        for (expected, found) in row.cells.iter().zip(found.iter_mut()) {
            if expected.1 == UNKNOWN {
                UNKNOWN.clone_into(&mut found.1);
            }
        }
    }
}

type Place = (LocationClass, Option<u64>);

fn variable(
    name: Option<&str>,
    is_parameter: bool,
    of: Option<u64>,
    range: Option<(u64, u64)>,
    (kind, value): Place,
) -> Vec<(&'static str, String)> {
    let range = range.map(|(start, end)| format!("{start:#x}..{end:#x}"));
    vec![
        ("variable_name", or_none(name)),
        ("is_parameter", is_parameter.to_string()),
        ("type_index", or_none(of.map(hexadecimal))),
        ("valid_address", or_none(range)),
        ("location_kind", kind.name().to_owned()),
        ("location", value.map_or_else(|| UNKNOWN.to_owned(), |value| value.to_string())),
    ]
}

/// The locations of a variable, each with its range of code.
fn locations(entry: &Entry) -> Vec<(Option<(u64, u64)>, Place)> {
    let listed = match (entry.get("location"), entry.get("const_value")) {
        (Some(list), _) if list.starts_with("0x") || list.starts_with("indexed") => {
            let listed = dwarfdump::ranges(list).into_iter().filter(|((start, end), _)| start < end);
            listed.map(|(range, text)| (Some(range), location(text))).collect()
        }
        (Some(text), _) if !text.is_empty() => vec![(None, location(text))],
        (None, Some(value)) => vec![(None, (LocationClass::Constant, number(value)))],
        _ => vec![],
    };
    match listed.is_empty() {
        true => vec![(None, (LocationClass::OptimizedOut, None))],
        false => listed,
    }
}
