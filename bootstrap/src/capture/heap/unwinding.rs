//! `(registers, stack) -> call site`: unwinds the stack of an allocation, and reuses the calls that are as they were at
//! the previous allocation of the thread.
//!
//! *Notation.* A *state* is the program counter, stack pointer and frame pointer in a function. The callers of a state
//! depend on it, and on the stack from its stack pointer on.
//!
//! *Algorithm.* The states of the previous stack are kept with their call sites. Those whose stack has changed are
//! discarded. The new stack is unwound until a state equals one of those that remain; from there on the callers are
//! the same.
//!
//! *Termination.* Stack pointers increase from each state to the next, within the stack that is known.

use super::super::mappings::parse_maps;
use super::super::modules::{Images, Module};
use super::super::snapshot::ProcessSnapshot;
use super::super::stacks::unwinder;
use super::call_sites::{CallSites, Caller};
use super::channel::WINDOW;
use bytes::Bytes;
use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use framehop::{FrameAddress, Unwinder as _};

/// The program counter, stack pointer and frame pointer in a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    pub(super) program_counter: u64,
    pub(super) stack_pointer: u64,
    pub(super) frame_pointer: u64,
}

/// The stack of a thread as it was at its last allocation.
pub(super) struct Stack {
    /// The copy of the stack, by the lower bits of addresses. It is known from `low` to `high`.
    words: Box<[u64]>,
    low: u64,
    high: u64,
    /// The states, with the call sites of their program counters; the start of the thread is the first.
    states: Vec<(State, u32)>,
    /// The states that were unwound last.
    unwound: Vec<State>,
}

impl Default for Stack {
    fn default() -> Self {
        let words = vec![0; WINDOW / 8].into();
        Self { words, low: 0, high: 0, states: Vec::new(), unwound: Vec::new() }
    }
}

impl Stack {
    /// Takes the stack at an allocation, which is known from `low` to `high`. `changed` are the words that differ from the
    /// copy, with their positions from `low` on.
    pub(super) fn update(&mut self, low: u64, high: u64, changed: impl Iterator<Item = (u64, u64)>) {
        let mut unchanged = low;
        for (position, word) in changed {
            let address = low.wrapping_add(position * 8);
            self.words[(address / 8) as usize % (WINDOW / 8)] = word;
            unchanged = address.wrapping_add(8);
        }
        if high != self.high {
            self.states.clear();
        }
        while self.states.pop_if(|(state, _)| state.stack_pointer < unchanged).is_some() {}
        (self.low, self.high) = (low, high);
    }

    /// Discards the states, because code was replaced.
    pub(super) fn discard_states(&mut self) {
        self.states.clear();
    }
}

/// Unwinds the stacks of a program.
pub(super) struct Unwinder {
    images: Images,
    modules: Vec<Module>,
    framehop: UnwinderX86_64<Bytes>,
    cache: Box<CacheX86_64>,
}

impl Unwinder {
    pub(super) fn new() -> Self {
        Self {
            images: Images::default(),
            modules: Vec::new(),
            framehop: UnwinderX86_64::new(),
            cache: Box::default(),
        }
    }

    /// Takes the modules from the text of `/proc/PID/maps`.
    pub(super) fn load(&mut self, mappings: &str) {
        self.modules = self.images.modules(&ProcessSnapshot::without_content(parse_maps(mappings)));
        (self.framehop, self.cache) = (unwinder(&self.modules), Box::default());
    }

    /// The call site of an allocation, and the stack pointer of the start of the thread if all callers are known.
    pub(super) fn call_site(
        &mut self,
        stack: &mut Stack,
        mut state: State,
        sites: &mut CallSites,
    ) -> (u32, Option<u64>) {
        let Stack { words, low, high, states, unwound } = stack;
        let (low, high) = (*low, *high);
        let mut read = |address: u64| {
            let is_known = address.is_multiple_of(8) && (low..high).contains(&address);
            is_known.then(|| words[(address / 8) as usize % (WINDOW / 8)]).ok_or(())
        };
        unwound.clear();
        let mut start = None;
        let State { program_counter, stack_pointer, frame_pointer } = state;
        let mut registers = UnwindRegsX86_64::new(program_counter, stack_pointer, frame_pointer);
        let mut caller = loop {
            while states.pop_if(|(own, _)| own.stack_pointer < state.stack_pointer).is_some() {}
            if let Some((own, site)) = states.last()
                && *own == state
            {
                break Caller::Call(*site);
            }
            unwound.push(state);
            let Some(address) = FrameAddress::from_return_address(state.program_counter) else {
                break Caller::Unknown;
            };
            match self.framehop.unwind_frame(address, &mut registers, &mut self.cache, &mut read) {
                Ok(Some(program_counter)) if registers.sp() > state.stack_pointer => {
                    state = State {
                        program_counter,
                        stack_pointer: registers.sp(),
                        frame_pointer: registers.bp(),
                    };
                }
                Ok(None) => {
                    start = Some(state.stack_pointer);
                    break Caller::Start;
                }
                _ => break Caller::Unknown,
            }
        };
        if !matches!(caller, Caller::Call(_)) {
            states.clear();
        }
        for state in unwound.iter().rev() {
            let site = sites.find(caller, state.program_counter, &self.modules);
            states.push((*state, site));
            caller = Caller::Call(site);
        }
        let site = states.last().map_or(0, |(_, site)| *site);
        (site, start)
    }
}
