//! The memory regions that a call creates: an allocation, or the stack of a thread.

use super::analysis_results::{Allocation, ThreadStart};
use super::callees::Callee;
use super::library_models;
use super::program::Program;
use crate::domains::{AbstractState, AbstractValue, Base};
use binframe_ir::tables::CallEdge;

/// The memory that the call at an address allocates, given the state before it; `None` if the callee returns no new
/// memory.
pub(super) fn allocation(
    program: &Program<'_>,
    before: &AbstractState,
    call_address: u64,
    callee: &Callee<'_>,
) -> Option<Allocation> {
    matches!(callee.summary.returned.base, Base::Heap(_))
        .then(|| Allocation { call_address, size: allocated_size(program, before, callee) })
}

/// The thread that a call starts, given the state before it; `None` if the thread's function is not known.
pub(super) fn thread_start(
    program: &Program<'_>,
    before: &AbstractState,
    call: Option<CallEdge<'_>>,
) -> Option<ThreadStart> {
    let call = call?;
    let name = call.import_name.and_then(|name| name.split('@').next())?;
    let (_, parameter) = THREAD_STARTERS.iter().find(|(starter, _)| *starter == name)?;
    let start = argument(program, before, *parameter).address()?;
    program.function_at(start)?;
    Some(ThreadStart { call_address: call.call_address, function_address: start })
}

/// Size of the memory that a call allocates; `None` if it is not constant.
fn allocated_size(program: &Program<'_>, before: &AbstractState, callee: &Callee<'_>) -> Option<u64> {
    let name = callee.call.and_then(|call| call.import_name);
    let name = name.or_else(|| callee.function.and_then(|row| program.functions.function_name.get(row)))?;
    let mut factors = library_models::size_parameters(name).peekable();
    factors.peek()?;
    let factor =
        |parameter| argument(program, before, parameter).constant().and_then(|size| u64::try_from(size).ok());
    factors.try_fold(1_u64, |size, parameter| size.checked_mul(factor(parameter)?))
}

/// The argument for a parameter of a call.
fn argument(program: &Program<'_>, before: &AbstractState, parameter: usize) -> AbstractValue {
    let convention = program.convention;
    match convention.parameters.get(parameter) {
        Some(register) => before.register(register.0),
        None => {
            let size = convention.address_size;
            let above = (parameter - convention.parameters.len()) as i64 * i64::from(size);
            before.load(program.stack_pointer(before).plus(above + convention.home_size), size)
        }
    }
}

/// Functions that start a thread, and the index of the parameter with the thread's function.
const THREAD_STARTERS: [(&str, usize); 6] = [
    ("pthread_create", 2),
    ("_pthread_create", 2),
    ("thrd_create", 1),
    ("CreateThread", 2),
    ("_beginthreadex", 2),
    ("_beginthread", 0),
];
