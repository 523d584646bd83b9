//! What ops say of instructions, compared with the processor: every form of instruction in the programs of this machine
//! is run with many states, natively and by the evaluator of ops.
//!
//! `cargo xtask semantics` runs more cases of more programs, and prints a row for each form. Linux on x86-64 only.
#![expect(clippy::print_stdout, reason = "it reports what it measured")]

#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
mod comparison;
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
mod forms;
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
mod inputs;
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
mod native;
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
mod report;

#[cfg(not(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")))]
#[test]
fn instructions_are_not_run() {
    println!("skipped: instructions of x86-64 are run on Linux with glibc only");
}
