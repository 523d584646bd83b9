//! `binframe dump cfg`

use crate::{Folder, both, loops};
use binframe_testsuite::executable::{Options, from_clif_with};
use binframe_testsuite::fixtures::{self, LOOPS_AND_CALLS};
use std::collections::BTreeSet;

/// Parses a graph in the form in which `binframe` writes DOT, and returns its nodes and edges.
fn parsed(dot: &str) -> (BTreeSet<String>, Vec<(String, String)>) {
    let lines: Vec<_> = dot.lines().collect();
    assert_eq!((lines[0], lines[lines.len() - 1]), ("digraph cfg {", "}"));
    let (mut nodes, mut edges) = (BTreeSet::new(), Vec::new());
    for line in &lines[4..lines.len() - 1] {
        let (head, attributes) = line.trim().split_once(" [").unwrap_or_else(|| panic!("{line}"));
        assert_eq!(
            outside_of_quotes(attributes).matches(['[', ']', ';']).collect::<Vec<_>>(),
            ["]", ";"],
            "{line}"
        );
        match head.split_once(" -> ") {
            Some((source, target)) => edges.push((source.to_owned(), target.to_owned())),
            None => assert!(nodes.insert(head.to_owned()), "{line}"),
        }
    }
    let ends = edges.iter().flat_map(|(source, target)| [source, target]);
    ends.for_each(|end| assert!(nodes.contains(end), "{end} is not a node of {dot}"));
    (nodes, edges)
}

/// The attributes without the text between quotation marks.
fn outside_of_quotes(attributes: &str) -> String {
    let (mut outside, mut is_inside) = (String::new(), false);
    let mut letters = attributes.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if is_inside => assert!(matches!(letters.next(), Some('\\' | '"' | 'l')), "{attributes}"),
            '"' => is_inside = !is_inside,
            letter if !is_inside => outside.push(letter),
            _ => {}
        }
    }
    assert!(!is_inside, "{attributes}");
    outside
}

#[test]
fn a_graph_has_the_blocks_and_edges_of_the_compiler() {
    for (name, executable) in
        [("loops", fixtures::loops_and_calls()), ("stack", fixtures::stack_and_globals())]
    {
        let folder = Folder::with(&[(name, &executable.bytes)]);
        folder.text(&["lower", name, "-o", "dataset"]);
        for function in &executable.functions {
            let of = |source, by: &str| folder.text(&["dump", "cfg", source, "--function", by]);
            let dot = of(name, &function.name);
            let (nodes, edges) = parsed(&dot);
            let block = |address: &u64| format!("block_{address:x}");
            for start in &function.block_starts {
                assert!(nodes.contains(&block(start)), "{start:#x} of {dot}");
            }
            for (source, target) in &function.edges {
                assert!(
                    edges.contains(&(block(source), block(target))),
                    "{source:#x} to {target:#x} of {dot}"
                );
            }
            assert_eq!(dot, of(name, &format!("{:#x}", function.address)));
            assert_eq!(
                dot.replace(" in loops", "").replace(" in stack", ""),
                of("dataset", &function.name).replace(" in loops", "").replace(" in stack", "")
            );
            let svg = folder.text(&["dump", "cfg", name, "--function", &function.name, "--format", "svg"]);
            assert_eq!(svg.matches("<rect ").count(), nodes.len() + 1, "{svg}");
            assert_eq!(
                svg.matches("<path d=").count(),
                edges.len() + svg.matches("<marker ").count(),
                "{svg}"
            );
        }
    }
}

#[test]
fn a_loop_is_drawn() {
    let (folder, _) = loops();
    insta::assert_snapshot!("dot", folder.text(&["dump", "cfg", "loops", "--function", "sum_of_odd"]));
    let svg = ["dump", "cfg", "loops", "--function", "sum_of_odd", "--format", "svg", "--output", "sum.svg"];
    assert_eq!(folder.text(&svg), "");
    insta::assert_snapshot!("svg", std::fs::read_to_string(folder.path().join("sum.svg")).expect("written"));
}

/// A name in a file can contain any byte but zero.
#[test]
fn odd_names_are_escaped() {
    let mut bytes = fixtures::loops_and_calls().bytes;
    let name = b"sum_of_odd\0";
    let starts: Vec<_> = (0..bytes.len() - name.len()).filter(|at| bytes[*at..].starts_with(name)).collect();
    for start in starts {
        bytes[start..start + name.len()].copy_from_slice(b"a\"]{\\\n<&l>\0");
    }
    let folder = Folder::with(&[("odd", &bytes)]);
    let text = folder.text(&["dump", "cfg", "odd", "--function", "a\"]{\\\n<&l>"]);
    assert!(text.contains(r#"label="a\"]{\\\\n<&amp;l>, "#), "{text}");
    parsed(&text);
    parsed(&folder.text(&["dump", "cfg", "odd", "--function", "_start"]));
}

#[test]
fn without_the_table_instructions_a_block_shows_their_number() {
    let (folder, _) = loops();
    folder.text(&["lower", "loops", "-o", "some", "--emit", "cfg"]);
    let text = folder.text(&["dump", "cfg", "some", "--function", "clamp"]);
    assert!(text.contains(r"(entry)\l5 instructions\l"), "{text}");
    parsed(&text);
}

#[test]
fn exactly_one_function_must_match() {
    let folder = both();
    let of = |arguments: &[&str]| folder.failure(1, &[&["dump", "cfg"], arguments].concat());
    let several = of(&["both", "--function", "_start"]);
    let expected = "binframe: `_start` is 2 functions: 0x401000 in loops, 0x401000 in stack; \
                    choose one by --function ADDRESS and --binary NAME\n";
    assert_eq!(several, expected);
    let one = ["dump", "cfg", "both", "--function", "0x401000", "--binary", "stack"];
    assert!(folder.text(&one).contains("_start, 0x401000 in stack"));
    assert!(of(&["loops", "--function", "clmap"]).contains("similar names: clamp"));
    assert!(
        of(&["loops", "--function", "0x10"]).contains("no function has code at 0x10; `binframe trace 0x10`")
    );
    assert!(
        of(&["both", "--function", "clamp", "--binary", "stack"]).contains("stack: has no function `clamp`")
    );
    assert!(of(&["both", "--function", "clamp", "--binary", "none"]).contains("has no input `none`"));
    folder.text(&["lower", "loops", "-o", "some", "--emit", "sections"]);
    assert!(
        of(&["some", "--function", "clamp"])
            .contains("has no table functions; lower the file again with --emit cfg")
    );
}

#[test]
fn rows_are_filtered_by_input() {
    let folder = both();
    let of = |table, source, rest: &[&str]| {
        folder.text(&[&["dump", table, source, "--format", "jsonl"], rest].concat())
    };
    let only = of("functions", "both", &["--binary", "stack"]);
    assert_eq!(only.lines().count(), of("functions", "stack", &[]).lines().count());
    assert!(only.lines().all(|line| line.ends_with("\"binary_name\":\"stack\"}")), "{only}");
    let by_address = of("basic_blocks", "loops", &["--function", "0x4010b1"]);
    assert_eq!(by_address, of("basic_blocks", "loops", &["--function", "clamp"]));
}

#[test]
fn arguments_that_contradict_a_graph_are_rejected() {
    let folder = Folder::with(&[("app", &from_clif_with(LOOPS_AND_CALLS, &Options::default()).bytes)]);
    for (arguments, expected) in [
        (&["cfg", "app"] as &[_], "add --function NAME or --function ADDRESS"),
        (
            &["cfg", "app", "--function", "clamp", "--format", "csv"],
            "dump its tables, basic_blocks and cfg_edges",
        ),
        (&["cfg", "app", "--function", "clamp", "--limit", "3"], "work with tables, not with cfg"),
        (
            &["functions", "app", "--format", "dot"],
            "functions is a table, not a graph; `binframe dump cfg` draws",
        ),
        (
            &["functions", "app", "--format", "svg"],
            "functions is a table, not a graph; `binframe dump cfg` draws",
        ),
    ] {
        let stderr = folder.failure(2, &[&["dump"], arguments].concat());
        assert!(stderr.contains(expected), "{arguments:?}\n{stderr}");
    }
}
