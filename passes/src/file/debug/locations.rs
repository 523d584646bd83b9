//! Where a variable is, as far as a table can say it.
//!
//! Expressions are not evaluated: those that compilers write for nearly all variables have one or two operations.
//!
//! Source: DWARF 5, sections 2.5 and 2.6.

use super::Reader;
use super::attributes::number;
use super::lists::EntriesLeft;
use binframe_ir::tables::LocationClass;
use gimli::{AttributeValue, Dwarf, Expression, Operation, Range, Reader as _, Unit};

/// What offsets in a function's frame count from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameBase {
    /// The stack pointer before the call.
    Cfa,
    /// A register.
    Register(u16),
}

/// A place of a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Location {
    /// The code where it is there; none where it is always.
    pub(super) range: Option<Range>,
    pub(super) class: LocationClass,
    pub(super) base: Option<FrameBase>,
    pub(super) offset: Option<i64>,
    pub(super) address: Option<u64>,
    pub(super) constant: Option<i64>,
}

impl Location {
    fn new(class: LocationClass) -> Self {
        Self { range: None, class, base: None, offset: None, address: None, constant: None }
    }

    /// Whether it is the same whichever function runs.
    pub(super) fn is_static(&self) -> bool {
        matches!(self.class, LocationClass::Global | LocationClass::ThreadLocal)
    }
}

/// What expressions refer to.
#[derive(Clone, Copy)]
pub(super) struct Context<'c, 'a> {
    pub(super) dwarf: &'c Dwarf<Reader<'a>>,
    pub(super) unit: &'c Unit<Reader<'a>>,
    /// What the frame of the function counts from.
    pub(super) frame_base: Option<FrameBase>,
}

impl<'a> Context<'_, 'a> {
    /// Appends the places of a variable, one at least.
    pub(super) fn locations(
        self,
        location: Option<&AttributeValue<Reader<'a>>>,
        constant: Option<&AttributeValue<Reader<'a>>>,
        left: &mut EntriesLeft,
        locations: &mut Vec<Location>,
    ) {
        let before = locations.len();
        if let Some(expression) = location.and_then(AttributeValue::exprloc_value) {
            locations.push(self.location(expression));
        } else if let Some(Ok(Some(mut list))) =
            location.map(|value| self.dwarf.attr_locations(self.unit, *value))
        {
            while left.take() {
                let Ok(Some(entry)) = list.next() else { break };
                // A default location holds wherever no other does.
                let range = (entry.range.end != u64::MAX).then_some(entry.range);
                locations.push(Location { range, ..self.location(entry.data) });
            }
        } else if let Some(value) = constant {
            let constant = match value {
                AttributeValue::Block(block) => number_of(block.slice(), self.is_little()),
                value => number(value),
            };
            locations.push(Location { constant, ..Location::new(LocationClass::Constant) });
        }
        if locations.len() == before {
            locations.push(Location::new(LocationClass::OptimizedOut));
        }
    }

    /// Whether the least significant byte of a number comes first.
    pub(super) fn is_little(self) -> bool {
        gimli::Section::reader(&self.dwarf.debug_info).endian() == gimli::RunTimeEndian::Little
    }

    fn location(self, expression: Expression<Reader<'a>>) -> Location {
        let mut operations = expression.operations(self.unit.encoding());
        let mut next = || operations.next().ok().flatten();
        let Some(first) = next() else { return Location::new(LocationClass::OptimizedOut) };
        let (second, third) = (next(), next());
        let location = match (first, second) {
            (Operation::Register { register }, None) => {
                let base = Some(FrameBase::Register(register.0));
                Location { base, ..Location::new(LocationClass::Register) }
            }
            (Operation::FrameOffset { offset }, None) => {
                let (base, offset) = (self.frame_base, Some(offset));
                Location { base, offset, ..Location::new(LocationClass::FrameOffset) }
            }
            (Operation::RegisterOffset { register, offset, .. }, None) => {
                let (base, offset) = (Some(FrameBase::Register(register.0)), Some(offset));
                Location { base, offset, ..Location::new(LocationClass::RegisterOffset) }
            }
            (Operation::ImplicitValue { data }, None) => {
                let constant = number_of(data.slice(), self.is_little());
                Location { constant, ..Location::new(LocationClass::Constant) }
            }
            (Operation::UnsignedConstant { value }, Some(Operation::StackValue)) => {
                Location { constant: Some(value.cast_signed()), ..Location::new(LocationClass::Constant) }
            }
            (Operation::SignedConstant { value }, Some(Operation::StackValue)) => {
                Location { constant: Some(value), ..Location::new(LocationClass::Constant) }
            }
            (first, second) => self.fixed(&first, second.as_ref()),
        };
        match third {
            None => location,
            Some(_) => Location::new(LocationClass::Complex),
        }
    }

    /// A place at an address, or at an offset in what every thread has a copy of.
    fn fixed(self, first: &Operation<Reader<'a>>, second: Option<&Operation<Reader<'a>>>) -> Location {
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
            _ => return Location::new(LocationClass::Complex),
        };
        Location { address: Some(address), ..Location::new(class) }
    }

    /// What a function's frame counts from; none where only a computation or a list tells.
    pub(super) fn frame_base(self, value: &AttributeValue<Reader<'a>>) -> Option<FrameBase> {
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

    /// Where a member begins in a value.
    pub(super) fn member_offset(self, value: &AttributeValue<Reader<'a>>) -> Option<u64> {
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

/// The number that at most eight bytes hold.
fn number_of(bytes: &[u8], is_little: bool) -> Option<i64> {
    let add = |number: u64, byte: &u8| (number << 8) | u64::from(*byte);
    let number = match (bytes.len(), is_little) {
        (1..=8, true) => bytes.iter().rev().fold(0, add),
        (1..=8, false) => bytes.iter().fold(0, add),
        _ => return None,
    };
    Some(number.cast_signed())
}
