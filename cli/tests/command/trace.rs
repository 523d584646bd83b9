//! `binframe trace`

use crate::{both, loops};

#[test]
fn rows_about_an_address_come_stage_by_stage() {
    let (folder, executable) = loops();
    let clamp = executable.functions.iter().find(|function| function.name == "clamp").expect("it is there");
    let text = folder.text(&["trace", &format!("{:#x}", clamp.address), "loops"]);
    insta::assert_snapshot!(text);
}

#[test]
fn a_variable_is_traced_to_the_instructions_that_access_it() {
    let folder = both();
    let symbols = folder.text(&[
        "dump",
        "binary_symbols",
        "stack",
        "--format",
        "csv",
        "--columns",
        "symbol_name,symbol_address",
    ]);
    let counter = symbols.lines().find_map(|line| line.strip_prefix("counter,")).expect("it is there");
    insta::assert_snapshot!(folder.text(&["trace", counter, "stack"]));
}

#[test]
fn the_trace_of_a_dataset_is_that_of_its_inputs() {
    let folder = both();
    let of = |source| folder.text(&["trace", "0x401004", source]);
    assert_eq!(of("both"), format!("{}\n{}", of("loops"), of("stack")));
}

#[test]
fn rows_beyond_the_limit_are_counted() {
    let (folder, executable) = loops();
    // The loop header: it has two incoming edges, one from before the loop and one back edge.
    let sum =
        executable.functions.iter().find(|function| function.name == "sum_of_odd").expect("it is there");
    let entries = |block: &u64| sum.edges.iter().filter(|edge| edge.1 == *block).count();
    let head = sum.block_starts.iter().find(|block| entries(block) == 2).expect("it has a loop");
    let rows_of_edges = |limit: &str| -> Vec<String> {
        let text = folder.text(&["trace", &head.to_string(), "loops", "--limit", limit]);
        let lines = text.lines().skip_while(|line| !line.starts_with("  cfg_edges, ")).skip(2);
        lines.take_while(|line| line.starts_with("    ")).map(str::to_owned).collect()
    };
    let all = rows_of_edges("10");
    let more = format!("    … {} more", all.len() - 1);
    assert_eq!(rows_of_edges("1"), [all[0].clone(), more]);
}

#[test]
fn an_address_without_rows_is_a_failure() {
    let (folder, _) = loops();
    let stderr = folder.failure(1, &["trace", "0x10", "loops"]);
    assert_eq!(
        stderr,
        "binframe: loops: no row contains or covers 0x10; `binframe dump binary_sections loops` lists the addresses\n"
    );
}

/// The paragraph before the rows.
fn explained(folder: &crate::Folder, address: u64, source: &str) -> String {
    let text = folder.text(&["trace", &address.to_string(), source]);
    let lines = text.lines().skip(2).take_while(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ")
}

#[test]
fn addresses_are_explained() {
    let (folder, executable) = loops();
    let mut text = String::new();
    let sum =
        executable.functions.iter().find(|function| function.name == "sum_of_odd").expect("it is there");
    // Block starts, an address inside an instruction, and the ends of functions, which padding follows.
    let ends = executable.functions.iter().map(|function| function.address + function.size);
    let calls = 0x40_1000 + 9;
    for address in sum.block_starts.iter().copied().chain([calls, calls + 1]).chain(ends.take(2)) {
        text += &explained(&folder, address, "loops");
        text.push('\n');
    }
    insta::assert_snapshot!(text);
}

#[test]
fn missing_stages_are_not_explained() {
    let (folder, _) = loops();
    folder.text(&["lower", "loops", "-o", "some", "--emit", "sections"]);
    assert!(
        explained(&folder, 0x40_1000, "some")
            .starts_with("0x401000 lies in .text (r-x), 0 bytes from its start.")
    );
}
