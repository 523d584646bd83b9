//! Order and join of abstract states.
//!
//! *Order.* `a <= b` if every concrete state that `a` describes is described by `b`: pointwise for registers and stack
//! bytes. In the function's own frame, `b` has at most the cells of `a`. `b` escapes from the same or a lower frame
//! offset, includes the captured and written parameters of `a`, and is at least as high in `stack_arguments`,
//! `is_aligned` and `writes_unknown_memory`. Its comparison is that of `a`, or none.
//!
//! *Join.* Pointwise. A cell that only one state has becomes unknown. In the function's own frame it is dropped. In the
//! caller's frame, a cell of the left state alone stays with unknown value; one of the right state alone makes
//! `stack_arguments` unknown. Cells of different sizes at the same frame offset count as a cell of the left state
//! alone. A value whose base the join forgets escapes, since it may still be used through the unknown value. The
//! comparison is kept if both states have the same.
//!
//! *Widening.* Registers and cells are widened value by value; everything else needs no widening.
//!
//! *Height.* A join never adds a cell. Sets only grow, `escaped_from` only sinks, and flags change once. Values are
//! the reason for widening.

use super::abstract_state::{AbstractState, StackArguments, StackCell};
use super::abstract_value::{AbstractValue, Threshold};
use binframe_ir::tables::UnknownReason;
use std::rc::Rc;

impl AbstractState {
    /// Joins the state of another path into this one, and widens if thresholds are given. Returns whether the state
    /// changed.
    pub(crate) fn join(&mut self, other: &Self, widening: Option<&[Threshold]>) -> bool {
        let mut forgotten = Vec::new();
        let mut is_changed = false;
        for (own, other) in self.registers.iter_mut().zip(&other.registers) {
            if own != other {
                is_changed |= join_value(own, *other, widening, &mut forgotten);
            }
        }
        if !Rc::ptr_eq(&self.cells, &other.cells) && self.cells != other.cells {
            is_changed |= self.join_cells(&other.cells, widening, &mut forgotten);
        }
        let effects = |state: &Self| {
            (
                state.stack_arguments,
                state.is_aligned,
                state.captured,
                state.written,
                state.writes_unknown_memory,
            )
        };
        let before = effects(self);
        self.stack_arguments = self.stack_arguments.max(other.stack_arguments);
        self.is_aligned |= other.is_aligned;
        self.captured.add(other.captured);
        self.written.add(other.written);
        self.writes_unknown_memory |= other.writes_unknown_memory;
        let (escaped_from, comparison) = (self.escaped_from, self.comparison);
        self.comparison = comparison.filter(|_| comparison == other.comparison);
        self.mark_escaped_from(other.escaped_from);
        for value in forgotten {
            self.escape(value);
        }
        is_changed
            || before != effects(self)
            || self.escaped_from != escaped_from
            || self.comparison != comparison
    }

    /// Joins the cells of another state. Adds values that are no longer tracked to `forgotten`.
    fn join_cells(
        &mut self,
        others: &[StackCell],
        widening: Option<&[Threshold]>,
        forgotten: &mut Vec<AbstractValue>,
    ) -> bool {
        let mut is_changed = false;
        let mut joined = Vec::with_capacity(self.cells.len());
        let mut others = others.iter().peekable();
        for cell in self.cells.iter() {
            while let Some(skipped) = others.next_if(|next| next.frame_offset < cell.frame_offset) {
                forgotten.push(skipped.value);
                is_changed |= forget_argument(&mut self.stack_arguments, skipped);
            }
            let mut value = cell.value;
            match others.next_if(|next| next.frame_offset == cell.frame_offset) {
                Some(same) if same.size == cell.size => {
                    is_changed |= join_value(&mut value, same.value, widening, forgotten);
                }
                same => {
                    forgotten.extend(same.map(|same| same.value).into_iter().chain([value]));
                    is_changed |= !value.is_unknown();
                    value = AbstractValue::unknown(UnknownReason::Merged);
                }
            }
            if !value.is_unknown() || cell.frame_offset >= 0 {
                joined.push(StackCell { value, ..*cell });
            } else {
                is_changed = true;
            }
        }
        for skipped in others {
            forgotten.push(skipped.value);
            is_changed |= forget_argument(&mut self.stack_arguments, skipped);
        }
        if is_changed {
            self.cells = Rc::new(joined);
        }
        is_changed
    }
}

/// Makes the caller's stack arguments unknown if a cell that is not in both states is one of them. Returns whether
/// they changed.
fn forget_argument(stack_arguments: &mut StackArguments, cell: &StackCell) -> bool {
    let is_changed = cell.frame_offset >= 0 && *stack_arguments != StackArguments::Unknown;
    if is_changed {
        *stack_arguments = StackArguments::Unknown;
    }
    is_changed
}

/// Joins a value into another, and widens it. Adds values to `forgotten` whose escape matters and whose base the result
/// does not have. Returns whether the value changed.
fn join_value(
    own: &mut AbstractValue,
    other: AbstractValue,
    widening: Option<&[Threshold]>,
    forgotten: &mut Vec<AbstractValue>,
) -> bool {
    let before = *own;
    let joined = before.join(other);
    if joined.base != before.base || joined.base != other.base {
        let operands = [before, other].into_iter();
        forgotten.extend(operands.filter(|value| value.base.escape_matters() && value.base != joined.base));
    }
    *own = widening.map_or(joined, |thresholds| joined.widened(before, thresholds));
    *own != before
}
