//! `binframe sql`

use crate::{Folder, both};
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_ipc::reader::FileReader;
use arrow_schema::DataType;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

/// Runs each statement of a text, and returns the statements with the output of the command.
fn transcript(folder: &Folder, queries: &str, inputs: &[&str]) -> String {
    let mut text = String::new();
    let mut lines = Vec::new();
    for line in queries.lines() {
        if line.starts_with("--") {
            text.extend([line, "\n\n"]);
            continue;
        }
        lines.push(line);
        if line.ends_with(';') {
            let query = lines.join("\n");
            lines.clear();
            let Output { status, stdout, stderr } = folder
                .command(&["sql", "--allow-files", ".", "-c", &query])
                .args(inputs)
                .output()
                .expect("it starts");
            let (answer, errors) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
            text.extend(["> ", &query, "\n", &answer, &errors]);
            if let Some(code) = status.code().filter(|code| *code != 0) {
                text.extend(["exit code ", &code.to_string(), "\n"]);
            }
            text.push('\n');
        }
    }
    assert!(lines.is_empty(), "every statement ends with a semicolon");
    text
}

#[test]
fn tables_answer() {
    insta::assert_snapshot!(transcript(&both(), include_str!("queries/tables.sql"), &["loops", "stack"]));
}

#[test]
fn functions_answer() {
    insta::assert_snapshot!(transcript(&both(), include_str!("queries/functions.sql"), &["loops", "stack"]));
}

#[test]
fn views_answer() {
    insta::assert_snapshot!(transcript(&both(), include_str!("queries/views.sql"), &["loops", "stack"]));
}

#[test]
fn errors_name_the_position_and_the_next_step() {
    let folder = both();
    fs::write(folder.path().join("garbage"), b"this is no executable").expect("written");
    insta::assert_snapshot!(transcript(&folder, include_str!("queries/mistakes.sql"), &["loops", "stack"]));
}

#[test]
fn answers_do_not_depend_on_threads_or_on_lowering() {
    let folder = both();
    let queries = [
        include_str!("queries/tables.sql"),
        include_str!("queries/functions.sql"),
        include_str!("queries/views.sql"),
    ];
    // Plans depend on the kind of the input.
    let queries = queries.join("\n");
    let queries: Vec<_> = queries.lines().filter(|line| !line.starts_with("EXPLAIN")).collect();
    let queries = queries.join("\n");
    let expected = transcript(&folder, &queries, &["loops", "stack"]);
    for inputs in [
        &["both"] as &[&str],
        &["both", "--jobs", "1"],
        &["both", "--jobs", "7"],
        &["loops", "stack", "--jobs", "1"],
    ] {
        assert_eq!(transcript(&folder, &queries, inputs), expected, "{inputs:?}");
    }
}

#[test]
fn answers_come_in_every_format() {
    let folder = both();
    let query = "SELECT function_name, size, address FROM functions WHERE binary_name = 'loops' ORDER BY size LIMIT 2";
    let mut text = String::new();
    for format in ["table", "csv", "json", "jsonl", "markdown"] {
        for query in [query, "SELECT function_name FROM functions WHERE size = 0"] {
            text.extend([
                "> ",
                format,
                "\n",
                &folder.text(&["sql", query, "both", "--format", format]),
                "\n",
            ]);
        }
    }
    insta::assert_snapshot!(text);
    let names = |batch: &RecordBatch| {
        let names = arrow_cast::cast(batch.column(0), &DataType::Utf8).expect("text");
        names.as_string::<i32>().iter().flatten().map(str::to_owned).collect::<Vec<_>>()
    };
    let parquet = Bytes::from(folder.bytes(&["sql", query, "both", "--format", "parquet"]));
    let mut reader =
        ParquetRecordBatchReaderBuilder::try_new(parquet).expect("Parquet").build().expect("Parquet");
    assert_eq!(names(&reader.next().expect("a batch").expect("readable")), ["exit", "is_odd"]);
    folder.text(&["sql", query, "both", "--format", "arrow", "--output", "answer.arrow"]);
    let file = fs::File::open(folder.path().join("answer.arrow")).expect("written");
    let mut reader = FileReader::try_new(file, None).expect("Arrow");
    assert_eq!(names(&reader.next().expect("a batch").expect("readable")), ["exit", "is_odd"]);
}

#[test]
fn queries_come_from_arguments_files_and_the_standard_input() {
    let folder = both();
    fs::write(folder.path().join("queries.sql"), "SELECT 1 AS one; -- and\nSELECT ';' AS two;\n")
        .expect("written");
    let expected = "one\n  1\ntwo\n;\n";
    assert_eq!(folder.text(&["sql", "-f", "queries.sql", "loops"]), expected);
    assert_eq!(folder.text(&["sql", "-c", "SELECT 1 AS one", "-c", "SELECT ';' AS two", "loops"]), expected);
    assert_eq!(folder.text(&["sql", "SELECT 1 AS one; SELECT ';' AS two"]), expected);
    let mut command = folder.command(&["sql", "loops"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    child.stdin.take().expect("a pipe").write_all(b"SELECT 1 AS one;\nSELECT ';' AS two").expect("it reads");
    assert_eq!(child.wait_with_output().expect("it ends").stdout, expected.as_bytes());
    // A failed query ends the command.
    let output = folder.command(&["sql", "-c", "SELECT x; SELECT 1"]).output().expect("it starts");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
}

/// The passes that ran for a query.
fn passes(folder: &Folder, query: &str) -> Vec<String> {
    let plan = folder.text(&["sql", &format!("EXPLAIN ANALYZE {query}"), "loops", "--format", "csv"]);
    let mut passes: Vec<_> =
        plan.split("ran_").skip(1).filter_map(|rest| rest.split('=').next()).map(str::to_owned).collect();
    passes.sort();
    passes.dedup();
    passes
}

#[test]
fn only_required_passes_run() {
    let (folder, _) = crate::loops();
    assert_eq!(passes(&folder, "SELECT count(*) FROM binary_sections"), ["sections"]);
    let cfg = ["cfg", "code", "exceptions", "instructions", "linkage", "references", "sections"];
    assert_eq!(passes(&folder, "SELECT count(*) FROM functions"), cfg);
    assert_eq!(passes(&folder, "SELECT * FROM basic_blocks LIMIT 10"), cfg);
    assert_eq!(passes(&folder, "SELECT * FROM instructions LIMIT 10"), cfg);
    assert_eq!(
        passes(&folder, "SELECT count(*) FROM instruction_effects"),
        ["code", "instructions", "linkage", "sections"]
    );
    assert_eq!(
        passes(&folder, "SELECT function_name FROM functions WHERE binary_name = 'another'"),
        [] as [&str; 0]
    );
}

/// The number of rows of a table that were computed or read for a condition.
fn rows_read(folder: &Folder, input: &str, condition: &str) -> usize {
    let query = format!("EXPLAIN ANALYZE SELECT count(*) FROM {condition}");
    let plan = folder.text(&["sql", &query, input, "--format", "csv"]);
    let (_, scan) = plan.split_once("TableScan").expect("a table is read");
    let (_, rows) = scan.split_once("output_rows=").expect("rows are counted");
    rows[..rows.find(',').expect("more follows")].parse().expect("a number")
}

#[test]
fn conditions_select_the_rows_that_are_computed() {
    let folder = both();
    let all = rows_read(&folder, "stack", "instructions");
    for input in ["stack", "both"] {
        assert_eq!(rows_read(&folder, input, "instructions WHERE section_index = 2"), 0, "{input}");
        assert_eq!(rows_read(&folder, input, "memory_accesses WHERE function_address = 0x10"), 0, "{input}");
    }
    assert_eq!(rows_read(&folder, "stack", "instructions WHERE 1 = section_index"), all);
    let one = "SELECT count(*) FROM memory_accesses WHERE function_address = 0x401030";
    let found = folder.text(&["sql", one, "stack", "--format", "csv"]);
    let read = rows_read(&folder, "stack", "memory_accesses WHERE function_address = 0x401030");
    assert_eq!(found, format!("count(*)\n{read}\n"));
}

/// In a dataset of two programs, the functions of each are a row group.
#[test]
fn statistics_and_bloom_filters_select_the_rows_that_are_read() {
    let folder = both();
    let read = |condition: &str| rows_read(&folder, "both", condition);
    let count = |table: &str, binary: &str| read(&format!("{table} WHERE binary_name = '{binary}'"));
    let (loops, stack) = (count("functions", "loops"), count("functions", "stack"));
    // Within the bounds of the names of both programs.
    for (condition, expected) in [
        ("function_name = 'clamp'", loops),
        ("function_name = 'multiply'", stack),
        ("function_name IN ('clamp', 'nothing')", loops),
        ("function_name = 'is_no_name'", 0),
        ("function_name > 'sum_numberz'", loops),
        ("size > 109", loops),
        ("block_count BETWEEN 100 AND 200", 0),
        ("evidence = 'gap'", 0),
        ("recursion_group_address > 0", 0),
        ("may_return", loops + stack),
        ("size <> 9", loops + stack),
    ] {
        assert_eq!(read(&format!("functions WHERE {condition}")), expected, "{condition}");
    }
}

#[test]
fn inputs_that_cannot_be_lowered_are_left_out_and_listed() {
    let folder = both();
    fs::write(folder.path().join("garbage"), b"this is no executable").expect("written");
    let arguments = [
        "sql",
        "SELECT binary_name, count(*) AS n FROM functions GROUP BY binary_name",
        "loops",
        "garbage",
        "stack",
    ];
    let output = folder.command(&arguments).output().expect("it starts");
    assert!(output.status.success());
    insta::assert_snapshot!(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()));
    insta::assert_snapshot!(folder.failure(1, &["sql", "SELECT count(*) FROM functions", "garbage"]));
}

#[test]
fn directories_and_patterns_name_executables() {
    let (folder, _) = crate::loops();
    fs::create_dir(folder.path().join("more")).expect("made");
    fs::copy(folder.path().join("loops"), folder.path().join("more/loops")).expect("copied");
    fs::write(folder.path().join("more/readme"), "no executable").expect("written");
    let query = "SELECT binary_name, path FROM binaries";
    assert_eq!(
        folder.text(&["sql", query, "loops", "more", "--format", "csv"]),
        "binary_name,path\nloops,loops\nloops-2,more/loops\n"
    );
    assert_eq!(
        folder.text(&["sql", query, "mo*/l*", "--format", "csv"]),
        "binary_name,path\nloops,more/loops\n"
    );
    assert!(folder.failure(1, &["sql", query, "nothing*"]).contains("nothing*"));
}

#[test]
fn datasets_with_equal_binary_names_get_distinct_names() {
    let folder = both();
    fs::create_dir(folder.path().join("copy")).expect("made");
    folder.text(&["lower", "loops", "-o", "copy/other"]);
    let query = "SELECT DISTINCT binary_name FROM functions WHERE function_name = 'clamp'";
    assert_eq!(
        folder.text(&["sql", query, "both", "copy/other", "--format", "csv"]),
        "binary_name\nloops\nother/loops\n"
    );
    let named = "SELECT count(*) AS n FROM functions WHERE binary_name = 'other/loops'";
    assert_eq!(folder.text(&["sql", named, "both", "copy/other", "--format", "csv"]), "n\n5\n");
}

#[test]
fn damaged_files_of_a_dataset_are_named() {
    let folder = both();
    let part = folder.path().join("both/functions/part-00000.parquet");
    let whole = fs::read(&part).expect("it is there");
    let query = ["sql", "SELECT sum(size), max(function_name) FROM functions", "both"];
    let mut damaged = whole.clone();
    damaged[4..whole.len() / 2].fill(0xff);
    for bytes in [&damaged[..], &whole[..whole.len() - 5], b""] {
        fs::write(&part, bytes).expect("written");
        let message = folder.failure(1, &query);
        assert!(message.contains("part-00000.parquet"), "{message}");
    }
    fs::remove_file(&part).expect("removed");
    assert!(folder.failure(1, &query).contains("part-00000.parquet"));
    folder.text(&["lower", "loops", "-o", "few", "--emit", "sections"]);
    let message = folder.failure(1, &["sql", "SELECT * FROM functions", "few"]);
    assert!(message.contains("has no table functions") && message.contains("--emit cfg"), "{message}");
}

/// A query that takes minutes.
const LONG: &str = "SELECT count(*) FROM instructions a, instructions b, instructions c, instructions d WHERE a.size + b.size = c.size + d.size";

fn interrupt(process: u32) {
    let status = Command::new("kill").args(["-INT", &process.to_string()]).status().expect("kill is there");
    assert!(status.success());
}

#[test]
fn an_interrupted_query_ends_the_command() {
    let folder = both();
    let mut command = folder.command(&["sql", "-c", "SELECT 1 AS one", "-c", LONG, "both"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    // After the first answer, the second query runs.
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    stdout.read_line(&mut line).expect("it answers");
    interrupt(child.id());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "binframe: interrupted\n");
}

#[test]
fn a_closed_pipe_ends_the_query() {
    let folder = both();
    let query = "SELECT a.address FROM instructions a, instructions b, instructions c";
    let mut command = folder.command(&["sql", query, "both", "--format", "csv"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut first = [0; 8];
    child.stdout.take().expect("a pipe").read_exact(&mut first).expect("it answers");
    assert_eq!(&first, b"address\n");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

/// The character of Ctrl-C.
const INTERRUPT: &str = "\x03";

/// Runs the shell in a terminal and returns the screen. Each line is typed after the expected text has appeared.
fn typed(folder: &Folder, terminal: &str, lines: &[(&str, &str)]) -> String {
    let shell = format!("exec '{}' sql both", env!("CARGO_BIN_EXE_binframe"));
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &shell, "/dev/null"]).current_dir(folder.path());
    command
        .env("XDG_STATE_HOME", folder.path())
        .env("TERM", terminal)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().expect("util-linux is there");
    let (mut keys, mut screen) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    let mut seen = Vec::new();
    let mut from = 0;
    for (expected, line) in lines {
        let mut byte = [0];
        while !String::from_utf8_lossy(&seen[from..]).contains(expected) {
            assert_eq!(
                screen.read(&mut byte).expect("readable"),
                1,
                "waiting for {expected}: {}",
                String::from_utf8_lossy(&seen)
            );
            seen.push(byte[0]);
        }
        from = seen.len();
        if *line == INTERRUPT {
            // Wait until the query runs.
            thread::sleep(Duration::from_secs(1));
        }
        keys.write_all(line.as_bytes()).expect("it reads");
    }
    screen.read_to_end(&mut seen).expect("readable");
    let status = child.wait().expect("it ends");
    let screen = String::from_utf8_lossy(&seen).replace('\r', "");
    assert!(status.success(), "{status}: {screen}");
    screen
}

#[test]
fn the_shell_survives_errors_and_interrupts() {
    let folder = both();
    let view = format!("CREATE VIEW long AS {LONG};\n");
    let screen = typed(
        &folder,
        "xterm",
        &[
            ("binframe> ", "SELECT function_nam FROM functions;\n"),
            ("there is no column", ""),
            ("binframe> ", ".timer on\n"),
            ("binframe> ", ".mode csv\n"),
            ("binframe> ", ".nothing\n"),
            (
                "binframe> ",
                "SELECT function_name\nFROM functions WHERE size = 9\nORDER BY binary_name LIMIT 1;\n",
            ),
            ("1 row in", ""),
            ("binframe> ", &view),
            ("row", ""),
            ("binframe> ", "SELECT * FROM long;\n"),
            ("FROM long;", INTERRUPT),
            ("interrupted", ""),
            ("binframe> ", "SELECT 20 + 22 AS answer;\n"),
            ("42", ""),
            ("binframe> ", "\x04"),
        ],
    );
    assert!(screen.contains("did you mean `function_name`?"), "{screen}");
    assert!(screen.contains("there is no command `.nothing`"), "{screen}");
    let history = fs::read_to_string(folder.path().join("binframe/history")).expect("it is kept");
    assert!(history.contains("SELECT 20 + 22 AS answer;"), "{history}");
}

#[test]
fn the_shell_lists_commands_tables_functions_and_inputs() {
    let folder = both();
    let commands = [".help", ".tables", ".functions", ".schema loops", ".schema largest_frames", ".inputs"];
    let mut lines: Vec<_> = commands.iter().map(|command| format!("{command}\n")).collect();
    lines.push("\x04".to_owned());
    let typed_lines: Vec<_> = lines.iter().map(|line| ("binframe> ", line.as_str())).collect();
    insta::assert_snapshot!(typed(&folder, "dumb", &typed_lines));
}

#[test]
fn the_page_on_sql_describes_every_view_function_and_command() {
    let page = include_str!("../../../docs/SQL.md");
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let folder = Folder::with(&[]);
    let of = |command| folder.text(&["sql", "-c", command]);
    let lines = of(".functions") + &of(".help");
    for line in lines.lines().filter(|line| line.contains("  ")) {
        assert!(page.contains(&format!("\n    {line}\n")), "docs/SQL.md has no line `    {line}`");
    }
    let page = words(page);
    let tables = of(".tables");
    let (_, views) = tables.split_once("Views:\n").expect("views follow the tables");
    for (name, doc) in views.lines().filter_map(|line| line.split_once(' ')) {
        let text = format!("**{name}**: {}", words(doc));
        assert!(page.contains(&text), "docs/SQL.md does not contain `{text}`");
    }
}
