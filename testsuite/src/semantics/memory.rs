//! Memory: regions of bytes, and the operations on them.

use super::integer;
use super::value::{Value, mask};
use binframe::passes::isa::ops::{AtomicOperation, Operation};
use std::ops::Range;

/// The address of memory that cannot be accessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault(pub(super) u64);

/// Bytes from an address on.
#[derive(Debug, Clone)]
pub struct Region {
    /// The address of the first byte.
    pub address: u64,
    /// The contents.
    pub bytes: Vec<u8>,
}

/// The memory that can be accessed. An access beyond its regions is a fault.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// The regions, which do not touch.
    pub regions: Vec<Region>,
    /// Addresses of bytes that are undefined.
    undefined: Vec<Range<u64>>,
    /// Whether all of it is undefined.
    is_unknown: bool,
    /// The address that an exclusive load watches.
    exclusive: Option<u64>,
}

impl Memory {
    fn range(&self, address: u64, size: u64) -> Result<(usize, Range<usize>), Fault> {
        let within = |region: &Region| {
            let offset = address.checked_sub(region.address)?;
            let end = offset.checked_add(size)?;
            (end <= region.bytes.len() as u64).then_some(offset as usize..end as usize)
        };
        let found =
            self.regions.iter().enumerate().find_map(|(index, region)| Some((index, within(region)?)));
        found.ok_or(Fault(address))
    }

    /// Whether no byte of a range is undefined.
    pub fn is_defined(&self, range: &Range<u64>) -> bool {
        !self.is_unknown
            && self.undefined.iter().all(|other| other.end <= range.start || range.end <= other.start)
    }

    /// Whether every byte is defined.
    pub fn is_all_defined(&self) -> bool {
        !self.is_unknown && self.undefined.is_empty()
    }

    /// Makes all bytes undefined.
    pub(super) fn forget(&mut self) {
        self.is_unknown = true;
    }

    /// Loads a value.
    pub(super) fn load(&self, address: &Value, bits: u16) -> Result<Value, Fault> {
        if address.is_undefined() {
            return Ok(Value::undefined(bits));
        }
        let (address, size) = (address.low() as u64, u64::from(bits / 8));
        let (region, range) = self.range(address, size)?;
        if !self.is_defined(&(address..address + size)) {
            return Ok(Value::undefined(bits));
        }
        Ok(Value::of_bytes(&self.regions[region].bytes[range]))
    }

    /// Stores a value.
    pub(super) fn store(&mut self, address: &Value, value: &Value) -> Result<(), Fault> {
        if address.is_undefined() {
            self.forget();
            return Ok(());
        }
        let (address, size) = (address.low() as u64, u64::from(value.bits() / 8));
        let (region, range) = self.range(address, size)?;
        if self.exclusive.is_some_and(|watched| watched < address + size && address < watched + 16) {
            self.exclusive = None;
        }
        let written = address..address + size;
        if value.is_undefined() {
            self.undefined.push(written);
        } else {
            self.undefined.retain(|other| other.start < written.start || written.end < other.end);
            self.regions[region].bytes[range].iter_mut().zip(value.bytes()).for_each(|(to, from)| *to = from);
        }
        Ok(())
    }
}

/// Whether an operation accesses memory, other than an opaque one.
pub(super) fn is_access(operation: Operation) -> bool {
    use Operation as O;
    matches!(operation, O::Load | O::LoadLanes | O::LoadExclusive)
        || is_store(operation)
        || is_of_elements(operation)
}

/// Whether an operation may write memory.
pub(super) fn is_store(operation: Operation) -> bool {
    use Operation as O;
    matches!(
        operation,
        O::Store
            | O::StoreLanes
            | O::Atomic(_)
            | O::AtomicCompareExchange
            | O::StoreExclusive
            | O::CopyElements
            | O::FillElements
    )
}

/// Whether an operation is on a number of elements.
pub(super) fn is_of_elements(operation: Operation) -> bool {
    use Operation as O;
    matches!(
        operation,
        O::CopyElements | O::FillElements | O::CompareElements { .. } | O::ScanElements { .. }
    )
}

/// Does an operation on memory; its result, if it has one.
pub(super) fn access(
    memory: &mut Memory,
    operation: Operation,
    lane_bits: u16,
    lanes: u16,
    inputs: &[Value],
) -> Result<Value, Fault> {
    use Operation as O;
    let bits = lane_bits * lanes;
    let address = &inputs[0];
    match operation {
        O::Load => memory.load(address, bits),
        O::LoadExclusive => {
            let value = memory.load(address, bits)?;
            memory.exclusive = (!address.is_undefined()).then(|| address.low() as u64);
            Ok(value)
        }
        O::StoreExclusive => {
            let watched = memory.exclusive.take();
            if watched != Some(address.low() as u64) || address.is_undefined() {
                return Ok(Value::of(1, bits));
            }
            memory.store(address, &inputs[1]).map(|()| Value::of(0, bits))
        }
        O::Atomic(atomic) => {
            let old = memory.load(address, bits)?;
            let new = match atomic {
                AtomicOperation::Exchange => inputs[1],
                _ if old.is_undefined() || inputs[1].is_undefined() => Value::undefined(bits),
                _ => Value::of(integer::lane(of_atomic(atomic), bits, old.low(), inputs[1].low()), bits),
            };
            memory.store(address, &new)?;
            Ok(old)
        }
        O::AtomicCompareExchange => {
            let old = memory.load(address, bits)?;
            let new = match old.is_undefined() || inputs[1].is_undefined() {
                true => Value::undefined(bits),
                false if old == inputs[1] => inputs[2],
                false => old,
            };
            memory.store(address, &new)?;
            Ok(old)
        }
        O::LoadLanes | O::StoreLanes => masked(memory, operation, lane_bits, lanes, inputs),
        O::CopyElements | O::FillElements | O::CompareElements { .. } | O::ScanElements { .. } => {
            elements(memory, operation, lane_bits, inputs)
        }
        _ => {
            memory.store(address, &inputs[1])?;
            Ok(Value::zero(0))
        }
    }
}

/// Loads or stores the lanes whose mask has its highest bit set.
fn masked(
    memory: &mut Memory,
    operation: Operation,
    bits: u16,
    lanes: u16,
    inputs: &[Value],
) -> Result<Value, Fault> {
    let (address, masks) = (&inputs[0], inputs[inputs.len() - 1]);
    let mut result = Value::zero(bits * lanes);
    if address.is_undefined() || masks.is_undefined() {
        if operation == Operation::StoreLanes {
            memory.forget();
        }
        return Ok(Value::undefined(bits * lanes));
    }
    // Every access is checked before the first store.
    for is_checked in [false, true] {
        for lane in (0..lanes).filter(|lane| masks.lane(*lane, bits) >> (bits - 1) == 1) {
            let distance = u128::from(lane * bits / 8);
            let at = Value::of(address.low().wrapping_add(distance), address.bits());
            if !is_checked {
                result.insert(lane * bits, &memory.load(&at, bits)?);
            } else if operation == Operation::StoreLanes {
                memory.store(&at, &inputs[1].part(lane * bits, bits))?;
            }
        }
    }
    Ok(result)
}

/// The operation on values that an atomic one does.
fn of_atomic(atomic: AtomicOperation) -> Operation {
    match atomic {
        AtomicOperation::Exchange => Operation::Copy,
        AtomicOperation::Add => Operation::Add,
        AtomicOperation::Subtract => Operation::Subtract,
        AtomicOperation::And => Operation::And,
        AtomicOperation::Or => Operation::Or,
        AtomicOperation::Xor => Operation::Xor,
        AtomicOperation::MinimumSigned => Operation::MinimumSigned,
        AtomicOperation::MinimumUnsigned => Operation::MinimumUnsigned,
        AtomicOperation::MaximumSigned => Operation::MaximumSigned,
        AtomicOperation::MaximumUnsigned => Operation::MaximumUnsigned,
    }
}

/// Copies, fills, compares or scans elements. Addresses are modulo 2 to their width.
fn elements(memory: &mut Memory, operation: Operation, bits: u16, inputs: &[Value]) -> Result<Value, Fault> {
    let [a, b, count, is_down] = inputs else { unreachable!("four inputs") };
    if [a, count, is_down].iter().any(|input| input.is_undefined()) {
        memory.forget();
        return Ok(Value::undefined(count.bits()));
    }
    let size = u64::from(bits / 8);
    let at = |base: &Value, index: u64| {
        let distance = index.wrapping_mul(size);
        let start = base.low() as u64;
        let address =
            if is_down.is_true() { start.wrapping_sub(distance) } else { start.wrapping_add(distance) };
        Value::of(u128::from(address) & mask(base.bits()), base.bits())
    };
    let total = count.low() as u64;
    for index in 0..total {
        let to = at(a, index);
        match operation {
            Operation::CopyElements => {
                let value = memory.load(&at(b, index), bits)?;
                memory.store(&to, &value)?;
            }
            Operation::FillElements => memory.store(&to, b)?,
            Operation::CompareElements { until_equal } | Operation::ScanElements { until_equal } => {
                let first = memory.load(&to, bits)?;
                let second = match operation {
                    Operation::CompareElements { .. } => memory.load(&at(b, index), bits)?,
                    _ => *b,
                };
                if first.is_undefined() || second.is_undefined() {
                    return Ok(Value::undefined(count.bits()));
                }
                if (first == second) == until_equal {
                    return Ok(Value::of(u128::from(index + 1), count.bits()));
                }
            }
            _ => unreachable!("operations on elements only"),
        }
    }
    Ok(Value::of(u128::from(total), count.bits()))
}

#[cfg(test)]
mod tests {
    use super::{Fault, Memory, Region, access};
    use crate::semantics::value::Value;
    use binframe::passes::isa::ops::{AtomicOperation as A, Operation as O};

    fn of(number: u128) -> Value {
        Value::of(number, 64)
    }

    fn memory() -> Memory {
        let region = Region { address: 0x1000, bytes: (0..16).collect() };
        Memory { regions: vec![region], ..Memory::default() }
    }

    #[test]
    fn operations_in_one_step() {
        for (operation, b, stored) in [
            (A::Exchange, 7, 7),
            (A::Add, 0xff, 0),
            (A::Subtract, 2, 0xff),
            (A::And, 2, 0),
            (A::Or, 2, 3),
            (A::Xor, 3, 2),
            (A::MinimumSigned, 0xff, 0xff),
            (A::MinimumUnsigned, 0xff, 1),
            (A::MaximumSigned, 0xff, 1),
            (A::MaximumUnsigned, 0xff, 0xff),
        ] {
            let mut memory = memory();
            let old = access(&mut memory, O::Atomic(operation), 8, 1, &[of(0x1001), Value::of(b, 8)]);
            assert_eq!(old, Ok(Value::of(1, 8)), "{operation:?}");
            assert_eq!(memory.regions[0].bytes[..3], [0, stored, 2], "{operation:?}");
        }
        let mut memory = memory();
        let bytes = |expected, new| [of(0x1002), Value::of(expected, 8), Value::of(new, 8)];
        access(&mut memory, O::AtomicCompareExchange, 8, 1, &bytes(9, 7)).expect("no fault");
        assert_eq!(memory.regions[0].bytes[2], 2);
        access(&mut memory, O::AtomicCompareExchange, 8, 1, &bytes(2, 7)).expect("no fault");
        assert_eq!(memory.regions[0].bytes[2], 7);
    }

    #[test]
    fn an_exclusive_store_fails_after_another_store() {
        let mut memory = memory();
        let store =
            |memory: &mut Memory| access(memory, O::StoreExclusive, 8, 1, &[of(0x1004), Value::of(9, 8)]);
        assert_eq!(store(&mut memory), Ok(Value::of(1, 8)), "nothing is watched");
        access(&mut memory, O::LoadExclusive, 8, 1, &[of(0x1004)]).expect("no fault");
        assert_eq!(store(&mut memory), Ok(Value::of(0, 8)));
        access(&mut memory, O::LoadExclusive, 8, 1, &[of(0x1004)]).expect("no fault");
        access(&mut memory, O::Store, 8, 1, &[of(0x1004), Value::of(5, 8)]).expect("no fault");
        assert_eq!(store(&mut memory), Ok(Value::of(1, 8)), "another store came between");
        assert_eq!(memory.regions[0].bytes[4], 5);
    }

    #[test]
    fn lanes_that_are_not_chosen_are_not_accessed() {
        let mut memory = memory();
        let masks = Value::of(0x0080_0080, 32);
        // The last two lanes are beyond the region.
        let loaded = access(&mut memory, O::LoadLanes, 8, 4, &[of(0x100e), Value::of(0x8080, 32)]);
        assert_eq!(loaded, Ok(Value::of(0x0f0e, 32)));
        let loaded = access(&mut memory, O::LoadLanes, 8, 4, &[of(0x100e), masks]);
        assert_eq!(loaded, Err(Fault(0x1010)));
        let stored = [of(0x1000), Value::of(0x4433_2211, 32), masks];
        access(&mut memory, O::StoreLanes, 8, 4, &stored).expect("no fault");
        assert_eq!(memory.regions[0].bytes[..4], [0x11, 1, 0x33, 3]);
    }

    #[test]
    fn elements_go_up_or_down() {
        let mut memory = memory();
        let inputs = |down| [of(0x1008), of(0x1004), of(3), Value::of(down, 1)];
        access(&mut memory, O::CopyElements, 8, 1, &inputs(1)).expect("no fault");
        assert_eq!(memory.regions[0].bytes[6..9], [2, 3, 4]);
        let equal = O::CompareElements { until_equal: false };
        let count = access(&mut memory, equal, 8, 1, &inputs(1));
        assert_eq!(count, Ok(of(3)));
        let scan = O::ScanElements { until_equal: true };
        let inputs = [of(0x1000), Value::of(2, 8), of(9), Value::of(0, 1)];
        assert_eq!(access(&mut memory, scan, 8, 1, &inputs), Ok(of(3)));
    }
}
