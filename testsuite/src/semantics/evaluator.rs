//! `(ops, state) -> (state, outcome)`: does what the ops of one instruction say.

use super::float::Modes;
use super::memory::Fault;
use super::state::State;
use super::value::Value;
use super::{flags, lanes, memory};
use binframe::passes::isa::ops::{
    Condition, INPUTS_MAX, Op, Operand, Operation, Ops, OtherMemory, Place, TrapKind,
};

/// Where execution continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// At the next instruction.
    Next,
    /// At an address, by a jump.
    Jump(u64),
    /// At an address, by a call.
    Call(u64),
    /// At an address, by a return.
    Return(u64),
    /// Where it continues is undefined.
    Undefined,
    /// An exception is raised.
    Trap(TrapKind),
    /// The operating system is called.
    Service,
    /// Memory at an address cannot be accessed. Elements before that of an operation on elements are done.
    Fault(u64),
}

/// Why evaluation ends before the last op.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Fault(u64),
    Trap(TrapKind),
}

/// Does the ops of an instruction. After a fault or trap, the state is that before the op that raised it.
pub fn evaluate(ops: &Ops, state: &mut State) -> Outcome {
    let temporaries = ops.temporaries().iter().map(|bits| Value::undefined(*bits)).collect();
    let mut evaluator = Evaluator { ops, state, temporaries, outcome: Outcome::Next };
    for op in ops.as_slice() {
        match evaluator.step(op) {
            Ok(()) => {}
            Err(Stop::Fault(address)) => return Outcome::Fault(address),
            Err(Stop::Trap(kind)) => return Outcome::Trap(kind),
        }
    }
    evaluator.outcome
}

struct Evaluator<'a> {
    ops: &'a Ops,
    state: &'a mut State,
    /// The values of temporaries; undefined before they are written.
    temporaries: Vec<Value>,
    outcome: Outcome,
}

impl Evaluator<'_> {
    fn step(&mut self, op: &Op) -> Result<(), Stop> {
        use Operation as O;
        if let Some(guard) = op.guard {
            let guard = self.read(guard);
            if guard.is_undefined() {
                self.may_do(op);
                return Ok(());
            }
            if !guard.is_true() {
                return Ok(());
            }
        }
        let operands = self.ops.inputs(op);
        let mut inputs = [Value::zero(0); INPUTS_MAX];
        let count = operands.len().min(INPUTS_MAX);
        for (input, operand) in inputs.iter_mut().zip(operands) {
            *input = self.read(*operand);
        }
        let inputs = &inputs[..count];
        let result = match op.operation {
            O::Opaque { memory, .. } => {
                self.forget(op);
                if memory == OtherMemory::ReadsAndWrites {
                    self.state.memory.forget();
                }
                return Ok(());
            }
            O::Undefined => {
                self.forget(op);
                return Ok(());
            }
            O::Flags(of) => {
                if let Place::Flags(set) = op.place {
                    flags::define(self.state, set, of, op.bits, inputs);
                }
                return Ok(());
            }
            O::Condition(condition) => self.condition(condition),
            O::Fence => return Ok(()),
            O::Trap(kind) => return Err(Stop::Trap(kind)),
            O::Service => {
                self.outcome = Outcome::Service;
                return Ok(());
            }
            O::Jump | O::Call | O::Return => {
                let target = inputs[0].low() as u64;
                self.outcome = match op.operation {
                    _ if inputs[0].is_undefined() => Outcome::Undefined,
                    O::Jump => Outcome::Jump(target),
                    O::Call => Outcome::Call(target),
                    _ => Outcome::Return(target),
                };
                return Ok(());
            }
            operation if memory::is_access(operation) => {
                memory::access(&mut self.state.memory, operation, op.bits, op.lanes.into(), inputs)
                    .map_err(|Fault(address)| Stop::Fault(address))?
            }
            O::Select if !inputs[0].is_undefined() => inputs[if inputs[0].is_true() { 1 } else { 2 }],
            _ if inputs.iter().any(Value::is_undefined) => Value::undefined(place_bits(op.place)),
            _ => {
                let modes = Modes {
                    rounding: self.state.rounding,
                    is_default_nan_negative: self.state.is_default_nan_negative,
                };
                let result = lanes::compute(op, place_bits(op.place), inputs, modes);
                result.ok_or(Stop::Trap(TrapKind::Division))?
            }
        };
        self.write(op.place, &result);
        Ok(())
    }

    fn condition(&self, condition: Condition) -> Value {
        flags::holds(self.state, condition)
            .map_or(Value::undefined(1), |holds| Value::of(u128::from(holds), 1))
    }

    fn read(&self, operand: Operand) -> Value {
        match operand {
            Operand::None => Value::zero(0),
            Operand::Constant(number, bits) | Operand::Address(number, bits) => {
                Value::of(u128::from(number), bits)
            }
            Operand::Register(register, part) => self.state.register(register, part),
            Operand::Temporary(index, part) => self.temporaries[usize::from(index)].part(part.low, part.bits),
            Operand::Flag(flag) => {
                self.state.flag(flag).map_or(Value::undefined(1), |value| Value::of(u128::from(value), 1))
            }
        }
    }

    fn write(&mut self, place: Place, value: &Value) {
        match place {
            Place::None => {}
            Place::Register(register, part, rest) => self.state.set_register(register, part, rest, value),
            Place::Temporary(index, _) => self.temporaries[usize::from(index)] = *value,
            Place::Flag(flag) => {
                self.state.set_flag(flag, (!value.is_undefined()).then(|| value.is_true()));
            }
            Place::Flags(flags) => self.state.forget_flags(flags),
        }
    }

    /// Makes every place of an op undefined.
    fn forget(&mut self, op: &Op) {
        for place in self.ops.places(op) {
            self.write(*place, &Value::undefined(place_bits(*place)));
        }
    }

    /// An op whose guard is undefined: what it writes is undefined.
    fn may_do(&mut self, op: &Op) {
        self.forget(op);
        match op.operation {
            Operation::Jump
            | Operation::Call
            | Operation::Return
            | Operation::Trap(_)
            | Operation::Service => {
                self.outcome = Outcome::Undefined;
            }
            operation if memory::is_store(operation) => {
                let address = self.read(op.inputs[0]);
                let value = Value::undefined(op.bits * u16::from(op.lanes));
                // A fault is not certain either.
                let _ = self.state.memory.store(&address, &value);
            }
            _ => {}
        }
    }
}

/// Width in bits of a place that is not flags.
pub(super) fn place_bits(place: Place) -> u16 {
    match place {
        Place::None | Place::Flags(_) => 0,
        Place::Register(_, part, _) => part.bits,
        Place::Temporary(_, bits) => bits,
        Place::Flag(_) => 1,
    }
}
