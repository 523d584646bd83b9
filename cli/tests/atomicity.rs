//! A run that is killed leaves nothing that a reader could take for a dataset, and the next run succeeds.

use binframe::{Dataset, Error, verify};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The command, which is also an input that is large enough to be in the middle of.
const BINFRAME: &str = env!("CARGO_BIN_EXE_binframe");

/// Time in which a run gets to the moment at which it is killed.
const PATIENCE: Duration = Duration::from_mins(2);

/// Moments of a run, by the file of the dataset in the making that has bytes by then.
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

/// Starts a run and kills it as soon as it has begun to write a file.
fn kill_at(moment: &str, output: &Path) {
    let partial = output.with_file_name(".out.partial").join(moment);
    let mut run: Child = lower(Path::new(BINFRAME), output).spawn().expect("the command starts");
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

fn small_input(folder: &Path) -> PathBuf {
    // An executable without section headers, of one byte of code: `ret`.
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    for number in [0x40_0078_u64, 64, 0] {
        bytes.extend(number.to_le_bytes());
    }
    for number in [0_u16, 0, 64, 56, 1, 64, 0, 0] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend([1_u32, 5].into_iter().flat_map(u32::to_le_bytes));
    for number in [0_u64, 0x40_0000, 0x40_0000, 0x79, 0x79, 0x1000] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.push(0xc3);
    let path = folder.join("small");
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
fn a_killed_run_leaves_the_dataset_that_was_there() {
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

#[test]
fn a_failing_run_says_why_and_leaves_nothing() {
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
