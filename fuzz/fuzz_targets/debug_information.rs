//! See [`binframe_fuzz::debug_information`].
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| binframe_fuzz::debug_information(bytes));

#[cfg(not(fuzzing))]
fn main() {
    binframe_fuzz::main(binframe_fuzz::debug_information, binframe_fuzz::files_with_debug_information);
}
