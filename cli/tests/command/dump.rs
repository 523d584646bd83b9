//! `binframe dump`

use crate::{EVERY_STAGE, Folder, both, loops};
use binframe::ir::parquet::TableReader;
use binframe::ir::{file_tables, table_named};
use binframe_testsuite::hostile_code;
use serde_json::Value;

/// The rows that `dump` prints as JSON lines.
fn json(folder: &Folder, arguments: &[&str]) -> Vec<Value> {
    let arguments: Vec<_> = ["dump"].iter().chain(arguments).chain(&["--format", "jsonl"]).copied().collect();
    let text = folder.text(&arguments);
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON object on each line")).collect()
}

fn number(row: &Value, column: &str) -> u64 {
    row[column].as_u64().unwrap_or_else(|| panic!("{column} in {row}"))
}

#[test]
fn functions_match_the_compiler() {
    let (folder, executable) = loops();
    let rows = json(&folder, &["functions", "loops"]);
    let found = rows
        .iter()
        .map(|row| (row["function_name"].as_str().unwrap(), number(row, "address"), number(row, "size")));
    let found: Vec<_> = found.collect();
    let known = executable.functions.iter();
    let known: Vec<_> = known.map(|known| (known.name.as_str(), known.address, known.size)).collect();
    assert_eq!(found, known);
}

#[test]
fn tables_are_aligned() {
    let (folder, _) = loops();
    insta::assert_snapshot!("functions", folder.text(&["dump", "functions", "loops"]));
    insta::assert_snapshot!("sections", folder.text(&["dump", "binary_sections", "loops"]));
    let columns = "address,bytes,mnemonic,flow,target_address,op0_register,op1_register,immediate";
    let arguments = ["dump", "instructions", "loops", "--function", "clamp", "--columns", columns];
    insta::assert_snapshot!("instructions_of_clamp", folder.text(&arguments));
}

#[test]
fn the_number_of_rows_is_the_same_in_every_format() {
    let folder = both();
    folder.text(&["lower", "loops", "stack", "-o", "both", "--emit", EVERY_STAGE]);
    for table in file_tables() {
        for source in ["stack", "both"] {
            let rows = json(&folder, &[table.name, source]).len();
            let lines =
                |format| folder.text(&["dump", table.name, source, "--format", format]).lines().count();
            assert_eq!(lines("csv"), rows + 1, "{} of {source}", table.name);
            assert_eq!(lines("table"), rows + 1, "{} of {source}", table.name);
            let file = bytes::Bytes::from(folder.bytes(&["dump", table.name, source, "--format", "parquet"]));
            let reader = TableReader::open(table, file).expect("a file of the table");
            let groups = 0..reader.row_groups();
            let read = groups.map(|group| reader.read(group).expect("readable").rows()).sum::<usize>();
            assert_eq!(read, rows, "{} of {source}", table.name);
        }
    }
}

#[test]
fn parquet_and_json_have_equal_values() {
    let (folder, _) = loops();
    folder.text(&["dump", "functions", "loops", "--format", "parquet", "--output", "functions.parquet"]);
    let file = std::fs::read(folder.path().join("functions.parquet")).expect("it was written");
    let functions = table_named("functions").expect("it is there");
    let reader = TableReader::open(functions, bytes::Bytes::from(file)).expect("a file of the table");
    assert_eq!(reader.row_group_binary(0).expect("one input"), "loops");
    let addresses: Vec<_> = binframe::ir::integers(reader.read(0).expect("readable").column("address"))
        .map(|address| address.expect("not null"))
        .collect();
    let rows = json(&folder, &["functions", "loops"]);
    assert_eq!(addresses, rows.iter().map(|row| number(row, "address")).collect::<Vec<_>>());
}

/// The output can even be the executable that is read.
#[test]
fn the_output_file_is_replaced_when_it_is_complete() {
    let (folder, _) = loops();
    let expected = folder.text(&["dump", "instructions", "loops", "--format", "csv"]);
    folder.text(&["dump", "instructions", "loops", "--format", "csv", "--output", "loops"]);
    assert_eq!(std::fs::read_to_string(folder.path().join("loops")).expect("it is there"), expected);
    assert_eq!(folder.names(), ["loops"]);
    let stderr = folder.failure(1, &["dump", "functions", "loops", "--output", "out.csv"]);
    assert!(stderr.starts_with("binframe: loops: "), "{stderr}");
    assert_eq!(folder.names(), ["loops"]);
}

#[test]
fn a_device_is_written_directly() {
    let (folder, _) = loops();
    let text = folder.text(&["dump", "functions", "loops", "--output", "/dev/stdout"]);
    assert_eq!(text, folder.text(&["dump", "functions", "loops"]));
}

#[test]
fn a_row_of_a_dataset_is_the_row_of_the_executable_and_its_name() {
    let folder = both();
    folder.text(&["lower", "loops", "stack", "-o", "both", "--emit", EVERY_STAGE]);
    for table in file_tables() {
        let mut expected = Vec::new();
        for binary in ["loops", "stack"] {
            for mut row in json(&folder, &[table.name, binary]) {
                row["binary_name"] = binary.into();
                expected.push(row);
            }
        }
        assert_eq!(json(&folder, &[table.name, "both"]), expected, "{}", table.name);
    }
}

#[test]
fn rows_are_filtered_by_the_addresses_that_they_cover() {
    let (folder, executable) = loops();
    let sum =
        executable.functions.iter().find(|function| function.name == "sum_of_odd").expect("it is there");
    let [first, second, third, ..] = sum.block_starts[..] else { panic!("it has more blocks") };
    let starts = |table: &str, addresses: String| -> Vec<u64> {
        let rows = json(&folder, &[table, "loops", "--where-address", &addresses]);
        rows.iter()
            .map(|row| number(row, if table == "cfg_edges" { "source_address" } else { "address" }))
            .collect()
    };
    // A single address, the last byte of a block, in hexadecimal and in decimal.
    assert_eq!(starts("basic_blocks", format!("{:#x}", second - 1)), [first]);
    assert_eq!(starts("basic_blocks", (second - 1).to_string()), [first]);
    // The end of a range is excluded.
    assert_eq!(starts("basic_blocks", format!("{first:#x}..{third:#x}")), [first, second]);
    assert_eq!(starts("basic_blocks", format!("{}..{}", second - 1, second + 1)), [first, second]);
    // A function that starts before the range overlaps it.
    assert_eq!(starts("functions", format!("{second:#x}..{third:#x}")), [sum.address]);
    // Rows that cover no addresses are selected by their first address.
    let edges = starts("cfg_edges", format!("{second:#x}..{third:#x}"));
    assert_eq!(edges.len(), sum.edges.iter().filter(|edge| edge.0 == second).count());
    assert!(edges.iter().all(|source| *source == second));
}

#[test]
fn sections_that_are_not_loaded_have_no_address() {
    let (folder, _) = loops();
    let sections = json(&folder, &["binary_sections", "loops"]);
    assert!(sections.iter().any(|row| row["section_name"] == ".symtab" && row["address"] == 0));
    assert_eq!(
        json(&folder, &["binary_sections", "loops", "--where-address", "0..0x1000"]),
        [] as [Value; 0]
    );
}

#[test]
fn instructions_of_a_function_cover_it() {
    let (folder, executable) = loops();
    for function in &executable.functions {
        let mut next = function.address;
        for row in json(&folder, &["instructions", "loops", "--function", &function.name]) {
            assert_eq!(number(&row, "address"), next);
            next += number(&row, "size");
        }
        assert_eq!(next, function.address + function.size, "{}", function.name);
    }
}

#[test]
fn the_rows_of_a_function_include_its_fragments() {
    // A function declared by a symbol: `je` to code that is not reached otherwise; `ret`. That code: `ret`.
    let mut bytes = vec![0x0f, 0x84, 10, 0, 0, 0, 0xc3];
    bytes.resize(16, 0xcc);
    bytes.push(0xc3);
    let mut file = hostile_code::code(&bytes);
    let symbol = (hostile_code::TEXT_ADDRESS, 7);
    file.replace_section(hostile_code::SYMTAB, &hostile_code::symbols([symbol].into_iter()));
    let folder = Folder::with(&[("parts", &file.0)]);
    let address = symbol.0.to_string();
    let rows = json(&folder, &["instructions", "parts", "--function", &address]);
    let found: Vec<_> = rows.iter().map(|row| number(row, "address") - symbol.0).collect();
    assert_eq!(found, [0, 6, 16]);
}

#[test]
fn a_function_of_one_input_selects_no_row_of_another() {
    let folder = both();
    for table in ["functions", "instructions", "basic_blocks", "stack_frames", "memory_accesses"] {
        let rows = json(&folder, &[table, "both", "--function", "multiply"]);
        let alone = json(&folder, &[table, "stack", "--function", "multiply"]);
        assert_eq!(rows.len(), alone.len(), "{table}");
        assert!(rows.iter().all(|row| row["binary_name"] == "stack"), "{table}");
    }
    // Both inputs have a function of this name; inputs keep their order.
    folder.text(&["lower", "stack", "loops", "-o", "reversed"]);
    for (dataset, binaries) in [("both", ["loops", "stack"]), ("reversed", ["stack", "loops"])] {
        let rows = json(&folder, &["functions", dataset, "--function", "_start"]);
        let found: Vec<_> = rows.iter().map(|row| row["binary_name"].as_str().unwrap()).collect();
        assert_eq!(found, binaries);
    }
}

#[test]
fn a_function_and_an_address_range_are_intersected() {
    let (folder, executable) = loops();
    let clamp = executable.functions.iter().find(|function| function.name == "clamp").expect("it is there");
    let chosen = |addresses: &str| {
        let arguments = ["instructions", "loops", "--function", "clamp", "--where-address", addresses];
        json(&folder, &arguments).iter().map(|row| number(row, "address")).collect::<Vec<_>>()
    };
    assert_eq!(chosen(&clamp.address.to_string()), [clamp.address]);
    assert_eq!(chosen(&executable.functions[0].address.to_string()), [] as [u64; 0]);
}

#[test]
fn a_limit_keeps_the_first_rows() {
    let folder = both();
    for source in ["stack", "both"] {
        let all = json(&folder, &["instructions", source]);
        for limit in [0, 1, 3, all.len(), all.len() + 1] {
            let limited = json(&folder, &["instructions", source, "--limit", &limit.to_string()]);
            assert_eq!(limited, all[..limit.min(all.len())], "{limit} of {source}");
        }
    }
}

#[test]
fn only_named_columns_are_printed() {
    let (folder, _) = loops();
    let rows = json(&folder, &["functions", "loops", "--columns", "address,size,end_address"]);
    assert!(
        rows.iter().all(|row| number(row, "end_address") == number(row, "address") + number(row, "size"))
    );
    assert!(rows.iter().all(|row| row.as_object().unwrap().len() == 3));
}

#[test]
fn json_has_every_column_of_every_row() {
    let (folder, _) = loops();
    let arguments = ["dump", "cfg_edges", "loops", "--columns", "target_address,kind", "--format", "json"];
    let rows: Vec<Value> = serde_json::from_str(&folder.text(&arguments)).expect("a JSON array");
    assert!(rows.iter().all(|row| row.as_object().expect("an object").len() == 2));
    assert!(rows.iter().any(|row| row["target_address"].is_null() && row["kind"] == "return"));
    let lines = json(&folder, &["cfg_edges", "loops", "--columns", "target_address,kind"]);
    assert_eq!(lines, rows);
}

#[test]
fn without_rows_the_header_is_printed() {
    let (folder, _) = loops();
    let dump = |format| {
        let arguments =
            ["dump", "binary_unwind_entries", "loops", "--where-address", "1", "--format", format];
        folder.text(&arguments)
    };
    assert!(dump("table").starts_with("address  size  unwind_kind  ") && dump("table").lines().count() == 1);
    assert!(dump("csv").starts_with("address,size,unwind_kind,") && dump("csv").lines().count() == 1);
    assert_eq!(dump("jsonl"), "");
    assert_eq!(dump("json"), "[]\n");
}
