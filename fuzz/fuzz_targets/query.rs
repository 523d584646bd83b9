//! See [`binframe_fuzz::query`].
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| binframe_fuzz::query(bytes));

#[cfg(not(fuzzing))]
fn main() {
    binframe_fuzz::main(binframe_fuzz::query, binframe_fuzz::queries);
}
