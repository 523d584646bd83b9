//! A killed run leaves nothing that a reader could mistake for a dataset, and the next run succeeds.

use binframe::{Dataset, Error, verify};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The command. It is also an input that is large enough to kill a run in the middle.
const BINFRAME: &str = env!("CARGO_BIN_EXE_binframe");

/// Time limit until a run reaches the moment at which it is killed.
const PATIENCE: Duration = Duration::from_mins(2);

/// Moments of a run: the first file of the incomplete dataset that has bytes.
const MOMENTS: [&str; 4] = [
    "binary_headers/part-00000.parquet",
    "binary_symbols/part-00000.parquet",
    "instructions/part-00000.parquet",
    "basic_blocks/part-00000.parquet",
];

fn lower(input: &Path, output: &Path) -> Command {
    let mut command = Command::new(BINFRAME);
    command.arg("lower").arg(input).arg("-o").arg(output).stderr(Stdio::null());
    command
}

/// Starts a run and kills it when a file has bytes.
fn kill_at(moment: &str, output: &Path) {
    let partial = output.with_file_name(".out.partial").join(moment);
    let mut run: Child = lower(&large_input(), output).spawn().expect("the command starts");
    let started = Instant::now();
    while fs::metadata(&partial).map_or(0, |found| found.len()) == 0 {
        assert!(
            run.try_wait().expect("it can be asked").is_none(),
            "the run ended before {moment} was there"
        );
        assert!(started.elapsed() < PATIENCE, "{moment} does not come");
        std::thread::sleep(Duration::from_millis(1));
    }
    run.kill().expect("the run is there to be killed");
    let status = run.wait().expect("it can be waited for");
    assert!(!status.success(), "the run was killed");
}

/// The executable of this test, which is large enough to kill a run in the middle.
fn large_input() -> PathBuf {
    std::env::current_exe().expect("it is known")
}

fn small_input(folder: &Path) -> PathBuf {
    input(folder, "small", 1)
}

/// An executable without section headers, whose code is `ret`, so many times.
fn input(folder: &Path, name: &str, code_size: u64) -> PathBuf {
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    for number in [0x40_0078_u64, 64, 0] {
        bytes.extend(number.to_le_bytes());
    }
    for number in [0_u16, 0, 64, 56, 1, 64, 0, 0] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend([1_u32, 5].into_iter().flat_map(u32::to_le_bytes));
    for number in [0_u64, 0x40_0000, 0x40_0000, 0x78 + code_size, 0x78 + code_size, 0x1000] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend((0..code_size).map(|_| 0xc3));
    let path = folder.join(name);
    fs::write(&path, bytes).expect("the temporary folder is writable");
    path
}

#[test]
fn a_killed_run_leaves_no_dataset_and_the_next_succeeds() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (input, output) = (small_input(folder.path()), folder.path().join("out"));
    for moment in MOMENTS {
        kill_at(moment, &output);
        assert!(!output.exists(), "{moment}");
        assert!(matches!(Dataset::open(&output), Err(Error::NotADataset { .. })), "{moment}");
        let partial = output.with_file_name(".out.partial");
        assert!(matches!(Dataset::open(&partial), Err(Error::NotADataset { .. })), "{moment}");
        let status = lower(&input, &output).status().expect("the command starts");
        assert!(status.success(), "{moment}: the next run");
        assert_eq!(verify(&output).unwrap_or_else(|error| panic!("{error}")), [], "{moment}");
        assert!(!partial.exists(), "{moment}: the next run clears away what was left");
        fs::remove_dir_all(&output).expect("the dataset can be removed");
    }
}

#[test]
fn a_killed_run_leaves_an_existing_dataset() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (input, output) = (small_input(folder.path()), folder.path().join("out"));
    assert!(lower(&input, &output).status().expect("the command starts").success());
    let before = fs::read(output.join("_binframe/manifest.json")).expect("a manifest");
    kill_at("instructions/part-00000.parquet", &output);
    assert_eq!(fs::read(output.join("_binframe/manifest.json")).expect("a manifest"), before);
    assert_eq!(verify(&output).unwrap_or_else(|error| panic!("{error}")), []);
    assert!(lower(&input, &output).status().expect("the command starts").success());
    let found: Vec<_> = fs::read_dir(folder.path())
        .expect("the folder")
        .map(|entry| entry.expect("the folder").file_name().into_string().expect("UTF-8"))
        .filter(|name| name.starts_with('.'))
        .collect();
    assert_eq!(found, [""; 0], "the next run clears away what was left");
}

/// The files of a dataset by path, without the manifest, which contains times.
fn files(dataset: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for table in fs::read_dir(dataset).expect("a dataset") {
        for part in fs::read_dir(table.expect("a dataset").path()).expect("tables are folders") {
            let path = part.expect("a table is a folder").path();
            let place = path.strip_prefix(dataset).expect("it lies in the dataset").to_owned();
            files.insert(place, fs::read(path).expect("a part can be read"));
        }
    }
    files.remove(Path::new("_binframe/manifest.json"));
    files
}

/// Lowers a small file, the command itself and another small file, each as its own checkpoint group.
fn lower_units(folder: &Path, output: &Path) -> Command {
    let mut command = lower(&folder.join("small"), output);
    command.arg(BINFRAME).arg(folder.join("other")).args(["--emit", "sections", "--unit-size", "1"]);
    command
}

/// Starts a run of several checkpoint groups, kills it when the first is committed, and returns its journal.
fn kill_after_first_unit(folder: &Path, output: &Path) -> PathBuf {
    let journal = folder.join(".out.partial/_binframe/journal.jsonl");
    let mut run = lower_units(folder, output).spawn().expect("the command starts");
    let started = Instant::now();
    while fs::read_to_string(&journal).map_or(0, |text| text.matches('\n').count()) < 2 {
        assert!(run.try_wait().expect("it can be asked").is_none(), "the run ended before its first unit");
        assert!(started.elapsed() < PATIENCE, "the first unit does not come");
        std::thread::sleep(Duration::from_millis(1));
    }
    run.kill().expect("the run is there to be killed");
    assert!(!run.wait().expect("it can be waited for").success(), "the run was killed");
    assert!(!output.exists());
    journal
}

/// Runs it again to its end, and returns its stderr and its files.
fn run_again(folder: &Path, output: &Path) -> (String, BTreeMap<PathBuf, Vec<u8>>) {
    let run = lower_units(folder, output).stderr(Stdio::piped()).output().expect("the command starts");
    let said = String::from_utf8(run.stderr).expect("UTF-8");
    assert!(run.status.success(), "{said}");
    assert!(!folder.join(".out.partial").exists());
    let made = files(output);
    fs::remove_dir_all(output).expect("the dataset can be removed");
    (said, made)
}

#[test]
fn a_killed_run_is_resumed_after_the_committed_groups() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (folder, output) = (folder.path(), folder.path().join("out"));
    fs::copy(small_input(folder), folder.join("other")).expect("copied");
    let (said, expected) = run_again(folder, &output);
    assert_eq!((said.as_str(), expected.contains_key(Path::new("_binframe/journal.jsonl"))), ("", false));

    kill_after_first_unit(folder, &output);
    let (said, made) = run_again(folder, &output);
    assert!(said.contains("from 3 files") && said.contains("; 1 resumed from an earlier run"), "{said}");
    assert!(made == expected, "files differ after a run that was killed");

    let journal = kill_after_first_unit(folder, &output);
    let text = fs::read(&journal).expect("the journal");
    fs::write(&journal, &text[..text.len() - 2]).expect("the journal can be cut");
    let (said, made) = run_again(folder, &output);
    assert_eq!(said, "", "no unit is trusted");
    assert!(made == expected, "files differ after the journal was cut");

    kill_after_first_unit(folder, &output);
    let other = File::options().append(true).open(folder.join("other")).expect("an input");
    other.set_modified(std::time::UNIX_EPOCH).expect("it can be changed");
    let (said, made) = run_again(folder, &output);
    assert_eq!(said, "", "an input has changed");
    assert!(made == expected, "files differ after the run of other inputs");
}

/// Number of kills and of races; the environment variable `BINFRAME_REPETITIONS` changes it.
fn repetitions() -> u32 {
    std::env::var("BINFRAME_REPETITIONS").map_or(4, |repetitions| repetitions.parse().expect("a number"))
}

#[test]
fn a_run_killed_at_any_time_leaves_a_complete_dataset_or_none() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (folder, output) = (folder.path(), folder.path().join("out"));
    fs::create_dir(folder.join("inputs")).expect("the temporary folder is writable");
    for size in 1..=10 {
        input(folder, &format!("inputs/{size}"), size);
    }
    let run = || {
        let mut command = lower(&folder.join("inputs"), &output);
        command.args(["--emit", "sections", "--unit-size", "1"]);
        command
    };
    let started = Instant::now();
    assert!(run().status().expect("the command starts").success());
    let (duration, expected) = (started.elapsed(), files(&output));
    let mut killed = 0;
    for repetition in 0..repetitions() {
        if repetition % 2 == 0 {
            fs::remove_dir_all(&output).expect("the dataset can be removed");
        }
        let mut child = run().spawn().expect("the command starts");
        // In a hundred repetitions, every percent of the time of a run, in no order.
        std::thread::sleep(duration * (37 * repetition % 100) / 100);
        let signal = [Signal::KILL, Signal::TERM, Signal::INT][repetition as usize % 3];
        kill_process(Pid::from_child(&child), signal).expect("the process is not waited for yet");
        killed += u32::from(!child.wait().expect("it can be waited for").success());
        assert!(
            !output.exists() || files(&output) == expected,
            "repetition {repetition}: an incomplete dataset"
        );
        assert!(run().status().expect("the command starts").success(), "repetition {repetition}");
        assert!(files(&output) == expected, "repetition {repetition}: files differ after a kill");
        let left = fs::read_dir(folder).expect("the folder").count();
        assert_eq!(left, 2, "repetition {repetition}: files are left");
    }
    assert!(killed > repetitions() / 4, "only {killed} runs were killed");
}

#[test]
fn of_two_writers_of_a_path_one_wins() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (folder, output) = (folder.path(), folder.path().join("out"));
    let (small, large) = (small_input(folder), input(folder, "large", 20_000));
    let dump = |columns: &str| {
        let mut command = Command::new(BINFRAME);
        command.args(["dump", "instructions", "--format", "csv", "--columns", columns]).arg(&large);
        command
    };
    let columns = ["address", "address,mnemonic"];
    let rows = columns.map(|columns| dump(columns).output().expect("the command starts").stdout);
    // More than is written at once.
    assert!(rows.iter().all(|rows| rows.len() > 1 << 17) && rows[0] != rows[1]);
    for _ in 0..repetitions() {
        let writers = columns.map(|columns| dump(columns).arg("-o").arg(&output).spawn().expect("it starts"));
        for mut writer in writers {
            assert!(writer.wait().expect("it can be waited for").success());
        }
        assert!(rows.contains(&fs::read(&output).expect("it was written")), "the file is incomplete");
        fs::remove_file(&output).expect("the file can be removed");

        let writers = [&small, &large]
            .map(|input| lower(input, &output).stderr(Stdio::piped()).spawn().expect("the command starts"));
        let results = writers.map(|writer| writer.wait_with_output().expect("it can be waited for"));
        assert!(results.iter().any(|result| result.status.success()));
        for result in results.iter().filter(|result| !result.status.success()) {
            let message = String::from_utf8_lossy(&result.stderr);
            assert!(message.contains("another binframe is writing there"), "{message}");
        }
        assert_eq!(verify(&output).unwrap_or_else(|error| panic!("{error}")), []);
        fs::remove_dir_all(&output).expect("the dataset can be removed");
        assert_eq!(fs::read_dir(folder).expect("the folder").count(), 2, "files are left");
    }
}

#[test]
fn a_failed_run_reports_the_reason_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let input = folder.path().join("text");
    fs::write(&input, "not an executable").expect("the temporary folder is writable");
    let output = lower(&input, &folder.path().join("out")).stderr(Stdio::piped()).output();
    let output = output.expect("the command starts");
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).expect("UTF-8");
    let expected = ["text: ", "offset 0x0", "expected an ELF, PE, COFF or Mach-O file"];
    assert!(expected.iter().all(|part| message.contains(part)) && message.lines().count() == 1, "{message}");
    assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 1);
}
