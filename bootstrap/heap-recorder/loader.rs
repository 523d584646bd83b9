//! The dynamic loader: functions that only libraries and programs with a dynamic C library have.

use core::ffi::{c_char, c_int, c_void};

#[repr(C)]
pub(crate) struct Symbol {
    pub(crate) path: *const c_char,
    pub(crate) base: *mut c_void,
    pub(crate) name: *const c_char,
    pub(crate) address: *mut c_void,
}

#[link(name = "c")]
#[link(name = "dl")]
unsafe extern "C" {
    pub(crate) fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    pub(crate) fn dladdr(address: *const c_void, symbol: *mut Symbol) -> c_int;
    pub(crate) fn abort() -> !;
}

pub(crate) const NEXT: *mut c_void = -1_isize as *mut c_void;
