//! See [`binframe_fuzz::resume`].
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| binframe_fuzz::resume(bytes));

#[cfg(not(fuzzing))]
fn main() {
    binframe_fuzz::main(binframe_fuzz::resume, binframe_fuzz::journals);
}
