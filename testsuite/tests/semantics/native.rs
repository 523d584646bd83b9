//! Runs one instruction on this processor, from a given state: `(code, machine) -> (machine, end)`.
//!
//! The instruction is entered and left by a signal. A breakpoint raises `SIGTRAP`; its handler saves
//! the state of this program and puts the given one in its place. The instruction is followed by breakpoints, so that it
//! ends with a signal whatever it does; the handler then takes the state that it left and puts that of this program back.
//! Branches are single-stepped, so that their targets are never executed. The segment of the code is part of that state,
//! which is how 32-bit code runs.
//!
//! Code and data are on two pages below 4 GiB with inaccessible ones around them.
#![expect(unsafe_code, reason = "the state of the processor is replaced")]
#![expect(clippy::cast_ptr_alignment, reason = "an area of extended state is aligned to 64 bytes")]

use nix::libc::{self, c_int, c_void, siginfo_t, ucontext_t};
use std::arch::asm;
use std::mem::zeroed;
use std::ptr::{from_mut, null_mut};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The pages around code and data.
const RESERVED: u64 = 0x2000_0000;
const RESERVED_SIZE: usize = 0x2_0000;
/// Where the instruction is: before and after it are breakpoints.
pub(crate) const CODE: u64 = RESERVED + 0x4800;
/// The page of data.
pub(crate) const DATA: u64 = RESERVED + 0x1_0000;
pub(crate) const PAGE: usize = 0x1000;
/// The base of the segment `gs`.
pub(crate) const GS: u64 = 0x1ff0_0100;

/// The general registers in the order of their numbers, by their indices in a signal's context.
const GENERAL: [usize; 16] = [13, 14, 12, 11, 15, 10, 9, 8, 0, 1, 2, 3, 4, 5, 6, 7];
const RIP: usize = 16;
const FLAGS: usize = 17;
const SEGMENTS: usize = 18;
/// The selector of 32-bit code.
const CODE_32: i64 = 0x23;
const SINGLE_STEP: i64 = 0x100;
/// Bytes of an area of extended state, more than any processor has.
const AREA: usize = 16384;

const SIGNALS: [c_int; 5] = [libc::SIGTRAP, libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL];

/// What an instruction reads and writes.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Machine {
    pub(crate) general: [u64; 16],
    pub(crate) flags: u64,
    pub(crate) vectors: [[u64; 4]; 16],
    pub(crate) mxcsr: u32,
    pub(crate) x87: [[u8; 10]; 8],
    /// Control word, status word, and a bit for each register that is in use.
    pub(crate) x87_status: [u16; 3],
    /// The page of data.
    pub(crate) memory: Vec<u8>,
}

/// How an instruction ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) signal: c_int,
    pub(crate) code: c_int,
    pub(crate) rip: u64,
    /// The address that could not be accessed.
    pub(crate) address: u64,
}

/// What the program and the handler of signals tell each other.
#[expect(clippy::struct_excessive_bools, reason = "independent of each other")]
struct Exchange {
    is_inside: bool,
    is_32: bool,
    is_stepped: bool,
    has_avx: bool,
    machine: Machine,
    end: End,
    /// The state of this program while the instruction runs.
    registers: [i64; 23],
    area: Box<[u8; AREA]>,
    area_size: usize,
}

static EXCHANGE: AtomicPtr<Exchange> = AtomicPtr::new(null_mut());
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The processor, prepared for instructions. There is one at a time.
pub(crate) struct Processor {
    exchange: Box<Exchange>,
    old_actions: Vec<libc::sigaction>,
    old_stack: libc::stack_t,
    _stack: Vec<u8>,
    _one: MutexGuard<'static, ()>,
}

impl Machine {
    pub(crate) fn zero() -> Self {
        Self {
            general: [0; 16],
            flags: 0x202,
            vectors: [[0; 4]; 16],
            mxcsr: 0x1f80,
            x87: [[0; 10]; 8],
            x87_status: [0x37f, 0, 0],
            memory: vec![0; PAGE],
        }
    }
}

impl Processor {
    /// Maps the pages, and handles signals from now on; the reason if the system does not allow it.
    pub(crate) fn new() -> Result<Self, String> {
        let one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let error = |what: &str| Err(format!("{what}: {}", std::io::Error::last_os_error()));
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE | libc::MAP_NORESERVE;
        // SAFETY: nothing else is mapped at these addresses, or the call fails.
        let mapped =
            unsafe { libc::mmap(RESERVED as *mut c_void, RESERVED_SIZE, libc::PROT_NONE, flags, -1, 0) };
        if mapped as u64 != RESERVED {
            return error("pages below 4 GiB cannot be mapped");
        }
        let all = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
        let code = CODE & !(PAGE as u64 - 1);
        // SAFETY: both pages are within what was just mapped.
        let is_accessible = unsafe {
            libc::mprotect(code as *mut c_void, PAGE, all) == 0
                && libc::mprotect(DATA as *mut c_void, PAGE, libc::PROT_READ | libc::PROT_WRITE) == 0
        };
        if !is_accessible {
            return error("a page cannot be made executable");
        }
        let mut stack = vec![0_u8; 1 << 17];
        let new_stack = libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: stack.len() };
        // SAFETY: the stack lives as long as the processor, which restores the old one. The base of `gs` and the
        // selectors of data segments have no meaning in 64-bit programs.
        let (old_stack, old_actions) = unsafe {
            let mut old_stack = zeroed();
            libc::sigaltstack(&raw const new_stack, &raw mut old_stack);
            libc::syscall(libc::SYS_arch_prctl, 0x1001, GS);
            asm!("mov ds, {0:e}", "mov es, {0:e}", in(reg) 0x2b);
            let mut action: libc::sigaction = zeroed();
            action.sa_sigaction = handle as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
            let replace = |signal: &c_int| {
                let mut old = zeroed();
                libc::sigaction(*signal, &raw const action, &raw mut old);
                old
            };
            (old_stack, SIGNALS.iter().map(replace).collect())
        };
        let mut exchange = Box::new(Exchange {
            is_inside: false,
            is_32: false,
            is_stepped: false,
            has_avx: is_x86_feature_detected!("avx"),
            machine: Machine::zero(),
            end: End::default(),
            registers: [0; 23],
            area: Box::new([0; AREA]),
            area_size: 0,
        });
        EXCHANGE.store(from_mut(&mut *exchange), Ordering::SeqCst);
        Ok(Self { exchange, old_actions, old_stack, _stack: stack, _one: one })
    }

    /// Runs the instruction that `bytes` are, at [`CODE`], and changes the machine as it does. `is_stepped` stops after
    /// it wherever it goes; otherwise a breakpoint at the next instruction does.
    pub(crate) fn run(&mut self, bytes: &[u8], is_32: bool, is_stepped: bool, machine: &mut Machine) -> End {
        const BREAKPOINT: u8 = 0xcc;
        let exchange = from_mut(&mut *self.exchange);
        // SAFETY: the pages are mapped. The breakpoint returns with every register as it was, and what the handler
        // changes in the exchange meanwhile is not borrowed. The instruction can write any memory that its operands
        // name: they are in the page of data, or at addresses where nothing is mapped.
        unsafe {
            let code = CODE as *mut u8;
            code.write_bytes(BREAKPOINT, 32);
            code.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            (DATA as *mut u8).copy_from_nonoverlapping(machine.memory.as_ptr(), PAGE);
            ((*exchange).is_32, (*exchange).is_stepped, (*exchange).is_inside) = (is_32, is_stepped, false);
            std::mem::swap(&mut (*exchange).machine, machine);
            asm!("int3");
            std::mem::swap(&mut (*exchange).machine, machine);
            (DATA as *const u8).copy_to_nonoverlapping(machine.memory.as_mut_ptr(), PAGE);
            (*exchange).end
        }
    }
}

impl Drop for Processor {
    fn drop(&mut self) {
        EXCHANGE.store(null_mut(), Ordering::SeqCst);
        // SAFETY: what was replaced is put back, and the pages are not used any more.
        unsafe {
            for (signal, old) in SIGNALS.iter().zip(&self.old_actions) {
                libc::sigaction(*signal, old, null_mut());
            }
            libc::sigaltstack(&raw const self.old_stack, null_mut());
            libc::munmap(RESERVED as *mut c_void, RESERVED_SIZE);
        }
    }
}

/// Puts one state in the place of another.
extern "C" fn handle(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let exchange = EXCHANGE.load(Ordering::SeqCst);
    // SAFETY: the system passes a context whose area of extended state is as large as it says. The exchange lives while
    // the handler is installed, and the thread that uses it is interrupted, or the signal is not ours.
    unsafe {
        let context = &mut *context.cast::<ucontext_t>();
        let registers = &mut context.uc_mcontext.gregs;
        let area = context.uc_mcontext.fpregs.cast::<u8>();
        if exchange.is_null() {
            libc::signal(signal, libc::SIG_DFL);
            return;
        }
        let exchange = &mut *exchange;
        if exchange.is_inside {
            exchange.end = End {
                signal,
                code: (*info).si_code,
                rip: registers[RIP] as u64,
                address: (*info).si_addr() as u64,
            };
            leave(exchange, registers, area);
        } else {
            enter(exchange, registers, area);
        }
    }
}

/// Saves the state of this program, and replaces it by that of the machine.
unsafe fn enter(exchange: &mut Exchange, registers: &mut [i64; 23], area: *mut u8) {
    let machine = &exchange.machine;
    exchange.is_inside = true;
    exchange.registers = *registers;
    for (register, index) in machine.general.iter().zip(GENERAL) {
        registers[index] = *register as i64;
    }
    registers[RIP] = CODE as i64;
    registers[FLAGS] = machine.flags as i64 | if exchange.is_stepped { SINGLE_STEP } else { 0 };
    if exchange.is_32 {
        registers[SEGMENTS] = registers[SEGMENTS] & !0xffff | CODE_32;
    }
    // SAFETY: the layout of the area is that of `fxsave` and `xsave` (Intel SDM, volume 1, sections 10.5.1 and 13.4);
    // the size of it is in what `fxsave` leaves to software (Linux, `struct _fpx_sw_bytes`).
    unsafe {
        let size = area.add(468).cast::<u32>().read() as usize;
        exchange.area_size = if exchange.has_avx { size.min(AREA) } else { 512 };
        exchange.area.as_mut_ptr().copy_from_nonoverlapping(area, exchange.area_size);
        let [control, status, tags] = machine.x87_status;
        area.cast::<[u16; 3]>().write([control, status, tags]);
        area.add(24).cast::<u32>().write(machine.mxcsr);
        for (index, bytes) in machine.x87.iter().enumerate() {
            area.add(32 + 16 * index).cast::<[u8; 10]>().write(*bytes);
        }
        for (index, [a, b, c, d]) in machine.vectors.iter().enumerate() {
            area.add(160 + 16 * index).cast::<[u64; 2]>().write([*a, *b]);
            if exchange.has_avx {
                area.add(576 + 16 * index).cast::<[u64; 2]>().write([*c, *d]);
            }
        }
        if exchange.has_avx {
            // Nothing of the three is in its initial state.
            let present = area.add(512).cast::<u64>();
            present.write(present.read() | 7);
        }
    }
}

/// Takes the state of the machine, and puts that of this program back.
unsafe fn leave(exchange: &mut Exchange, registers: &mut [i64; 23], area: *mut u8) {
    let machine = &mut exchange.machine;
    exchange.is_inside = false;
    for (register, index) in machine.general.iter_mut().zip(GENERAL) {
        *register = registers[index] as u64;
    }
    machine.flags = registers[FLAGS] as u64;
    *registers = exchange.registers;
    // SAFETY: as for `enter`.
    unsafe {
        let present = if exchange.has_avx { area.add(512).cast::<u64>().read() } else { 3 };
        if present & 1 != 0 {
            machine.x87_status = area.cast::<[u16; 3]>().read();
            machine.x87_status[2] &= 0xff;
            for (index, bytes) in machine.x87.iter_mut().enumerate() {
                *bytes = area.add(32 + 16 * index).cast::<[u8; 10]>().read();
            }
        } else {
            machine.x87_status = [0x37f, 0, 0];
            machine.x87 = [[0; 10]; 8];
        }
        machine.mxcsr = area.add(24).cast::<u32>().read();
        for (index, vector) in machine.vectors.iter_mut().enumerate() {
            let low = area.add(160 + 16 * index).cast::<[u64; 2]>().read();
            let high = area.add(576 + 16 * index).cast::<[u64; 2]>();
            let low = if present & 2 == 0 { [0; 2] } else { low };
            let high = if exchange.has_avx && present & 4 != 0 { high.read() } else { [0; 2] };
            *vector = [low[0], low[1], high[0], high[1]];
        }
        area.copy_from_nonoverlapping(exchange.area.as_ptr(), exchange.area_size);
    }
}

#[test]
fn instructions_end_as_they_do() {
    let Ok(mut processor) = Processor::new() else { return };
    let mut run = |bytes: &[u8], is_32, is_stepped| {
        let mut machine = Machine::zero();
        machine.general[3] = DATA + PAGE as u64;
        let end = processor.run(bytes, is_32, is_stepped, &mut machine);
        (end.signal, end.rip - CODE, machine)
    };
    for (bytes, is_32, is_stepped, signal, at) in [
        (&[0x90][..], false, false, libc::SIGTRAP, 2),
        (&[0x0f, 0x0b], false, false, libc::SIGILL, 0),
        (&[0xf7, 0xf0], false, false, libc::SIGFPE, 0),
        (&[0x8b, 0x03], false, false, libc::SIGSEGV, 0),
        (&[0xeb, 0x10], false, true, libc::SIGTRAP, 0x12),
        // `40` is a prefix in 64-bit code.
        (&[0x40], true, false, libc::SIGTRAP, 2),
    ] {
        let (ended, rip, machine) = run(bytes, is_32, is_stepped);
        assert_eq!((ended, rip), (signal, at), "{bytes:02x?}");
        assert_eq!(machine.general[0], u64::from(is_32), "{bytes:02x?}");
    }
}
