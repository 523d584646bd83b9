//! What holds before an instruction.

use super::{Base, Parameters, Summary, UNBOUNDED_HIGH, UNBOUNDED_LOW, Value};
use binframe_ir::tables::UnknownReason;
use std::rc::Rc;

pub(crate) const REGISTERS: usize = 16;

/// Places on the stack that are followed at a time.
const CELLS_MAX: usize = 96;

/// Where the aligned part of a frame is kept among offsets of the stack: below all others.
const ALIGNED_PLACE: i64 = -1 << 48;

/// How far above the stack pointer of a call arguments may lie.
const ARGUMENTS_SIZE_MAX: i64 = 256;

/// A value on the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cell {
    place: i64,
    size: i64,
    value: Value,
}

/// Where something that is compared was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Register(u8),
    /// A place on the stack, and a size.
    Stack(i64, u8),
}

/// What the flags say: how two numbers of so many bits compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Compared {
    pub(crate) place: Place,
    pub(crate) left: Value,
    pub(crate) right: Value,
    pub(crate) bits: u32,
    /// Whether `left` is what an instruction computed, of which flags say only whether it is 0.
    pub(crate) is_result: bool,
}

/// What is still known of what callers left on the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Arguments {
    Intact,
    Doubtful,
    Lost,
}

/// Registers, the stack, and what of it others can reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    registers: [Value; REGISTERS],
    /// In the order of their places; they do not overlap.
    cells: Rc<Vec<Cell>>,
    /// Others may change the stack from this place on.
    escaped_from: i64,
    arguments: Arguments,
    /// Registers that callers expect to hold the same in the end.
    preserved: u16,
    pub(crate) compared: Option<Compared>,
    /// Whether the stack pointer was aligned before.
    pub(crate) is_aligned: bool,
    /// Parameters that may be kept by others, and that memory was written through.
    pub(crate) kept: Parameters,
    pub(crate) written: Parameters,
    pub(crate) writes_elsewhere: bool,
}

impl State {
    /// At a function's entry, which is called with the stack pointer in a register, and has to preserve some.
    pub(crate) fn entry(stack_pointer: u8, preserved: u16) -> Self {
        let mut registers = std::array::from_fn(|register| Value::at(Base::Register(register as u8), 0));
        registers[usize::from(stack_pointer)] = Value::at(Base::Stack, 0);
        Self {
            registers,
            cells: Rc::default(),
            escaped_from: i64::MAX,
            arguments: Arguments::Intact,
            preserved,
            compared: None,
            is_aligned: false,
            kept: Parameters::default(),
            written: Parameters::default(),
            writes_elsewhere: false,
        }
    }

    /// Where nothing is known, for a reason.
    pub(crate) fn unknown(reason: UnknownReason) -> Self {
        Self {
            registers: [Value::unknown(reason); REGISTERS],
            escaped_from: UNBOUNDED_LOW,
            arguments: Arguments::Lost,
            kept: Parameters::ALL,
            written: Parameters::ALL,
            writes_elsewhere: true,
            ..Self::entry(0, 0)
        }
    }

    pub(crate) fn register(&self, register: u8) -> Value {
        self.registers[usize::from(register)]
    }

    pub(crate) fn set_register(&mut self, register: u8, value: Value) {
        if let Some(Compared { place: Place::Register(compared), .. }) = self.compared
            && compared == register
        {
            self.compared = None;
        }
        self.registers[usize::from(register)] = value;
    }

    /// The place on the stack where the offsets of an address begin, if it counts from a pointer into the frame.
    fn place(base: Base, offset: i64) -> Option<i64> {
        match base {
            Base::Stack => Some(offset),
            Base::Aligned if offset == UNBOUNDED_LOW => Some(UNBOUNDED_LOW),
            Base::Aligned => ALIGNED_PLACE.checked_add(offset),
            _ => None,
        }
    }

    /// The place of an offset from the stack pointer at the entry, or from where it was aligned.
    pub(crate) fn place_at(offset: i64, is_aligned: bool) -> i64 {
        if is_aligned { ALIGNED_PLACE.saturating_add(offset) } else { offset }
    }

    /// The offset of a place, and whether it counts from where the stack pointer was aligned.
    pub(crate) fn offset(place: i64) -> (i64, bool) {
        let is_aligned = place < ALIGNED_PLACE / 2;
        (if is_aligned { place.saturating_sub(ALIGNED_PLACE) } else { place }, is_aligned)
    }

    /// The place that an address leads to, if it is one of the frame, and one alone.
    pub(crate) fn exact_place(address: Value) -> Option<i64> {
        Self::place(address.base, address.exact()?)
    }

    /// Says more of what was compared.
    pub(crate) fn refine(&mut self, place: Place, value: Value) {
        match place {
            Place::Register(register) => self.registers[usize::from(register)] = value,
            Place::Stack(place, size) => self.store_at(place, i64::from(size), value),
        }
    }

    /// What so many bytes at an address hold.
    pub(crate) fn load(&self, address: Value, size: u8) -> Value {
        let Some(place) = Self::exact_place(address) else { return Value::unknown(UnknownReason::Loaded) };
        let size = i64::from(size);
        let index = self.cells.partition_point(|cell| cell.place.saturating_add(cell.size) <= place);
        match self.cells.get(index) {
            Some(cell) if cell.place == place && cell.size >= size => {
                cell.value.zero_extended(size as u32 * 8).doubted(address.is_doubtful)
            }
            Some(cell) if cell.place < place.saturating_add(size) => Value::unknown(UnknownReason::Loaded),
            _ if address.base == Base::Stack && place >= 0 && self.arguments != Arguments::Lost => {
                let is_doubtful = address.is_doubtful || self.arguments == Arguments::Doubtful;
                match i32::try_from(place) {
                    Ok(offset) => Value::at(Base::Argument(offset), 0).doubted(is_doubtful),
                    Err(_) => Value::unknown(UnknownReason::Loaded),
                }
            }
            _ => Value::unknown(UnknownReason::Loaded),
        }
    }

    /// Writes so many bytes at an address.
    pub(crate) fn store(&mut self, address: Value, size: u16, value: Value) {
        if let Some(Compared { place: Place::Stack(..), .. }) = self.compared {
            self.compared = None;
        }
        let size = i64::from(size);
        match address.base {
            Base::Stack | Base::Aligned => match Self::exact_place(address) {
                Some(place) => self.store_at(place, size, value),
                None => {
                    self.store_between(address, size);
                    self.lose(value);
                }
            },
            Base::Register(_) | Base::Argument(_) => {
                self.written.add(Self::parameter(address.base));
                self.lose(value);
            }
            Base::Dynamic(_) | Base::Heap(_) | Base::Global(_) | Base::Thread => self.lose(value),
            Base::Number if address.exact().is_some() => self.lose(value),
            Base::Unknown(_) | Base::Number | Base::Returned(_) | Base::Canary => {
                self.writes_elsewhere = true;
                self.lose(value);
                self.forget_from(self.escaped_from);
            }
        }
    }

    fn store_at(&mut self, place: i64, size: i64, value: Value) {
        let end = place.saturating_add(size);
        let first = self.cells.partition_point(|cell| cell.place.saturating_add(cell.size) <= place);
        let last = self.cells.partition_point(|cell| cell.place < end);
        let is_kept = size <= 8 && size > 0 && (!value.is_unknown() || place >= 0);
        let has_room = self.cells.len() - (last - first) < CELLS_MAX;
        if place >= self.escaped_from || (is_kept && !has_room) {
            self.lose(value);
        }
        if is_kept && has_room {
            Rc::make_mut(&mut self.cells).splice(first..last, [Cell { place, size, value }]);
            return;
        }
        if place < i64::MAX && end > 0 {
            self.arguments = Arguments::Lost;
        }
        if first < last {
            Rc::make_mut(&mut self.cells).drain(first..last);
        }
    }

    /// Writes somewhere between the bounds of an address. Where those are but the bounds of a type, programs are taken to stay in
    /// the variable where indices begin, which others lie below.
    fn store_between(&mut self, address: Value, size: i64) {
        let bound = |offset: i64| Self::place(address.base, offset).unwrap_or(offset);
        let (low, origin) = (bound(address.low), bound(address.origin));
        let high = if address.high == UNBOUNDED_HIGH {
            UNBOUNDED_HIGH
        } else {
            bound(address.high).saturating_add(size)
        };
        let is_bounded = address.is_bounded();
        let mut lost = Vec::new();
        if self.cells.iter().any(|cell| cell.place < high && cell.place.saturating_add(cell.size) > low) {
            Rc::make_mut(&mut self.cells).retain_mut(|cell| {
                let end = cell.place.saturating_add(cell.size);
                let is_inside = cell.place < high && end > low;
                let is_in_frame = (end > origin && cell.place < 0) || is_bounded;
                if is_inside && is_in_frame {
                    lost.push(cell.value);
                    return false;
                }
                cell.value = cell.value.doubted(is_inside);
                true
            });
        }
        if high > 0 {
            self.arguments =
                self.arguments.max(if is_bounded { Arguments::Lost } else { Arguments::Doubtful });
        }
        for value in lost {
            self.lose(value);
        }
    }

    /// Forgets what others may have changed, from a place on.
    fn forget_from(&mut self, from: i64) {
        if self.cells.last().is_some_and(|cell| cell.place.saturating_add(cell.size) > from) {
            // Registers that were saved are what callers rely on.
            let preserved = self.preserved;
            let is_kept =
                |cell: &Cell| cell.place.saturating_add(cell.size) <= from || is_saved(preserved, cell.value);
            let lost: Vec<_> =
                self.cells.iter().filter(|cell| !is_kept(cell)).map(|cell| cell.value).collect();
            Rc::make_mut(&mut self.cells).retain(is_kept);
            for value in lost {
                self.lose(value);
            }
        }
        // What was passed lies above the return address.
        if from < i64::MAX && from > 0 {
            self.arguments = Arguments::Lost;
        }
    }

    /// Whether others may change the stack at a place.
    pub(crate) fn is_exposed(&self, place: i64) -> bool {
        place >= self.escaped_from
    }

    /// The parameter that values with a base count from.
    pub(crate) fn parameter(base: Base) -> Parameters {
        match base {
            Base::Register(register) => Parameters::register(register),
            Base::Argument(_) => Parameters::STACK,
            _ => Parameters::default(),
        }
    }

    /// A value goes where it is not followed: what it leads to may be changed by others from now on.
    pub(crate) fn lose(&mut self, value: Value) {
        if !value.base.is_followed() {
            return;
        }
        self.kept.add(Self::parameter(value.base));
        if let Some(place) = Self::place(value.base, value.low) {
            self.expose(place);
        }
    }

    /// Others may change the stack from a place on, and follow what addresses they find there.
    fn expose(&mut self, place: i64) {
        let mut place = place;
        while place < self.escaped_from {
            let end = self.escaped_from;
            self.escaped_from = place;
            let found: Vec<_> = self
                .cells
                .iter()
                .filter(|cell| cell.place >= place && cell.place < end && cell.value.base.is_followed())
                .map(|cell| cell.value)
                .collect();
            let mut lowest = place;
            for value in found.into_iter().filter(|value| !is_saved(self.preserved, *value)) {
                self.kept.add(Self::parameter(value.base));
                lowest = lowest.min(Self::place(value.base, value.low).unwrap_or(lowest));
            }
            place = lowest;
        }
    }

    /// Forgets what lies below the stack pointer.
    fn forget_below(&mut self, place: i64) {
        if self.cells.first().is_some_and(|cell| cell.place < place) {
            Rc::make_mut(&mut self.cells).retain(|cell| cell.place >= place);
        }
    }

    /// Goes through a call by an instruction at an address. Slots of the stack have `slot` bytes.
    pub(crate) fn call(&mut self, callee: &Summary, address: u64, stack_pointer: u8, result: u8, slot: i64) {
        let pointer = self.register(stack_pointer);
        let returned = self.returned(callee.returned, address, pointer, slot);
        let mut touched_from = i64::MAX;
        let passed: Vec<_> = self.passed(callee, stack_pointer).collect();
        for (parameter, value) in passed {
            self.pass(value, parameter, callee, &mut touched_from);
        }
        match Self::exact_place(pointer) {
            Some(place) => self.forget_below(place),
            None => self.forget_from(UNBOUNDED_LOW),
        }
        self.forget_from(touched_from);
        if callee.writes_elsewhere {
            self.writes_elsewhere = true;
            self.forget_from(self.escaped_from);
        }
        for register in (0..REGISTERS as u8).filter(|register| callee.changed >> register & 1 == 1) {
            self.set_register(register, Value::unknown(UnknownReason::Clobbered));
        }
        self.compared = None;
        self.set_register(result, returned);
        let popped = callee.popped.map(|popped| pointer.plus(popped));
        self.set_register(stack_pointer, popped.unwrap_or(Value::unknown(UnknownReason::Clobbered)));
    }

    /// The parameters in which a callee finds what is of interest, and that.
    pub(crate) fn passed(
        &self,
        callee: &Summary,
        stack_pointer: u8,
    ) -> impl Iterator<Item = (Parameters, Value)> {
        let changed = callee.changed;
        let registers = (0..REGISTERS as u8)
            .filter(move |register| changed >> register & 1 == 1 && *register != stack_pointer)
            .map(|register| (Parameters::register(register), self.register(register)));
        let start = Self::exact_place(self.register(stack_pointer));
        let first =
            start.map_or(self.cells.len(), |start| self.cells.partition_point(|cell| cell.place < start));
        let end = start.map_or(0, |start| start.saturating_add(ARGUMENTS_SIZE_MAX));
        let cells = self.cells[first..].iter().take_while(move |cell| cell.place < end);
        let cells = cells.filter(|cell| !is_saved(self.preserved, cell.value));
        let stack = cells.map(|cell| (Parameters::STACK, cell.value));
        registers.chain(stack).filter(|(_, value)| value.base.is_followed())
    }

    /// Gives an address to a callee.
    fn pass(&mut self, value: Value, parameter: Parameters, callee: &Summary, touched_from: &mut i64) {
        if callee.written.has(parameter) {
            self.written.add(Self::parameter(value.base));
        }
        if callee.kept.has(parameter) {
            self.lose(value);
        }
        let Some(place) = Self::place(value.base, value.low) else { return };
        if callee.written.has(parameter) {
            *touched_from = place.min(*touched_from);
        }
        // What the callee finds there, it may keep.
        let found = self.cells.iter().filter(|cell| cell.place >= place).map(|cell| cell.value);
        let found: Vec<_> = found.filter(|value| !is_saved(self.preserved, *value)).collect();
        for value in found {
            self.lose(value);
        }
    }

    /// What a callee returns, as its caller sees it.
    fn returned(&self, value: Value, address: u64, pointer: Value, slot: i64) -> Value {
        let offset = Value { base: Base::Number, ..value };
        match value.base {
            Base::Register(register) => self.register(register).sum(offset),
            Base::Argument(place) => self.load(pointer.plus(i64::from(place) - slot), slot as u8).sum(offset),
            Base::Heap(_) => Value { base: Base::Heap(address), ..value },
            Base::Number if value.is_bounded() => value,
            Base::Global(_) => value,
            _ => Value::at(Base::Returned(address), 0),
        }
    }

    /// Keeps what also holds on another way, and says whether less is known than before. In widening, bounds that have moved are
    /// given up, but for landmarks.
    pub(crate) fn join(&mut self, other: &Self, widening: Option<&[(Base, i64)]>) -> bool {
        let mut lost = Vec::new();
        let mut is_changed = false;
        for (own, other) in self.registers.iter_mut().zip(&other.registers) {
            if own != other {
                is_changed |= meet(own, *other, widening, &mut lost);
            }
        }
        if !Rc::ptr_eq(&self.cells, &other.cells) && self.cells != other.cells {
            is_changed |= self.join_cells(&other.cells, widening, &mut lost);
        }
        let before = (self.arguments, self.is_aligned, self.kept, self.written, self.writes_elsewhere);
        self.arguments = self.arguments.max(other.arguments);
        self.is_aligned |= other.is_aligned;
        self.kept.add(other.kept);
        self.written.add(other.written);
        self.writes_elsewhere |= other.writes_elsewhere;
        let (escaped_from, compared) = (self.escaped_from, self.compared);
        self.compared = compared.filter(|_| compared == other.compared);
        self.expose(other.escaped_from);
        for value in lost {
            self.lose(value);
        }
        let after = (self.arguments, self.is_aligned, self.kept, self.written, self.writes_elsewhere);
        is_changed || before != after || self.escaped_from != escaped_from || self.compared != compared
    }

    fn join_cells(
        &mut self,
        others: &[Cell],
        widening: Option<&[(Base, i64)]>,
        lost: &mut Vec<Value>,
    ) -> bool {
        let mut is_changed = false;
        let mut kept = Vec::with_capacity(self.cells.len());
        let mut others = others.iter().peekable();
        for cell in self.cells.iter() {
            while let Some(skipped) = others.next_if(|next| next.place < cell.place) {
                lost.push(skipped.value);
                if skipped.place >= 0 && self.arguments != Arguments::Lost {
                    (self.arguments, is_changed) = (Arguments::Lost, true);
                }
            }
            let mut value = cell.value;
            match others.next_if(|next| next.place == cell.place) {
                Some(same) if same.size == cell.size => {
                    is_changed |= meet(&mut value, same.value, widening, lost);
                }
                same => {
                    lost.extend(same.map(|same| same.value).into_iter().chain([value]));
                    is_changed |= !value.is_unknown();
                    value = Value::unknown(UnknownReason::Merged);
                }
            }
            if !value.is_unknown() || cell.place >= 0 {
                kept.push(Cell { value, ..*cell });
            } else {
                is_changed = true;
            }
        }
        for skipped in others {
            lost.push(skipped.value);
            if skipped.place >= 0 && self.arguments != Arguments::Lost {
                (self.arguments, is_changed) = (Arguments::Lost, true);
            }
        }
        if is_changed {
            self.cells = Rc::new(kept);
        }
        is_changed
    }
}

/// Keeps of a value what also holds on another way, and says whether it is less.
fn meet(own: &mut Value, other: Value, widening: Option<&[(Base, i64)]>, lost: &mut Vec<Value>) -> bool {
    let before = *own;
    let joined = before.join(other);
    if joined.base != before.base || joined.base != other.base {
        lost.extend(
            [before, other].into_iter().filter(|value| value.base.is_followed() && value.base != joined.base),
        );
    }
    *own = widening.map_or(joined, |landmarks| joined.widened(before, landmarks));
    *own != before
}

/// Whether a value is what a preserved register held at first: nobody who finds it on the stack follows or changes it.
fn is_saved(preserved: u16, value: Value) -> bool {
    matches!(value.base, Base::Register(register) if preserved >> register & 1 == 1)
        && value.exact() == Some(0)
}
