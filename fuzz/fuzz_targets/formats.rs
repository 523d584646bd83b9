//! See [`binframe_fuzz::formats`].
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| binframe_fuzz::formats(bytes));

#[cfg(not(fuzzing))]
fn main() {
    binframe_fuzz::main(binframe_fuzz::formats, binframe_fuzz::executables);
}
