//! Debug tables are equal to the output of `llvm-dwarfdump`, for several compilers and DWARF versions.

mod corrupted;
mod forms;
mod sources;

use binframe::ir::tables::{
    DebugFunctions, DebugLines, DebugTypeMembers, DebugTypes, DebugUnits, DebugVariables, LocationClass,
    MemberKind,
};
use binframe::ir::{Rows, Stage, Table};
use binframe::{Filter, Source};
use binframe_testsuite::dwarfdump::{self, Entry, Line, function_at, inherited, location, number};
use binframe_testsuite::programs;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The debug tables of a file.
pub(crate) struct Debug {
    pub(crate) units: Rows<DebugUnits>,
    pub(crate) lines: Rows<DebugLines>,
    pub(crate) functions: Rows<DebugFunctions>,
    pub(crate) variables: Rows<DebugVariables>,
    pub(crate) types: Rows<DebugTypes>,
    pub(crate) members: Rows<DebugTypeMembers>,
}

/// Computes the debug tables of a file.
pub(crate) fn debug(path: &Path) -> Debug {
    let source = Source::open(path).expect("a file that is supported");
    Debug {
        units: rows(&source),
        lines: rows(&source),
        functions: rows(&source),
        variables: rows(&source),
        types: rows(&source),
        members: rows(&source),
    }
}

fn rows<T: Table>(source: &Source) -> Rows<T> {
    let parts = source.all::<T>(&Filter::default()).expect("rows of a table");
    Rows::concat(parts.iter().map(|part| &part.1))
}

/// Programs of the installed compilers, and one of rustc.
fn executables() -> Vec<PathBuf> {
    let mut executables = vec![programs::compile_rust("tokens-debug", programs::TOKENS_RS, &["-g"])];
    for compiler in ["gcc", "clang"] {
        for version in ["-gdwarf-2", "-gdwarf-3", "-gdwarf-4", "-gdwarf-5"] {
            for level in ["-O0", "-O2"] {
                let name = format!("shapes-{compiler}{version}{level}");
                let flags = ["-g", version, level];
                executables.extend(programs::compile_c_with(compiler, &name, programs::SHAPES_C, &flags));
            }
        }
        let flags = ["-g", "-O2"];
        executables.extend(programs::compile_c_with(compiler, "switch-debug", programs::SWITCH_C, &flags));
        executables.extend(programs::compile_c_with(compiler, "sort-debug", programs::SORT_C, &flags));
    }
    executables
}

/// Objects for processors whose assemblers leave different things to the linker.
fn objects() -> Vec<PathBuf> {
    const TARGETS: [&str; 10] = [
        "x86_64",
        "i386",
        "aarch64",
        "arm",
        "riscv64",
        "riscv32",
        "loongarch64",
        "powerpc64le",
        "mips64el",
        "s390x",
    ];
    // The tool's sequences at address 0 are taken for discarded code.
    const SOURCE: &str = "
__asm__(\".text\\n.zero 64\");
struct point { int x; struct point *next; };
static int limit = 7;
int helper(int);
static inline __attribute__((always_inline)) int square(int number) { int result = number * number; return result; }
int sum(struct point *point) {
    int total = 0;
    while (point) { total += square(point->x) + helper(total); point = point->next; }
    return total > limit ? limit : total;
}
int twice(struct point *point) { int once = sum(point); if (once < 0) return helper(once); return once * 2; }
";
    let mut objects = Vec::new();
    for target in TARGETS {
        for version in ["-gdwarf-4", "-gdwarf-5"] {
            let name = format!("points-{target}{version}");
            let target = format!("--target={target}-linux-gnu");
            let flags = ["-c", "-g", version, "-O1", "-ffreestanding", target.as_str()];
            objects.extend(programs::compile_c_with("clang", &name, SOURCE, &flags));
        }
    }
    objects
}

#[test]
fn datasets_pass_the_verifier() {
    for path in executables().into_iter().chain(objects()) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let output = folder.path().join("dataset");
        let lowered = binframe_testsuite::lowering::lower_into(&path, &output, &[Stage::Debug]);
        lowered.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

/// Compares with symbols, which requires no tool.
#[test]
fn functions_match_symbols() {
    let path = programs::compile_rust("tokens-debug", programs::TOKENS_RS, &["-g"]);
    let functions = debug(&path).functions;
    let described: BTreeSet<_> = functions
        .columns()
        .iter()
        .filter(|row| !row.is_inlined)
        .map(|row| {
            (row.linkage_name.or(row.function_name).unwrap_or_default().to_owned(), row.address, row.size)
        })
        .collect();
    let source = Source::open(&path).expect("a file that is supported");
    let symbols = rows::<binframe::ir::tables::BinarySymbols>(&source);
    let own: Vec<_> = symbols
        .columns()
        .iter()
        .filter(|row| row.symbol_size > 0 && row.symbol_name.contains("tokens"))
        .filter(|row| row.symbol_type == "function")
        .map(|row| (row.symbol_name.to_owned(), row.symbol_address, row.symbol_size))
        .collect();
    assert!(own.len() > 10, "{own:?}");
    for function in own {
        assert!(described.contains(&function), "{function:x?}");
    }
}

#[test]
fn lines_match_dwarfdump() {
    for path in executables().into_iter().chain(objects()) {
        let Some(expected) = dwarfdump::lines(&path) else { return };
        let entries = dwarfdump::entries(&path).expect("the tool is installed");
        let debug = debug(&path);
        let mut found: BTreeMap<u64, Vec<Line>> = BTreeMap::new();
        let units = debug.units.columns();
        for row in debug.lines.columns().iter() {
            let unit = units.row(row.unit_index as usize);
            let root = entries.range(unit.unit_offset..).next().expect("a first entry").1;
            let program = root.number("stmt_list").expect("a line number program");
            // dwarfdump does not print the compilation directory, which DWARF 4 and older do not list.
            let file = row.source_file.map_or("", |file| file.0);
            let directory = format!("{}/", unit.compilation_directory.unwrap_or_default());
            let file = if unit.version < 5 { file.strip_prefix(&directory).unwrap_or(file) } else { file };
            found.entry(program).or_default().push(Line {
                address: row.address,
                size: row.size,
                file: file.to_owned(),
                number: row.source_line.unwrap_or(0),
                column: row.source_column.unwrap_or(0),
                discriminator: row.discriminator,
                flags: [row.is_statement, row.is_prologue_end, row.is_epilogue_begin],
            });
        }
        for (program, expected) in expected {
            let unit = units.iter().find(|unit| {
                let root = entries.range(unit.unit_offset..).next().expect("a first entry").1;
                root.number("stmt_list") == Some(program)
            });
            let directory =
                unit.and_then(|unit| unit.compilation_directory).unwrap_or_default().to_owned() + "/";
            let is_old = unit.is_some_and(|unit| unit.version < 5);
            let shorten = |mut line: Line| {
                if is_old && let Some(rest) = line.file.strip_prefix(&directory) {
                    line.file = rest.to_owned();
                }
                line
            };
            let found = found.remove(&program).unwrap_or_default();
            let expected: Vec<_> = expected.into_iter().map(shorten).collect();
            let first = expected.iter().zip(&found).find(|(expected, found)| expected != found);
            assert_eq!(first, None, "{}, program {program:#x}", path.display());
            assert_eq!(expected.len(), found.len(), "{}, program {program:#x}", path.display());
        }
        assert!(found.is_empty(), "{}", path.display());
    }
}

#[test]
fn functions_match_dwarfdump() {
    for path in executables().into_iter().chain(objects()) {
        let Some(entries) = dwarfdump::entries(&path) else { return };
        let debug = debug(&path);
        let units = debug.units.columns();
        let at = |unit: u32, offset: u32| units.row(unit as usize).unit_offset + u64::from(offset);
        let mut found: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
        let offsets: BTreeMap<u32, u64> = debug
            .functions
            .columns()
            .iter()
            .map(|row| (row.function_index, at(row.unit_index, row.entry_offset)))
            .collect();
        for row in debug.functions.columns().iter() {
            let offset = at(row.unit_index, row.entry_offset);
            found.entry(offset).or_default().push((row.address, row.address + row.size));
            let entry = &entries[&offset];
            let place = format!("{}, entry {offset:#x}", path.display());
            assert_eq!(row.is_inlined, entry.tag == "inlined_subroutine", "{place}");
            assert_eq!(row.function_name, inherited(&entries, offset, |entry| entry.text("name")), "{place}");
            let linkage_name = inherited(&entries, offset, |entry| {
                entry.text("linkage_name").or(entry.text("MIPS_linkage_name"))
            });
            assert_eq!(row.linkage_name, linkage_name, "{place}");
            assert_eq!(row.call_file.map(|file| file.0), entry.text("call_file"), "{place}");
            // Compilers write 0 if there is no line.
            let line = entry.number("call_line").filter(|line| *line > 0);
            assert_eq!(row.call_line.map(u64::from), line, "{place}");
            let column = entry.number("call_column").filter(|column| *column > 0);
            assert_eq!(row.call_column.map(u64::from), column, "{place}");
            let file = inherited(&entries, offset, |entry| entry.text("decl_file"));
            assert_eq!(row.declaration_file.map(|file| file.0), file, "{place}");
            let line = inherited(&entries, offset, |entry| entry.number("decl_line"));
            assert_eq!(row.declaration_line.map(u64::from), line, "{place}");
            let parent = entries[&offset].parent.and_then(|parent| function_at(&entries, parent, 1));
            assert_eq!(row.parent_function_index.map(|parent| offsets[&parent]), parent, "{place}");
        }
        let expected: BTreeMap<u64, Vec<(u64, u64)>> = entries
            .iter()
            .filter(|(_, entry)| ["subprogram", "inlined_subroutine"].contains(&entry.tag.as_str()))
            .map(|(offset, entry)| (*offset, entry.ranges(1)))
            .filter(|(_, ranges)| !ranges.is_empty())
            .collect();
        assert!(expected.len() > 1, "{}", path.display());
        assert_eq!(found, expected, "{}", path.display());
    }
}

/// A code range, and the location of a variable in it.
type RangedLocation = (Option<(u64, u64)>, (LocationClass, Option<u64>));

#[test]
fn variables_match_dwarfdump() {
    for path in executables() {
        let Some(entries) = dwarfdump::entries(&path) else { return };
        let debug = debug(&path);
        let (units, types) = (debug.units.columns(), debug.types.columns());
        let at = |unit: u32, offset: u32| units.row(unit as usize).unit_offset + u64::from(offset);
        let mut found: BTreeMap<u64, Vec<RangedLocation>> = BTreeMap::new();
        for row in debug.variables.columns().iter() {
            let offset = at(row.unit_index, row.entry_offset);
            let place = format!("{}, entry {offset:#x}", path.display());
            assert_eq!(row.variable_name, inherited(&entries, offset, |entry| entry.text("name")), "{place}");
            assert_eq!(row.is_parameter, entries[&offset].tag == "formal_parameter", "{place}");
            let of = row.type_index.map(|index| types.row(index as usize));
            let of = of.map(|of| at(of.unit_index, of.entry_offset));
            assert_eq!(of, inherited(&entries, offset, |entry| entry.reference("type")), "{place}");
            let range = row.valid_address.zip(row.valid_size).map(|(start, size)| (start, start + size));
            let value = match row.location_kind {
                LocationClass::Register => row.register_number.map(u64::from),
                LocationClass::Constant => row.constant.map(i64::cast_unsigned),
                _ => row.frame_offset.map(i64::cast_unsigned).or(row.address),
            };
            found.entry(offset).or_default().push((range, (row.location_kind, value)));
        }
        let mut checked = 0;
        for (offset, found) in &found {
            let entry = &entries[offset];
            let expected: Vec<RangedLocation> = match (entry.get("location"), entry.get("const_value")) {
                (Some(list), _) if list.starts_with("0x") || list.starts_with("indexed") => {
                    let listed = dwarfdump::ranges(list).into_iter();
                    let listed = listed.filter(|((start, end), _)| start < end);
                    listed.map(|(range, text)| (Some(range), location(text))).collect()
                }
                (Some(text), _) if !text.is_empty() => vec![(None, location(text))],
                (None, Some(value)) => vec![(None, (LocationClass::Constant, number(value)))],
                _ => vec![],
            };
            let nowhere = vec![(None, (LocationClass::OptimizedOut, None))];
            let expected = if expected.is_empty() { nowhere } else { expected };
            let known: Vec<RangedLocation> = expected
                .into_iter()
                .zip(found)
                // dwarfdump prints values in several formats and omits indexed addresses.
                .map(|(expected, found)| (expected.0, (expected.1.0, expected.1.1.or(found.1.1))))
                .collect();
            assert_eq!(&known, found, "{}, entry {offset:#x}: {:?}", path.display(), entry.get("location"));
            checked += 1;
        }
        let missing = entries.iter().find(|(offset, entry)| {
            let is_variable = ["variable", "formal_parameter"].contains(&entry.tag.as_str());
            let is_reached = function_at(&entries, **offset, 1).is_some();
            is_variable && is_reached && entry.get("location").is_some() && !found.contains_key(offset)
        });
        assert!(missing.is_none(), "{}: {missing:x?}", path.display());
        assert!(checked > 10, "{}", path.display());
    }
}

#[test]
fn types_and_members_match_dwarfdump() {
    for path in executables() {
        let Some(entries) = dwarfdump::entries(&path) else { return };
        let debug = debug(&path);
        let (units, types) = (debug.units.columns(), debug.types.columns());
        let at = |unit: u32, offset: u32| units.row(unit as usize).unit_offset + u64::from(offset);
        let place = |row: u32| {
            let of = types.row(row as usize);
            at(of.unit_index, of.entry_offset)
        };
        for row in types.iter() {
            let offset = at(row.unit_index, row.entry_offset);
            let (entry, place_text) = (&entries[&offset], format!("{}, entry {offset:#x}", path.display()));
            assert_eq!(row.type_name, entry.text("name"), "{place_text}");
            assert_eq!(row.target_type_index.map(place), entry.reference("type"), "{place_text}");
            if let Some(size) = entry.number("byte_size") {
                assert_eq!(row.size, Some(size), "{place_text}");
            }
            assert_eq!(row.encoding.map(|encoding| encoding.0), entry.get("encoding"), "{place_text}");
        }
        let is_type = |entry: &&Entry| entry.tag.ends_with("_type") || entry.tag == "typedef";
        // The index range of an array is part of the array.
        let expected =
            entries.values().filter(is_type).filter(|entry| !entry.tag.contains("subrange")).count();
        assert_eq!(types.len(), expected, "{}", path.display());
        check_members(&path, &entries, &debug, &place);
    }
}

fn check_members(path: &Path, entries: &BTreeMap<u64, Entry>, debug: &Debug, place: &dyn Fn(u32) -> u64) {
    let mut found: BTreeMap<u64, Vec<_>> = BTreeMap::new();
    for row in debug.members.columns().iter().filter(|row| row.kind != MemberKind::Parameter) {
        let value = row.value.filter(|_| row.kind == MemberKind::Enumerator).map(i64::cast_unsigned);
        let offset = row.byte_offset.or(row.bit_offset.map(|bits| bits / 8));
        found.entry(place(row.type_index)).or_default().push((
            row.member_name.map(str::to_owned),
            row.member_type_index.map(place),
            offset,
            row.bit_size,
            value,
        ));
    }
    let mut expected: BTreeMap<u64, Vec<_>> = BTreeMap::new();
    for entry in entries.values() {
        let location = entry.get("data_member_location");
        let location = location.and_then(|text| number(text.split(' ').next_back()?));
        let bit_offset = entry.number("data_bit_offset").map(|bits| bits / 8);
        let place = match entry.tag.as_str() {
            // Before DWARF 4, bit offsets are relative to the storage unit.
            "member" if entry.number("bit_offset").is_some() => {
                let bits = entry.number("byte_size").unwrap_or(0) * 8;
                let bits =
                    bits - entry.number("bit_offset").unwrap_or(0) - entry.number("bit_size").unwrap_or(0);
                location.map(|location| location + bits / 8)
            }
            "member" => Some(location.or(bit_offset).unwrap_or(0)),
            "enumerator" => None,
            _ => continue,
        };
        let mut owner = entry.parent.expect("members have a parent type");
        while !entries[&owner].tag.ends_with("_type") {
            owner = entries[&owner].parent.expect("variants have a parent type");
        }
        expected.entry(owner).or_default().push((
            entry.text("name").map(str::to_owned),
            entry.reference("type"),
            place,
            entry.number("bit_size"),
            entry.number("const_value"),
        ));
    }
    assert_eq!(found, expected, "{}", path.display());
}
