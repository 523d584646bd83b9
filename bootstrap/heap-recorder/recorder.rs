//! A library that is loaded into a program (`LD_PRELOAD`) and records its allocations.
//!
//! It replaces the functions of C that allocate and release memory. Each calls the function that it replaces, of the C
//! library or of another allocator, and records what happened to shared memory ([`channel`]), which binframe reads while
//! the program runs. The channel is found at the name `channel` next to the file of this library.
//!
//! `realloc` is a release and an allocation. What is released is recorded before, because another thread may get the
//! memory right away; it is retracted if `realloc` fails.

#![no_std]

#[path = "../src/capture/heap/channel.rs"]
#[expect(dead_code, reason = "a library finds the channel without names")]
mod channel;
mod loader;
mod system;
mod writer;

use crate::channel::Channel;
use crate::writer::{Frame, allocated, map_channel, releases, retracts, start};
use core::cell::UnsafeCell;
use core::ffi::{CStr, c_int, c_void};
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: the function takes no arguments.
    unsafe { loader::abort() }
}

/// The functions that are replaced.
struct Functions {
    malloc: unsafe extern "C" fn(usize) -> *mut u8,
    free: unsafe extern "C" fn(*mut u8),
    calloc: unsafe extern "C" fn(usize, usize) -> *mut u8,
    realloc: unsafe extern "C" fn(*mut u8, usize) -> *mut u8,
    posix_memalign: unsafe extern "C" fn(*mut *mut u8, usize, usize) -> c_int,
    aligned_alloc: unsafe extern "C" fn(usize, usize) -> *mut u8,
    memalign: unsafe extern "C" fn(usize, usize) -> *mut u8,
    valloc: unsafe extern "C" fn(usize) -> *mut u8,
    pvalloc: unsafe extern "C" fn(usize) -> *mut u8,
}

struct FoundFunctions(UnsafeCell<Option<Functions>>);

// SAFETY: they are found once, while the program has one thread, and then only read.
unsafe impl Sync for FoundFunctions {}

static FUNCTIONS: FoundFunctions = FoundFunctions(UnsafeCell::new(None));

/// Whether the functions are not found yet (0), are searched for (1), or are found (2).
static PHASE: AtomicU8 = AtomicU8::new(0);

/// Memory for allocations of the search itself. It is never released.
#[repr(align(16))]
struct EarlyMemory(UnsafeCell<[u8; 1 << 14]>);

// SAFETY: each part is given to one caller.
unsafe impl Sync for EarlyMemory {}

static EARLY: EarlyMemory = EarlyMemory(UnsafeCell::new([0; 1 << 14]));
static EARLY_USED: AtomicUsize = AtomicUsize::new(0);

fn allocate_early(size: usize) -> *mut u8 {
    let size = size.saturating_add(15) & !15;
    let offset = EARLY_USED.fetch_add(size, Ordering::Relaxed);
    if offset.saturating_add(size) > 1 << 14 {
        return null_mut();
    }
    // SAFETY: the part is in the array.
    unsafe { EARLY.0.get().cast::<u8>().add(offset) }
}

/// The bytes of the early memory from an address on; `None` if it is elsewhere.
fn early_size(address: *mut u8) -> Option<usize> {
    let start = EARLY.0.get() as usize;
    (start..start + (1 << 14)).contains(&(address as usize)).then(|| start + (1 << 14) - address as usize)
}

/// The functions that are replaced; `None` while they are searched for.
#[inline(always)]
fn functions() -> Option<&'static Functions> {
    if PHASE.load(Ordering::Acquire) != 2 {
        find_functions();
    }
    // SAFETY: they are written before the phase is 2, and only read afterwards.
    match PHASE.load(Ordering::Acquire) {
        2 => unsafe { (*FUNCTIONS.0.get()).as_ref() },
        _ => None,
    }
}

#[cold]
fn find_functions() {
    if PHASE.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed).is_err() {
        return;
    }
    // SAFETY: the functions have these types in every C library. The pointer is written by one thread.
    unsafe {
        let find = |name: &CStr| loader::dlsym(loader::NEXT, name.as_ptr());
        use core::mem::transmute as function;
        *FUNCTIONS.0.get() = Some(Functions {
            malloc: function::<*mut c_void, _>(find(c"malloc")),
            free: function::<*mut c_void, _>(find(c"free")),
            calloc: function::<*mut c_void, _>(find(c"calloc")),
            realloc: function::<*mut c_void, _>(find(c"realloc")),
            posix_memalign: function::<*mut c_void, _>(find(c"posix_memalign")),
            aligned_alloc: function::<*mut c_void, _>(find(c"aligned_alloc")),
            memalign: function::<*mut c_void, _>(find(c"memalign")),
            valloc: function::<*mut c_void, _>(find(c"valloc")),
            pvalloc: function::<*mut c_void, _>(find(c"pvalloc")),
        });
        PHASE.store(2, Ordering::Release);
        system::keeping_errno(|| {
            let loader = loader::dlsym(null_mut(), c"__tls_get_addr".as_ptr());
            if let Some(channel) = find_channel() {
                start(channel, true, system::mapping_at(loader as usize));
            }
        });
    }
}

/// Finds the functions before the program starts, if it does not allocate.
#[used]
#[unsafe(link_section = ".init_array")]
static INITIALIZE: extern "C" fn() = {
    extern "C" fn initialize() {
        functions();
    }
    initialize
};

/// Maps the channel next to the file of this library.
fn find_channel() -> Option<*const Channel> {
    let mut symbol = loader::Symbol { path: null(), base: null_mut(), name: null(), address: null_mut() };
    let mut path = [0_u8; 4096];
    // SAFETY: the address is in this library, and the path ends with a zero.
    unsafe {
        if loader::dladdr((&raw const PHASE).cast(), &raw mut symbol) == 0 {
            return None;
        }
        let own = CStr::from_ptr(symbol.path).to_bytes();
        let folder = &own[..=own.iter().rposition(|byte| *byte == b'/')?];
        let name = b"channel";
        path.get_mut(..folder.len())?.copy_from_slice(folder);
        path.get_mut(folder.len()..folder.len() + name.len())?.copy_from_slice(name);
        *path.last_mut()? = 0;
        map_channel(CStr::from_bytes_until_nul(&path).ok()?)
    }
}

/// Defines a function of C that calls another one with two more arguments, in the registers that are named: the address
/// of its return address, and the frame pointer of its caller.
macro_rules! replace {
    ($($name:ident => $own:ident, $frame:literal, $pointer:literal;)*) => {
        $(
            #[unsafe(naked)]
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name() {
                core::arch::naked_asm!(
                    concat!("mov ", $frame, ", rsp"),
                    concat!("mov ", $pointer, ", rbp"),
                    "jmp {own}",
                    own = sym $own,
                )
            }
        )*
    };
}

replace! {
    malloc => own_malloc, "rsi", "rdx";
    calloc => own_calloc, "rdx", "rcx";
    realloc => own_realloc, "rdx", "rcx";
    reallocarray => own_reallocarray, "rcx", "r8";
    posix_memalign => own_posix_memalign, "rcx", "r8";
    aligned_alloc => own_aligned_alloc, "rdx", "rcx";
    memalign => own_memalign, "rdx", "rcx";
    valloc => own_valloc, "rsi", "rdx";
    pvalloc => own_pvalloc, "rsi", "rdx";
}

/// Records an allocation, unless it failed, and returns it.
#[inline(always)]
fn record(address: *mut u8, size: usize, frame: Frame, frame_pointer: usize) -> *mut u8 {
    if !address.is_null() {
        allocated(address, size, frame, frame_pointer, false);
    }
    address
}

unsafe extern "C" fn own_malloc(size: usize, frame: Frame, pointer: usize) -> *mut u8 {
    let Some(functions) = functions() else { return allocate_early(size) };
    // SAFETY: the arguments are those of the caller; likewise in all functions below.
    unsafe {
        let address = (functions.malloc)(size);
        if !address.is_null() {
            allocated(address, size, frame, pointer, true);
        }
        address
    }
}

unsafe extern "C" fn own_calloc(count: usize, size: usize, frame: Frame, pointer: usize) -> *mut u8 {
    let bytes = count.saturating_mul(size);
    let Some(functions) = functions() else { return allocate_early(bytes) };
    unsafe { record((functions.calloc)(count, size), bytes, frame, pointer) }
}

unsafe extern "C" fn own_realloc(old: *mut u8, size: usize, frame: Frame, pointer: usize) -> *mut u8 {
    let Some(functions) = functions() else { return allocate_early(size) };
    unsafe {
        if let Some(old_size) = early_size(old) {
            let new = own_malloc(size, frame, pointer);
            if !new.is_null() {
                core::ptr::copy_nonoverlapping(old, new, old_size.min(size));
            }
            return new;
        }
        if !old.is_null() {
            releases(old);
        }
        let new = (functions.realloc)(old, size);
        if new.is_null() && !old.is_null() && size > 0 {
            retracts();
        }
        record(new, size, frame, pointer)
    }
}

unsafe extern "C" fn own_reallocarray(
    old: *mut u8,
    count: usize,
    size: usize,
    frame: Frame,
    pointer: usize,
) -> *mut u8 {
    // The product of a count and a size that are too large is too large for `realloc` too, which sets `errno`.
    unsafe { own_realloc(old, count.saturating_mul(size), frame, pointer) }
}

unsafe extern "C" fn own_posix_memalign(
    result: *mut *mut u8,
    alignment: usize,
    size: usize,
    frame: Frame,
    pointer: usize,
) -> c_int {
    const OUT_OF_MEMORY: c_int = 12;
    let Some(functions) = functions() else { return OUT_OF_MEMORY };
    unsafe {
        let error = (functions.posix_memalign)(result, alignment, size);
        if error == 0 {
            record(*result, size, frame, pointer);
        }
        error
    }
}

unsafe extern "C" fn own_aligned_alloc(
    alignment: usize,
    size: usize,
    frame: Frame,
    pointer: usize,
) -> *mut u8 {
    let Some(functions) = functions() else { return null_mut() };
    unsafe { record((functions.aligned_alloc)(alignment, size), size, frame, pointer) }
}

unsafe extern "C" fn own_memalign(alignment: usize, size: usize, frame: Frame, pointer: usize) -> *mut u8 {
    let Some(functions) = functions() else { return null_mut() };
    unsafe { record((functions.memalign)(alignment, size), size, frame, pointer) }
}

unsafe extern "C" fn own_valloc(size: usize, frame: Frame, pointer: usize) -> *mut u8 {
    let Some(functions) = functions() else { return null_mut() };
    unsafe { record((functions.valloc)(size), size, frame, pointer) }
}

unsafe extern "C" fn own_pvalloc(size: usize, frame: Frame, pointer: usize) -> *mut u8 {
    let Some(functions) = functions() else { return null_mut() };
    unsafe { record((functions.pvalloc)(size), size, frame, pointer) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn free(address: *mut u8) {
    let Some(functions) = functions() else { return };
    if address.is_null() || early_size(address).is_some() {
        return;
    }
    releases(address);
    unsafe { (functions.free)(address) }
}
