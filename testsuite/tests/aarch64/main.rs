//! AArch64: decoding agrees with LLVM's, and functions, calls and data in code are those of the compiler.

mod files;
mod words;
