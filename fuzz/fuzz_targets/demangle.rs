//! See [`binframe_fuzz::demangle`].
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| binframe_fuzz::demangle(bytes));

#[cfg(not(fuzzing))]
fn main() {
    binframe_fuzz::main(binframe_fuzz::demangle, binframe_fuzz::mangled_names);
}
