//! Errors that all commands report in the same way.

use crate::{Folder, both, loops};
use binframe::ir::SCHEMA_VERSION;
use binframe_testsuite::{fixtures, objects};
use std::process::Stdio;

/// Files that cannot be lowered, each with the expected reason.
fn bad_files() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let good = fixtures::loops_and_calls().bytes;
    let mut odd = good.clone();
    odd[4] = 7;
    vec![
        ("empty", Vec::new(), "an empty file at offset 0x0"),
        ("notes.txt", b"some notes".to_vec(), "at offset 0x0; expected an ELF, PE, COFF or Mach-O file"),
        ("truncated", good[..40].to_vec(), "beyond the end of the file (40 bytes) at offset 0x28"),
        ("odd", odd, "the unknown ELF class 7 at offset 0x4"),
        ("app.exe", b"MZ\x90\x00\x03".to_vec(), "a DOS executable, or a PE file cut short at offset 0x0"),
        ("app.macho", b"\xcf\xfa\xed\xfe\x07".to_vec(), "the bytes [cf, fa, ed, fe] at offset 0x0"),
    ]
}

#[test]
fn a_bad_file_is_reported_in_one_line_and_nothing_is_written() {
    for (name, bytes, reason) in bad_files() {
        let folder = Folder::with(&[(name, &bytes)]);
        let address = "0x1000";
        for arguments in [
            &["lower", name, "-o", "out"] as &[_],
            &["dump", "functions", name],
            &["dump", "functions", name, "--output", "out"],
            &["trace", address, name],
            &["diff", name, name],
        ] {
            let stderr = folder.failure(1, arguments);
            assert!(stderr.starts_with(&format!("binframe: {name}: ")), "{stderr}");
            assert!(stderr.contains(reason), "{stderr}");
            assert_eq!(stderr.lines().count(), 1, "{stderr}");
            assert_eq!(folder.names(), [name], "{arguments:?}");
        }
    }
}

#[test]
fn a_missing_file_is_reported_in_one_line_and_nothing_is_written() {
    let folder = Folder::with(&[]);
    std::fs::create_dir(folder.path().join("folder")).expect("made");
    for (arguments, expected) in [
        (&["lower", "absent", "-o", "out"] as &[_], "absent: cannot open: No such file or directory"),
        (&["lower", "folder", "-o", "out"], "folder: holds no executable; name an executable"),
        (&["dump", "functions", "absent"], "absent: cannot open: No such file or directory"),
        (&["dump", "functions", "folder"], "folder: _binframe/manifest.json is missing; expected a dataset"),
        (&["trace", "0x1000", "absent"], "absent: cannot open: No such file or directory"),
        (&["diff", "absent", "absent"], "absent: cannot open: No such file or directory"),
    ] {
        let stderr = folder.failure(1, arguments);
        assert!(stderr.starts_with(&format!("binframe: {expected}")), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert_eq!(folder.names(), ["folder"]);
    }
}

#[test]
fn wrong_usage_is_reported_before_files_are_read() {
    let folder = Folder::with(&[]);
    for (arguments, expected) in [
        (&[] as &[_], "Usage: binframe <COMMAND>"),
        (&["dump", "function", "absent"], "a similar value exists: 'functions'"),
        (&["schemas", "instruction"], "a similar value exists: 'instructions'"),
        (&["dump", "functions", "absent", "--where-address", "main"], "expected an address such as 0x401000"),
        (&["dump", "functions", "absent", "--where-address", "9..9"], "expected A..B with A less than B"),
        (&["trace", "main", "absent"], "expected an address such as 0x401000"),
        (&["dump", "binaries", "absent", "--where-address", "1"], "binframe: binaries has no addresses"),
        (&["dump", "binaries", "absent", "--function", "main"], "binframe: binaries has no addresses"),
        (
            &["dump", "functions", "absent", "--columns", "adress"],
            "functions has no column `adress`; it has address, size",
        ),
        (
            &["dump", "functions", "absent", "--columns", "size", "--format", "parquet"],
            "--columns works with the formats table, csv and json",
        ),
        (&["lower", "absent"], "--output <DIR>"),
        (
            &["lower", "absent", "-o", "out", "--emit", "code"],
            "[possible values: sections, debug, instructions, effects, ops, cfg, memory, data_flow]",
        ),
        (&["lower", "absent", "-o", "out", "--jobs", "0"], "--jobs"),
    ] {
        let stderr = folder.failure(2, arguments);
        assert!(stderr.contains(expected), "{arguments:?}\n{stderr}");
    }
}

#[test]
fn an_unknown_function_is_reported_with_similar_names() {
    let (folder, _) = loops();
    let of = |name| folder.failure(1, &["dump", "functions", "loops", "--function", name]);
    assert_eq!(of("odd"), "binframe: no function is named `odd`; similar names: is_odd, sum_of_odd\n");
    assert_eq!(of("clmap"), "binframe: no function is named `clmap`; similar names: clamp\n");
    assert_eq!(
        of("quicksort"),
        "binframe: no function is named `quicksort`; `binframe dump functions` lists them\n"
    );
}

#[test]
fn a_table_of_a_missing_stage_is_reported() {
    let (folder, _) = loops();
    folder.text(&["lower", "loops", "-o", "some", "--emit", "sections"]);
    let stderr = folder.failure(1, &["dump", "functions", "some"]);
    let expected = "binframe: some: has no table functions; lower the file again with --emit cfg\n";
    assert_eq!(stderr, expected);
    let stderr = folder.failure(1, &["dump", "binary_symbols", "some", "--function", "clamp"]);
    assert_eq!(stderr, expected);
}

/// `head` closes the pipe before it has read all output.
#[test]
fn a_closed_pipe_is_not_a_failure() {
    let folder = both();
    for arguments in [
        &["dump", "instructions", "both"] as &[_],
        &["dump", "instructions", "loops", "--format", "csv"],
        &["dump", "instructions", "loops", "--format", "json"],
        &["dump", "instructions", "loops", "--format", "parquet"],
        &["trace", "0x401000", "loops"],
        &["diff", "loops", "stack"],
        &["schemas"],
    ] {
        let mut command = folder.command(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
        assert!(output.status.success(), "{arguments:?}: {}", output.status);
    }
}

/// A name with an escape sequence that sets the title of a terminal, and letters in reverse order.
const HOSTILE_NAME: &str = "\u{1b}]0;pwned\u{7}\u{202e}";

/// What a command prints, wherever, whether it succeeds or not.
fn output(folder: &Folder, arguments: &[&str]) -> String {
    let output = folder.command(arguments).output().expect("the command is built");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn names_in_messages_are_escaped() {
    let loops = fixtures::loops_and_calls().bytes;
    let hostile = objects::archive(&[(&format!("{HOSTILE_NAME}.o"), &loops)]);
    let folder = Folder::with(&[("hostile.a", &hostile), ("loops", &loops), (HOSTILE_NAME, b"text")]);
    folder.text(&["lower", "hostile.a", "-o", "tables", "--emit", "sections"]);
    let outputs = [
        output(&folder, &["trace", "0x401030", "hostile.a"]),
        output(&folder, &["diff", "hostile.a", "loops"]),
        output(&folder, &["dump", "functions", "hostile.a", "--function", "sum"]),
        output(&folder, &["dump", "functions", HOSTILE_NAME]),
        output(&folder, &["lower", "loops", HOSTILE_NAME, "-o", "out", "--emit", "sections"]),
        output(&folder, &["rebuild", "tables", "--binary", "other", "-o", "rebuilt"]),
        #[cfg(feature = "sql")]
        output(&folder, &["sql", "SELECT count(*) FROM functions", "loops", HOSTILE_NAME]),
    ];
    let mut shown = 0;
    for text in outputs {
        assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text:?}");
        shown += usize::from(text.contains("pwned"));
    }
    assert!(shown >= 3, "the names are shown in {shown} outputs only");
}

#[test]
#[cfg(feature = "sql")]
fn queries_open_no_files_and_lift_no_limits() {
    let (folder, _) = loops();
    for (query, expected) in [
        ("CREATE EXTERNAL TABLE t (l VARCHAR) STORED AS CSV LOCATION '/etc/passwd'", "cannot open files"),
        (
            "EXPLAIN CREATE EXTERNAL TABLE t (l VARCHAR) STORED AS CSV LOCATION '/etc/passwd'",
            "cannot open files",
        ),
        ("SET datafusion.runtime.memory_limit = '100G'", "such as --memory and --jobs"),
        ("SET DATAFUSION.runtime.temp_directory = '/tmp/a'", "such as --memory and --jobs"),
        ("RESET datafusion.runtime.memory_limit", "such as --memory and --jobs"),
        ("SET datafusion.execution.batch_size = 1000000000", "such as --memory and --jobs"),
        ("SET datafusion.optimizer.repartition_joins = true", "such as --memory and --jobs"),
        ("CREATE DATABASE d", "CreateCatalog is not supported"),
        ("PREPARE p AS CREATE SCHEMA s", "not supported"),
        ("COPY (SELECT 1) TO 'out.csv'", "DML not supported"),
        ("SELECT repeat('x', 2000000000)", "'repeat'"),
        (&format!("SELECT {}1", "1 + ".repeat(20_000)), "at most 1000 are allowed"),
        (&vec!["SELECT 1"; 3000].join(" UNION ALL "), "at most 1000 are allowed"),
    ] {
        let message = folder.failure(1, &["sql", query, "loops"]);
        assert!(message.contains(expected), "{query}: {message}");
    }
    folder.text(&["sql", "SET datafusion.execution.time_zone = '+01:00'", "loops"]);
    folder.text(&[
        "sql",
        "-c",
        "CREATE VIEW big AS SELECT * FROM functions",
        "-c",
        "SELECT * FROM big",
        "loops",
    ]);
}

#[test]
#[cfg(feature = "sql")]
fn queries_name_only_inputs_and_files_in_allowed_directories() {
    let folder = both();
    let query = "SELECT count(*) AS n FROM functions('loops')";
    let expected = folder.text(&["sql", query, "loops"]);
    assert_eq!(folder.text(&["sql", query, "loops", "stack"]), expected);
    assert_eq!(folder.text(&["sql", query, "--allow-files", "."]), expected);
    let message = folder.failure(1, &["sql", query, "stack"]);
    assert!(message.contains("the query names the file `loops`; name it as an input too"), "{message}");
    folder.failure(1, &["sql", "CREATE VIEW v AS SELECT * FROM functions('/bin/*')", "loops"]);
}

/// Functions that make long texts do not count their memory.
#[test]
#[cfg(feature = "sql")]
fn a_query_cannot_take_all_memory() {
    let (folder, _) = loops();
    let longer = |text: String| format!("replace({text}, 'x', 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx')");
    let long = (0..8).fold("'x'".to_owned(), |text, _| longer(text));
    let query = format!("SELECT length({long})");
    let output = folder.command(&["sql", &query, "--memory", "16M", "loops"]).output().expect("it starts");
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && message.contains("memory allocation of"), "{message}");
}

#[test]
#[cfg(feature = "sql")]
fn a_long_line_is_read_in_linear_time() {
    let (folder, _) = loops();
    let numbers = (0..20_000).map(|number| format!("0x{number:x}")).collect::<Vec<_>>().join(", ");
    let query = format!("SELECT count(*) AS n FROM functions WHERE address IN ({numbers})");
    std::fs::write(folder.path().join("query.sql"), query).expect("written");
    assert_eq!(folder.text(&["sql", "-f", "query.sql", "loops"]), "n\n0\n");
}

#[test]
fn a_changed_dataset_is_reported() {
    let (folder, _) = loops();
    folder.text(&["lower", "loops", "-o", "tables"]);
    let printed = folder.text(&["verify", "tables"]);
    assert!(printed.ends_with(" tables from 1 binary: no violation\n"), "{printed}");
    let manifest = folder.path().join("tables/_binframe/manifest.json");
    let text = std::fs::read_to_string(&manifest).expect("it was written");
    let counted = text.replacen("\"rows\": 1,", "\"rows\": 7,", 1);
    assert_ne!(counted, text);
    std::fs::write(&manifest, counted).expect("written");
    let message = folder.failure(1, &["verify", "tables"]);
    assert!(message.contains("has 1 rows, and its manifest states 7"), "{message}");
    std::fs::write(&manifest, text).expect("written");
    let file = folder.path().join("tables/functions/part-00000.parquet");
    let mut bytes = std::fs::read(&file).expect("it was written");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).expect("written");
    let message = folder.failure(1, &["verify", "tables"]);
    assert!(message.contains("functions/part-00000.parquet: its bytes have the fingerprint"), "{message}");
}

#[test]
fn a_dataset_of_another_schema_version_is_reported() {
    let (folder, _) = loops();
    folder.text(&["lower", "loops", "-o", "tables", "--emit", "sections"]);
    let of = |file: &str| folder.path().join("tables").join(file);
    let manifest = std::fs::read_to_string(of("_binframe/manifest.json")).expect("it was written");
    let older = manifest.lines().filter(|line| !line.contains("schema_version")).collect::<Vec<_>>();
    std::fs::write(of("_binframe/manifest.json"), older.join("\n")).expect("written");
    folder.text(&["dump", "binary_sections", "tables"]);
    let (sections, segments) =
        (of("binary_sections/part-00000.parquet"), of("binary_segments/part-00000.parquet"));
    std::fs::copy(segments, sections).expect("written");
    let message = folder.failure(1, &["dump", "binary_sections", "tables"]);
    assert!(
        message.contains("not the table binary_sections of this version of binframe: column"),
        "{message}"
    );
    let versions = format!("(the dataset has schema version 1, this binframe reads {SCHEMA_VERSION}; lower");
    assert!(message.contains(&versions), "{message}");
}

#[test]
#[cfg(feature = "sql")]
fn a_count_is_not_taken_from_the_manifest() {
    let (folder, _) = loops();
    folder.text(&["lower", "loops", "-o", "tables"]);
    let query = ["sql", "SELECT count(*) AS n FROM functions", "tables"];
    let before = folder.text(&query);
    let manifest = folder.path().join("tables/_binframe/manifest.json");
    let text = std::fs::read_to_string(&manifest).expect("it was written");
    let lines = text.lines().map(|line| if line.contains("\"rows\":") { "\"rows\": 7," } else { line });
    std::fs::write(&manifest, lines.collect::<Vec<_>>().join("\n")).expect("written");
    assert_eq!(folder.text(&query), before);
}
