//! Files of unusual names and places are read or refused. A full disk, an invalid dataset, or a query that may not run is
//! one clear error, and leaves no files.

use crate::{Folder, loops};
use binframe_testsuite::patch::section;
use binframe_testsuite::{fixtures, hostile_code, objects};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::{Command, Output, Stdio};

/// Runs a command, which must fail with exit code 1 and a message of one line, and returns the message.
fn message(command: &mut Command) -> String {
    let Output { status, stderr, .. } = command.output().expect("it starts");
    let stderr = String::from_utf8(stderr).expect("text is UTF-8");
    assert_eq!(status.code(), Some(1), "{command:?}\n{stderr}");
    assert!(stderr.starts_with("binframe: ") && stderr.lines().count() == 1, "{command:?}\n{stderr}");
    stderr
}

/// Makes a named pipe.
fn pipe(folder: &Folder, name: &str) {
    let status = Command::new("mkfifo").arg(folder.path().join(name)).status().expect("mkfifo is installed");
    assert!(status.success());
}

/// The paths and names of the binaries of a dataset, as CSV.
fn binaries(folder: &Folder, dataset: &str) -> String {
    folder.text(&["dump", "binaries", dataset, "--format", "csv", "--columns", "path"])
}

#[test]
fn an_output_in_place_of_an_input_or_a_directory_assert_refused() {
    let (folder, executable) = loops();
    folder.text(&["lower", "loops", "-o", "tables", "--emit", "sections"]);
    for output in ["loops", "loops/..", ".", "..", "/"] {
        let stderr = folder.failure(1, &["lower", "loops", "-o", output]);
        let expected = if output == "loops" { "is no dataset" } else { "is not the path of a new directory" };
        assert!(stderr.contains(expected), "{output}: {stderr}");
    }
    for output in ["tables", ".", "..", "/"] {
        for arguments in
            [&["dump", "functions", "loops", "-o", output] as &[_], &["rebuild", "tables", "-o", output]]
        {
            let stderr = folder.failure(1, arguments).to_lowercase();
            assert!(stderr.contains("is a directory"), "{arguments:?}: {stderr}");
        }
    }
    for arguments in [&["lower", "loops", "-o", ""] as &[_], &["dump", "functions", "loops", "-o", ""]] {
        let stderr = folder.failure(2, arguments);
        assert!(stderr.contains("a value is required for '--output"), "{stderr}");
    }
    assert_eq!(folder.names(), ["loops", "tables"]);
    assert!(fs::read(folder.path().join("loops")).expect("it is there") == executable.bytes);
    folder.text(&["verify", "tables"]);
}

#[test]
fn a_full_disk_is_reported() {
    let (folder, _) = loops();
    folder.text(&["lower", "loops", "-o", "tables", "--emit", "sections"]);
    for arguments in [
        &["dump", "instructions", "loops"] as &[_],
        &["dump", "instructions", "loops", "--format", "parquet"],
        &["dump", "instructions", "loops", "--output", "/dev/full"],
        &["dump", "cfg", "loops", "--function", "clamp"],
        &["trace", "0x401000", "loops"],
        &["diff", "loops", "loops"],
        &["verify", "tables"],
        &["schemas"],
        #[cfg(feature = "sql")]
        &["sql", "SELECT function_name FROM functions", "loops"],
        #[cfg(feature = "sql")]
        &["sql", "-c", ".tables"],
    ] {
        let full = File::options().write(true).open("/dev/full").expect("the system has this device");
        let message = message(folder.command(arguments).stdout(full));
        assert!(message.contains("No space left on device"), "{arguments:?}: {message}");
    }
}

/// Rust replaces a closed standard output by `/dev/null`.
#[test]
fn a_closed_output_is_reported() {
    let (folder, _) = loops();
    folder.text(&["lower", "loops", "-o", "tables", "--emit", "sections"]);
    let closed = |arguments: &[&str]| {
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" >&-", env!("CARGO_BIN_EXE_binframe")]).args(arguments);
        command.current_dir(folder.path());
        command
    };
    for arguments in [
        &["dump", "instructions", "loops"] as &[_],
        &["dump", "instructions", "loops", "--format", "parquet"],
        &["dump", "cfg", "loops", "--function", "clamp"],
        &["trace", "0x401000", "loops"],
        &["verify", "tables"],
        &["schemas"],
        #[cfg(feature = "sql")]
        &["sql", "SELECT function_name FROM functions", "loops"],
    ] {
        let message = message(&mut closed(arguments));
        assert!(message.contains("standard output is closed"), "{arguments:?}: {message}");
    }
    let status = closed(&["rebuild", "tables", "-o", "rebuilt"]).status().expect("it starts");
    assert!(status.success(), "nothing is printed");
}

#[test]
fn memory_is_limited_when_a_dataset_is_read() {
    let (folder, _) = loops();
    folder.text(&["lower", "loops", "-o", "tables", "--emit", "sections"]);
    pipe(&folder, "pipe");
    // Opening the pipe waits for a reader.
    let arguments = ["dump", "binary_sections", "tables", "--output", "pipe"];
    let mut child = folder.command(&arguments).spawn().expect("it starts");
    let limits = format!("/proc/{}/limits", child.id());
    let has_limit = || {
        let text = fs::read_to_string(&limits).expect("the process waits");
        text.lines().any(|line| line.starts_with("Max data size") && line.contains("8589934592"))
    };
    while !has_limit() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    fs::read(folder.path().join("pipe")).expect("the rows");
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn a_file_size_limit_is_reported_and_leaves_no_files() {
    // A block has 512 bytes. Without the trap, the signal would end the process.
    const LIMITED: &str = "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\"";
    let (folder, _) = loops();
    folder.text(&["lower", "loops", "-o", "tables", "--emit", "sections"]);
    for arguments in [
        &["lower", "loops", "-o", "out"] as &[_],
        &["rebuild", "tables", "-o", "out"],
        &["dump", "instructions", "loops", "--format", "parquet", "-o", "out"],
        &["dump", "cfg", "loops", "--function", "clamp", "--format", "svg", "-o", "out"],
    ] {
        let mut command = Command::new("sh");
        command.args(["-c", LIMITED, env!("CARGO_BIN_EXE_binframe")]).args(arguments);
        let message = message(command.current_dir(folder.path()));
        assert!(message.contains("File too large"), "{arguments:?}: {message}");
        assert_eq!(folder.names(), ["loops", "tables"], "{arguments:?}");
    }
}

#[test]
fn devices_and_files_without_a_size_are_refused() {
    let folder = Folder::with(&[]);
    for input in ["/dev/null", "/dev/zero", "/dev/stdin", "/proc/self/mem"] {
        for arguments in [
            &["dump", "functions", input] as &[_],
            &["lower", input, "-o", "out"],
            &["trace", "0x1000", input],
            &["diff", input, input],
        ] {
            let message = message(&mut folder.command(arguments));
            assert!(message.starts_with(&format!("binframe: {input}: cannot ")), "{message}");
            assert_eq!(folder.names(), [""; 0], "{arguments:?}");
        }
    }
}

/// `/dev/stdin` is a link to an open file, as `/proc/self/exe` is.
#[test]
fn an_open_file_is_read_but_a_pipe_is_not() {
    let (folder, _) = loops();
    let mut command = folder.command(&["dump", "functions", "/dev/stdin"]);
    let file = File::open(folder.path().join("loops")).expect("it is there");
    let output = command.stdin(file).output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, folder.bytes(&["dump", "functions", "loops"]));
    let message = message(command.stdin(Stdio::piped()));
    assert!(message.contains("is not a regular file"), "{message}");
}

/// Two of the names are the same text when bytes that are not UTF-8 are replaced.
#[test]
fn files_of_unusual_names_are_kept_apart() {
    let folder = Folder::with(&[]);
    let directory = folder.path().join("in");
    fs::create_dir(&directory).expect("made");
    let longest = "n".repeat(255);
    let names: [&[u8]; 6] = [b"--help", b"-d", b"a\n\x01\x1b\"\\", b"b\xfe", b"b\xff", longest.as_bytes()];
    let contents = [fixtures::loops_and_calls().bytes, fixtures::stack_and_globals().bytes];
    for (name, content) in names.iter().zip(contents.iter().cycle()) {
        fs::write(directory.join(OsStr::from_bytes(name)), content).expect("written");
    }
    folder.text(&["lower", "in", "-o", "tables", "--emit", "sections"]);
    let rows = folder.text(&["dump", "binaries", "tables", "--format", "jsonl"]);
    let rows = rows.lines().map(|line| serde_json::from_str(line).expect("a JSON object on each line"));
    let found: Vec<_> =
        rows.map(|row: Value| row["binary_name"].as_str().expect("a name").to_owned()).collect();
    let expected = ["--help", "-d", "a\n\u{1}\u{1b}\"\\", "b\u{fffd}", "b\u{fffd}-2", longest.as_str()];
    assert_eq!(found, expected);
    for (binary, content) in expected.iter().zip(contents.iter().cycle()) {
        folder.text(&["rebuild", "tables", &format!("--binary={binary}"), "-o", "rebuilt"]);
        assert!(fs::read(folder.path().join("rebuilt")).expect("written") == *content, "{binary:?}");
    }
    let mut command = folder.command(&["dump", "functions", "--", "-d"]);
    let output = command.current_dir(&directory).output().expect("it starts");
    assert_eq!(output.stdout, folder.bytes(&["dump", "functions", "in/-d"]));
}

#[test]
fn names_of_archive_members_are_no_paths() {
    let content = fixtures::loops_and_calls().bytes;
    let archive =
        objects::archive(&["..", "/escaped", "a\nb", "same", "same"].map(|name| (name, &content[..])));
    let folder = Folder::with(&[("in.a", &archive)]);
    folder.text(&["lower", "in.a", "-o", "tables", "--emit", "sections"]);
    for name in ["in.a", "in.a(..)", "in.a(/escaped/)", "in.a(a\nb)", "in.a(same)", "in.a(same)-2"] {
        folder.text(&["rebuild", "tables", "--binary", name, "-o", "rebuilt"]);
        let expected = if name == "in.a" { &archive } else { &content };
        assert!(fs::read(folder.path().join("rebuilt")).expect("written") == *expected, "{name}");
    }
    assert_eq!(folder.names(), ["in.a", "rebuilt", "tables"]);
}

#[test]
fn only_regular_files_of_a_directory_are_lowered() {
    let folder = Folder::with(&[]);
    let directory = folder.path().join("in");
    fs::create_dir(&directory).expect("made");
    fs::write(directory.join("loops"), fixtures::loops_and_calls().bytes).expect("written");
    for (number, target) in (0..).zip(["absent", "/dev/zero", ".", "..", "loops", "link5", "/etc/shadow"]) {
        symlink(target, directory.join(format!("link{number}"))).expect("the folder is writable");
    }
    pipe(&folder, "in/pipe");
    UnixListener::bind(directory.join("socket")).map(drop).expect("the folder is writable");
    // A skipped file would be reported.
    folder.text(&["lower", "in", "-o", "tables", "--emit", "sections"]);
    assert_eq!(binaries(&folder, "tables"), "path,binary_name\nin/loops,loops\n");
}

#[test]
fn a_deep_directory_is_searched() {
    let folder = Folder::with(&[]);
    let deep = format!("in/{}", "d/".repeat(500));
    fs::create_dir_all(folder.path().join(&deep)).expect("made");
    fs::write(folder.path().join(&deep).join("loops"), fixtures::loops_and_calls().bytes).expect("written");
    folder.text(&["lower", "in", "-o", "tables", "--emit", "sections"]);
    assert_eq!(binaries(&folder, "tables"), format!("path,binary_name\n{deep}loops,loops\n"));
}

/// An executable that names the file with its debug information.
fn with_debug_link(link: &str) -> Vec<u8> {
    const SECTION_NAMES: usize = 5;
    let mut content = link.as_bytes().to_vec();
    // Zeros up to a multiple of four bytes, and the checksum.
    content.resize((link.len() + 1).next_multiple_of(4) + 4, 0);
    let mut file = hostile_code::code_and_data(&[0xc3], &content);
    for index in hostile_code::TEXT..=SECTION_NAMES {
        file.section(index, section::NAME, u64::from(index == hostile_code::EH_FRAME));
    }
    file.replace_section(SECTION_NAMES, b"\0.gnu_debuglink\0");
    file.0
}

#[test]
fn a_debug_link_is_the_name_of_a_regular_file_without_a_directory() {
    let (folder, _) = loops();
    pipe(&folder, "pipe");
    let absolute = folder.path().join("loops").display().to_string();
    for (link, is_used) in
        [("loops", true), ("./loops", false), (absolute.as_str(), false), ("..", false), ("pipe", false)]
    {
        fs::write(folder.path().join("app"), with_debug_link(link)).expect("written");
        folder.text(&["lower", "app", "-o", "tables", "--emit", "debug"]);
        let messages =
            folder.text(&["dump", "diagnostics", "tables", "--format", "csv", "--columns", "message"]);
        let is_missing = messages.contains(&format!("{link}, which was not found"));
        assert_eq!(is_missing, !is_used, "{link}: {messages}");
    }
}

#[test]
#[cfg(feature = "sql")]
fn queries_change_and_load_nothing() {
    let (folder, _) = loops();
    let assert_refused = |query: &str, expected: &str| {
        let stderr = folder.failure(1, &["sql", query, "loops"]);
        assert!(stderr.contains(expected), "{query}: {stderr}");
    };
    for change in [
        "INSERT INTO functions SELECT * FROM functions",
        "UPDATE functions SET size = 0",
        "DELETE FROM functions",
        "TRUNCATE TABLE functions",
    ] {
        for prefix in ["", "PREPARE p AS ", "EXPLAIN ANALYZE "] {
            assert_refused(&format!("{prefix}{change}"), "not supported");
        }
    }
    for (query, expected) in [
        ("EXPLAIN ANALYZE COPY functions TO 'out.csv'", "not supported"),
        ("PREPARE p AS COPY functions TO 'out.csv'", "Unsupported SQL statement"),
        ("LOAD httpfs", "Unsupported SQL statement"),
        ("CREATE FUNCTION f(BIGINT) RETURNS BIGINT RETURN $1 + 1", "CreateFunction is not supported"),
        ("SELECT * FROM '/etc/passwd'", "there is no table"),
        ("SELECT * FROM 'http://localhost/a'", "there is no table"),
        ("SELECT * FROM functions('http://localhost/a')", "http://localhost/a"),
    ] {
        assert_refused(query, expected);
    }
    assert_eq!(folder.names(), ["loops"]);
}

#[test]
#[cfg(feature = "sql")]
fn deep_queries_and_large_patterns_are_refused() {
    let (folder, _) = loops();
    let nested = |start: &str, innermost: &str, end: &str| {
        format!("SELECT {}{innermost}{}", start.repeat(200), end.repeat(200))
    };
    for (query, expected) in [
        (nested("(", "1", ")"), "the query is nested too deeply"),
        (nested("(SELECT ", "1", ")"), "the query is nested too deeply"),
        (nested("NOT ", "true", ""), "NOT, CAST and similar words nest 200 deep"),
        (nested("CAST(", "1", " AS INT)"), "NOT, CAST and similar words nest 200 deep"),
        (format!("SELECT {}true +{}", "NOT (".repeat(12), ")".repeat(12)), "not SQL: "),
        (nested("CASE WHEN true THEN ", "1", " END"), "not SQL: "),
        ("SELECT 'a' ~ '((a{1000}){1000}){1000}'".to_owned(), "CompiledTooBig"),
    ] {
        let stderr = folder.failure(1, &["sql", &query, "loops"]);
        assert!(stderr.contains(expected), "{query}: {stderr}");
    }
}

#[test]
fn an_invalid_manifest_is_reported() {
    let (folder, _) = loops();
    folder.text(&["lower", "loops", "-o", "tables", "--emit", "sections"]);
    let path = folder.path().join("tables/_binframe/manifest.json");
    let text = fs::read_to_string(&path).expect("it was written");
    let manifest: Value = serde_json::from_str(&text).expect("JSON");
    let (mut newer, mut outside) = (manifest.clone(), manifest);
    newer["layout"] = Value::from(99);
    outside["tables"][0]["table"] = Value::from("../loops");
    let (nested, unreadable) = ("[".repeat(100_000), "its manifest cannot be read: ");
    for (manifest, expected) in [
        (String::new(), unreadable),
        ("[]".to_owned(), unreadable),
        (format!("{{\"other\": {nested}"), unreadable),
        (nested, unreadable),
        (newer.to_string(), "its layout has version 99, this binframe reads "),
        (outside.to_string(), "its manifest has a table `../loops` that this binframe does not know"),
    ] {
        fs::write(&path, manifest).expect("written");
        for arguments in [
            &["dump", "binaries", "tables"] as &[_],
            &["rebuild", "tables", "-o", "out"],
            &["verify", "tables"],
            #[cfg(feature = "sql")]
            &["sql", "SELECT count(*) FROM binaries", "tables"],
        ] {
            let message = message(&mut folder.command(arguments));
            assert!(message.starts_with(&format!("binframe: tables: {expected}")), "{message}");
        }
    }
    assert_eq!(folder.names(), ["loops", "tables"]);
}

#[test]
fn an_invalid_file_of_a_table_is_named() {
    let (folder, _) = loops();
    folder.text(&["lower", "loops", "-o", "tables", "--emit", "sections"]);
    let path = folder.path().join("tables/binary_sections/part-00000.parquet");
    let other = fs::read(folder.path().join("tables/binaries/part-00000.parquet")).expect("it was written");
    let assert_named = || {
        for arguments in [
            &["dump", "binary_sections", "tables"] as &[_],
            &["rebuild", "tables", "-o", "out"],
            &["trace", "0x401000", "tables"],
            &["verify", "tables"],
            #[cfg(feature = "sql")]
            &["sql", "SELECT section_name FROM binary_sections", "tables"],
        ] {
            let message = message(&mut folder.command(arguments));
            assert!(message.contains("binary_sections/part-00000.parquet"), "{arguments:?}: {message}");
        }
    };
    for bytes in [&b""[..], b"PAR1", other.as_slice()] {
        fs::write(&path, bytes).expect("written");
        assert_named();
    }
    fs::remove_file(&path).expect("removed");
    assert_named();
    fs::create_dir(&path).expect("made");
    assert_named();
    assert_eq!(folder.names(), ["loops", "tables"]);
}
