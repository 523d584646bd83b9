//! The noreturn list: functions that are known by name not to return.
//!
//! A program may have a function of its own with such a name: git has an `error` that returns, others an `err` or an
//! `assert`. So a name that C leaves to programs, and a path to a return instruction, mean that the function returns. No
//! compiler emits such a path in a function that its header declares not to return.

/// Functions that headers of C libraries, Windows, Apple, and runtimes of C++, Rust and Go declare not to return, by the
/// header. Names are without leading underscores.
const NAMES: &[&str] = &[
    // glibc and musl: setjmp.h, stdlib.h, unistd.h, pthread.h, threads.h, err.h, assert.h, and what compilers and fortified
    // functions call.
    "Exit",
    "abort",
    "abort_msg",
    "assert",
    "assert_fail",
    "assert_perror_fail",
    "chk_fail",
    "err",
    "errx",
    "exit",
    "fortify_fail",
    "libc_fatal",
    "libc_longjmp",
    "libc_siglongjmp",
    "libc_start_main",
    "longjmp",
    "longjmp_chk",
    "pthread_exit",
    "pthread_unwind_next",
    "quick_exit",
    "siglongjmp",
    "stack_chk_fail",
    "stack_chk_fail_local",
    "thrd_exit",
    "verr",
    "verrx",
    // BSD and macOS: err.h, assert.h, dispatch/queue.h, xpc/xpc.h, objc/objc-exception.h, and what compilers call.
    "abort_report_np",
    "assert_rtn",
    "chk_fail_overflow",
    "dispatch_main",
    "errc",
    "objc_exception_rethrow",
    "objc_exception_throw",
    "objc_terminate",
    "verrc",
    "xpc_main",
    // Windows: processthreadsapi.h, errhandlingapi.h, libloaderapi.h, winbase.h, and of the kernel wdm.h.
    "ExRaiseAccessViolation",
    "ExRaiseDatatypeMisalignment",
    "ExRaiseStatus",
    "ExitProcess",
    "ExitThread",
    "FatalAppExitA",
    "FatalAppExitW",
    "FatalExit",
    "FreeLibraryAndExitThread",
    "KeBugCheck",
    "KeBugCheckEx",
    "RaiseFailFastException",
    "RtlExitUserProcess",
    "RtlExitUserThread",
    "RtlRaiseStatus",
    // UCRT, vcruntime and mingw-w64: stdlib.h, corecrt.h, assert.h, eh.h, process.h, and what compilers call.
    "CxxThrowException",
    "amsg_exit",
    "invalid_parameter_noinfo_noreturn",
    "invoke_watson",
    "purecall",
    "report_gsfailure",
    "report_rangecheckfailure",
    "report_securityfailure",
    "report_securityfailureEx",
    "std_terminate",
    "terminate",
    "wassert",
    // C++: the Itanium ABI (cxxabi.h, unwind.h), exception of libstdc++ and libc++, and what clang adds.
    "Unwind_Resume",
    "ZN10__cxxabiv111__terminateEPFvvE",
    "ZN10__cxxabiv112__unexpectedEPFvvE",
    "ZNSt3__122__libcpp_verbose_abortEPKcz",
    "ZSt10unexpectedv",
    "ZSt17rethrow_exceptionNSt15__exception_ptr13exception_ptrE",
    "ZSt17rethrow_exceptionSt13exception_ptr",
    "ZSt21__glibcxx_assert_failPKciS0_S0_",
    "ZSt9terminatev",
    "clang_call_terminate",
    "cxa_bad_cast",
    "cxa_bad_typeid",
    "cxa_call_terminate",
    "cxa_call_unexpected",
    "cxa_deleted_virtual",
    "cxa_pure_virtual",
    "cxa_rethrow",
    "cxa_throw",
    "cxa_throw_bad_array_length",
    "cxa_throw_bad_array_new_length",
    // Rust: library/std and library/alloc; Go: package runtime.
    "runtime.fatal",
    "runtime.goexit1",
    "runtime.gopanic",
    "runtime.throw",
    "rust_alloc_error_handler",
    "rust_drop_panic",
    "rust_foreign_exception",
];

/// Functions of glibc (error.h) that return only if their first argument, the exit status, is 0.
const STATUS_NAMES: &[&str] = &["error", "error_at_line"];

/// Whether a name is on the noreturn list, with any leading underscores and symbol version.
pub(super) fn is_noreturn_name(name: &str) -> bool {
    let name = base_name(name);
    NAMES.contains(&name) || throws(name)
}

/// Whether a program may give its own function this name: it is a word of small letters. Those that start with an
/// underscore are reserved (C, section 7.1.3); others are mangled or belong to an API.
pub(super) fn is_free_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// Whether a function of this name returns only if its first argument is 0.
pub(super) fn is_status_name(name: &str) -> bool {
    STATUS_NAMES.contains(&base_name(name))
}

/// A name without leading underscores and symbol version.
fn base_name(name: &str) -> &str {
    name.split('@').next().unwrap_or(name).trim_start_matches('_')
}

/// Whether a function throws: `__throw_…` in namespace `std` (bits/functexcept.h of libstdc++; libc++ marks all of
/// these), or one of Rust's module `core::panicking`.
fn throws(name: &str) -> bool {
    let is_std = ["ZSt", "ZNSt", "ZNKSt"].iter().any(|prefix| name.starts_with(prefix));
    let is_rust = ["ZN4core9panicking", "RN"].iter().any(|prefix| name.starts_with(prefix));
    is_std && name.contains("__throw_") || is_rust && name.contains("4core9panicking")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_underscores_and_versions() {
        for name in ["exit", "_exit", "abort@GLIBC_2.2.5", "_ZSt20__throw_length_errorPKc"] {
            assert!(is_noreturn_name(name), "{name}");
        }
        assert!(is_noreturn_name("_ZN4core9panicking5panic17h0123456789abcdefE"));
        assert!(is_status_name("error"));
        assert!(is_free_name("err") && !is_free_name("_Unwind_Resume") && !is_free_name("runtime.goexit1"));
        assert!(!is_noreturn_name("error") && !is_noreturn_name("exit_group_of"));
    }
}
