//! Captures by the command: what it takes, how it ends, and that the captured process never suffers.

use crate::Folder;
use binframe_testsuite::programs::compile_c;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// `cat`, which answers each line with the same.
struct Cat(Child);

impl Cat {
    fn start() -> Self {
        let cat = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        Self(cat.expect("cat starts"))
    }

    fn id(&self) -> String {
        self.0.id().to_string()
    }

    /// Whether it answers, and nobody traces it.
    fn is_well(&mut self) -> bool {
        let (input, output) =
            (self.0.stdin.as_mut().expect("a pipe"), self.0.stdout.as_mut().expect("a pipe"));
        input.write_all(b"line\n").expect("it reads");
        let mut answer = String::new();
        BufReader::new(output).read_line(&mut answer).expect("it answers");
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).expect("it runs");
        answer == "line\n" && status.contains("TracerPid:\t0\n")
    }
}

impl Drop for Cat {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

#[test]
fn a_capture_that_is_killed_leaves_the_process_running() {
    let folder = Folder::with(&[]);
    let mut cat = Cat::start();
    for milliseconds in [1, 3, 7, 15, 30, 60, 90, 120] {
        let arguments = ["capture", "--pid", &cat.id(), "--every", "2ms", "-o", "series"];
        let mut capture = folder.command(&arguments).spawn().expect("it starts");
        sleep(Duration::from_millis(milliseconds));
        capture.kill().expect("it runs");
        capture.wait().expect("it ends");
        assert!(cat.is_well(), "after {milliseconds} ms");
        assert!(!folder.path().join("series").exists(), "a capture that was killed is no dataset");
    }
    folder.text(&["capture", "--pid", &cat.id(), "--every", "2ms", "--count", "3", "-o", "series"]);
    assert!(cat.is_well());
    assert!(folder.text(&["verify", "series"]).ends_with("no violation\n"));
}

#[test]
fn a_heap_recording_that_is_killed_leaves_the_command_running() {
    // After the capture is killed, it allocates more than the recorder has room for.
    const SOURCE: &str = "
        #include <stdio.h>
        #include <stdlib.h>
        int main(void) {
            puts(\"ready\");
            fflush(stdout);
            if (getchar() == EOF) return 1;
            for (int number = 0; number < 1000000; number++) {
                void *volatile memory = malloc(number % 1000);
                free(memory);
            }
            puts(\"done\");
            return 0;
        }";
    let program = compile_c("heap_killed", SOURCE, &["-O1"]);
    let program = program.expect("a machine that runs Rust tests has a C compiler");
    let folder = Folder::with(&[]);
    let program = program.to_string_lossy();
    let mut command = folder.command(&["capture", "--heap", "-o", "heap", "--", &program]);
    let mut capture = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut input = capture.stdin.take().expect("a pipe");
    let mut output = BufReader::new(capture.stdout.take().expect("a pipe")).lines();
    let mut line = || output.next().expect("it prints").expect("it prints text");
    assert_eq!(line(), "ready");
    capture.kill().expect("it runs");
    capture.wait().expect("it ends");
    input.write_all(b"x").expect("it reads");
    assert_eq!(line(), "done");
    assert!(!folder.path().join("heap").exists());
}

#[test]
fn an_interrupt_ends_a_series_and_keeps_what_was_captured() {
    let folder = Folder::with(&[]);
    let mut cat = Cat::start();
    let arguments = ["capture", "--pid", &cat.id(), "--every", "20ms", "--only", "stack", "-o", "series"];
    let mut capture = folder.command(&arguments).spawn().expect("it starts");
    sleep(Duration::from_millis(300));
    let id = capture.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().expect("kill starts").success());
    assert!(capture.wait().expect("it ends").success());
    assert!(cat.is_well());
    let rows = folder.text(&["dump", "snapshots", "series", "--format", "csv"]);
    assert!(rows.lines().count() > 2, "{rows}");
    let regions = folder.text(&["dump", "memory_regions", "series", "--format", "jsonl"]);
    let with_content = regions.lines().filter(|line| !line.contains("\"content_snapshot\":null"));
    assert!(with_content.clone().count() > 0 && with_content.clone().all(|line| line.contains("\"stack\"")));
}

#[test]
fn the_output_of_a_command_is_its_own() {
    let folder = Folder::with(&[]);
    assert_eq!(folder.text(&["capture", "-o", "end", "--", "echo", "hello"]), "hello\n");
    let missing = folder.failure(1, &["capture", "-o", "end", "--", "no-such-program"]);
    assert!(missing.contains("no-such-program: cannot start"), "{missing}");
    let nothing = folder.failure(2, &["capture", "-o", "end"]);
    assert!(nothing.contains("give --pid PID, --core FILE, --minidump FILE, or -- COMMAND"), "{nothing}");
    let text = folder.failure(1, &["capture", "--core", "/bin/sh", "-o", "end"]);
    assert!(text.contains("it is no core dump"), "{text}");
}
