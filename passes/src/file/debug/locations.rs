//! Locations of variables: `(location attribute) -> locations`.
//!
//! Expressions are not evaluated but matched: those that compilers write for nearly all variables have one or two
//! operations. Any other expression is `complex`.
//!
//! Source: DWARF 5, sections 2.5 and 2.6.

use super::attributes::number;
use super::lists::ListEntryBudget;
use crate::file::formats::EndianReader;
use binframe_ir::tables::LocationClass;
use gimli::{AttributeValue, Dwarf, Expression, Operation, Range, Reader as _, Unit};

/// The base of frame offsets in a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameBase {
    /// The canonical frame address: the stack pointer before the call.
    Cfa,
    /// The register with this DWARF number.
    Register(u16),
}

/// A location of a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct VariableLocation {
    /// The code for which it is valid; `None` if it is valid everywhere.
    pub(super) range: Option<Range>,
    pub(super) class: LocationClass,
    pub(super) base: Option<FrameBase>,
    pub(super) offset: Option<i64>,
    pub(super) address: Option<u64>,
    pub(super) constant: Option<i64>,
}

impl VariableLocation {
    fn new(class: LocationClass) -> Self {
        Self { range: None, class, base: None, offset: None, address: None, constant: None }
    }

    /// Whether it does not depend on the activation of a function.
    pub(super) fn is_static(&self) -> bool {
        matches!(self.class, LocationClass::Global | LocationClass::ThreadLocal)
    }
}

/// The context of expressions.
#[derive(Clone, Copy)]
pub(super) struct ExpressionContext<'c, 'a> {
    pub(super) dwarf: &'c Dwarf<EndianReader<'a>>,
    pub(super) unit: &'c Unit<EndianReader<'a>>,
    /// The base of frame offsets in the enclosing function.
    pub(super) frame_base: Option<FrameBase>,
}

impl<'a> ExpressionContext<'_, 'a> {
    /// Adds the locations of a variable, at least one.
    pub(super) fn locations(
        self,
        location: Option<&AttributeValue<EndianReader<'a>>>,
        constant: Option<&AttributeValue<EndianReader<'a>>>,
        budget: &mut ListEntryBudget,
        locations: &mut Vec<VariableLocation>,
    ) {
        let before = locations.len();
        if let Some(expression) = location.and_then(AttributeValue::exprloc_value) {
            locations.push(self.location(expression));
        } else if let Some(Ok(Some(mut list))) =
            location.map(|value| self.dwarf.attr_locations(self.unit, *value))
        {
            while budget.take() {
                let Ok(Some(entry)) = list.next() else { break };
                // A default location is valid wherever no other is.
                let range = (entry.range.end != u64::MAX).then_some(entry.range);
                locations.push(VariableLocation { range, ..self.location(entry.data) });
            }
        } else if let Some(value) = constant {
            let constant = match value {
                AttributeValue::Block(block) => number_of(block.slice(), self.is_little()),
                value => number(value),
            };
            locations.push(VariableLocation { constant, ..VariableLocation::new(LocationClass::Constant) });
        }
        if locations.len() == before {
            locations.push(VariableLocation::new(LocationClass::OptimizedOut));
        }
    }

    /// Whether the file is little-endian.
    pub(super) fn is_little(self) -> bool {
        gimli::Section::reader(&self.dwarf.debug_info).endian() == gimli::RunTimeEndian::Little
    }

    /// The location that an expression of one or two operations describes.
    fn location(self, expression: Expression<EndianReader<'a>>) -> VariableLocation {
        let mut operations = expression.operations(self.unit.encoding());
        let mut next = || operations.next().ok().flatten();
        let Some(first) = next() else { return VariableLocation::new(LocationClass::OptimizedOut) };
        let (second, third) = (next(), next());
        let location = match (first, second) {
            (Operation::Register { register }, None) => {
                let base = Some(FrameBase::Register(register.0));
                VariableLocation { base, ..VariableLocation::new(LocationClass::Register) }
            }
            (Operation::FrameOffset { offset }, None) => {
                let (base, offset) = (self.frame_base, Some(offset));
                VariableLocation { base, offset, ..VariableLocation::new(LocationClass::FrameOffset) }
            }
            (Operation::RegisterOffset { register, offset, .. }, None) => {
                let (base, offset) = (Some(FrameBase::Register(register.0)), Some(offset));
                VariableLocation { base, offset, ..VariableLocation::new(LocationClass::RegisterOffset) }
            }
            (Operation::ImplicitValue { data }, None) => {
                let constant = number_of(data.slice(), self.is_little());
                VariableLocation { constant, ..VariableLocation::new(LocationClass::Constant) }
            }
            (Operation::UnsignedConstant { value }, Some(Operation::StackValue)) => VariableLocation {
                constant: Some(value.cast_signed()),
                ..VariableLocation::new(LocationClass::Constant)
            },
            (Operation::SignedConstant { value }, Some(Operation::StackValue)) => {
                VariableLocation { constant: Some(value), ..VariableLocation::new(LocationClass::Constant) }
            }
            (first, second) => self.fixed(&first, second.as_ref()),
        };
        match third {
            None => location,
            Some(_) => VariableLocation::new(LocationClass::Complex),
        }
    }

    /// A location at a fixed address, or at an offset in thread-local storage.
    fn fixed(
        self,
        first: &Operation<EndianReader<'a>>,
        second: Option<&Operation<EndianReader<'a>>>,
    ) -> VariableLocation {
        let address = match first {
            Operation::Address { address } => Some(*address),
            Operation::UnsignedConstant { value } if second == Some(&Operation::TLS) => Some(*value),
            Operation::AddressIndex { index } | Operation::ConstantIndex { index } => {
                self.dwarf.address(self.unit, *index).ok()
            }
            _ => None,
        };
        let (class, address) = match (second, address) {
            (None, Some(address)) => (LocationClass::Global, address),
            (Some(Operation::PlusConstant { value }), Some(address)) => {
                (LocationClass::Global, address.wrapping_add(*value))
            }
            (Some(Operation::TLS), Some(address)) => (LocationClass::ThreadLocal, address),
            _ => return VariableLocation::new(LocationClass::Complex),
        };
        VariableLocation { address: Some(address), ..VariableLocation::new(class) }
    }

    /// The base of frame offsets that `DW_AT_frame_base` states; `None` for a list or a complex expression.
    pub(super) fn frame_base(self, value: &AttributeValue<EndianReader<'a>>) -> Option<FrameBase> {
        let mut operations = value.exprloc_value()?.operations(self.unit.encoding());
        match (operations.next().ok()??, operations.next()) {
            (Operation::CallFrameCFA, Ok(None)) => Some(FrameBase::Cfa),
            (
                Operation::Register { register } | Operation::RegisterOffset { register, offset: 0, .. },
                Ok(None),
            ) => Some(FrameBase::Register(register.0)),
            _ => None,
        }
    }

    /// Offset of a member in its type, in bytes; `None` for a complex expression.
    pub(super) fn member_offset(self, value: &AttributeValue<EndianReader<'a>>) -> Option<u64> {
        if let Some(offset) = value.udata_value() {
            return Some(offset);
        }
        let mut operations = value.exprloc_value()?.operations(self.unit.encoding());
        match (operations.next().ok()??, operations.next()) {
            (Operation::PlusConstant { value } | Operation::UnsignedConstant { value }, Ok(None)) => {
                Some(value)
            }
            _ => None,
        }
    }
}

/// The integer in one to eight bytes; `None` for other sizes.
fn number_of(bytes: &[u8], is_little: bool) -> Option<i64> {
    let add = |number: u64, byte: &u8| (number << 8) | u64::from(*byte);
    let number = match (bytes.len(), is_little) {
        (1..=8, true) => bytes.iter().rev().fold(0, add),
        (1..=8, false) => bytes.iter().fold(0, add),
        _ => return None,
    };
    Some(number.cast_signed())
}
