//! Sources and results of vector instructions: embedded broadcasts, masks, and what becomes of the rest of a register.
//!
//! A mask selects lanes of the result. Others keep their value, or become 0. Memory of lanes that are not selected is
//! not accessed, for instructions that work lane by lane; those that move lanes read it whole.

use super::super::emitter::Emitter;
use crate::isa::ops::{Operand, Operation, Part, Place, Rest};
use iced_x86::{EncodingKind, OpKind, Register};

impl Emitter<'_> {
    /// The number of the last operand that is no immediate: the last source.
    pub(super) fn last(&self) -> u32 {
        let count = self.instruction.op_count();
        let is_value = |operand: &u32| {
            self.is_memory(*operand) || self.instruction.op_kind(*operand) == OpKind::Register
        };
        (0..count).rev().find(is_value).unwrap_or(0)
    }

    /// Whether the instruction is in the encoding from before AVX, where the destination is the first source.
    pub(super) fn is_legacy(&self) -> bool {
        self.instruction.encoding() == EncodingKind::Legacy
    }

    /// Whether a mask selects lanes.
    pub(super) fn has_mask(&self) -> bool {
        self.instruction.op_mask() != Register::None
    }

    /// The immediate of 8 bits.
    pub(super) fn immediate(&self) -> u16 {
        u16::from(self.instruction.immediate8())
    }

    /// The low `bits` of an operand, whatever the mask. Memory of one lane is broadcast.
    pub(super) fn low_bits(&mut self, operand: u32, bits: u16) -> Operand {
        let value = self.read(operand);
        match value.bits() < bits && self.instruction.is_broadcast() {
            true => {
                let lanes = (bits / value.bits()) as u8;
                self.make_lanes(Operation::Broadcast, value.bits(), lanes, &[value])
            }
            false => value.part(0, bits),
        }
    }

    /// The low `bits` of an operand, in lanes of `lane_bits`. Of memory, only lanes that the mask selects are loaded.
    /// `None` if a lane in memory is broadcast under a mask, or loaded for a scalar under a mask.
    pub(super) fn lanes(&mut self, operand: u32, lane_bits: u16, bits: u16) -> Option<Operand> {
        if !self.has_mask() || !self.is_memory(operand) {
            return Some(self.low_bits(operand, bits));
        }
        if self.instruction.is_broadcast() {
            return None;
        }
        let mask = self.mask(lane_bits, bits);
        let address = self.address(operand);
        let lanes = (bits / lane_bits) as u8;
        Some(self.make_lanes(Operation::LoadLanes, lane_bits, lanes, &[address, mask]))
    }

    /// Both sources of an instruction with two, which work lane by lane.
    pub(super) fn pair(&mut self, lane_bits: u16) -> Option<(Operand, Operand)> {
        let (last, bits) = (self.last(), self.vector_bits());
        let second = self.lanes(last, lane_bits, bits)?;
        Some((self.low_bits(last - 1, bits), second))
    }

    /// Both sources of an instruction that moves lanes.
    pub(super) fn whole_pair(&mut self) -> (Operand, Operand) {
        let (last, bits) = (self.last(), self.vector_bits());
        let second = self.low_bits(last, bits);
        (self.low_bits(last - 1, bits), second)
    }

    /// Width of the vectors that an instruction works on: that of the first source if the result goes to a mask.
    pub(super) fn vector_bits(&self) -> u16 {
        self.bits(u32::from(self.instruction.op0_register().is_k()))
    }

    /// The register of the mask, as a bit for each lane.
    pub(super) fn mask_bits(&self, lanes: u16) -> Operand {
        self.register(self.instruction.op_mask()).part(0, lanes)
    }

    /// The mask as lanes of ones and zeros.
    pub(super) fn mask(&mut self, lane_bits: u16, bits: u16) -> Operand {
        let lanes = bits / lane_bits;
        let mask = self.mask_bits(lanes);
        self.make_lanes(Operation::LanesOfBits, lane_bits, lanes as u8, &[mask])
    }

    /// Appends an op on lanes as wide as the vectors; its result.
    pub(super) fn lanewise(&mut self, operation: Operation, lane_bits: u16, inputs: &[Operand]) -> Operand {
        let bits = inputs.first().map_or(0, |input| input.bits());
        self.make_lanes(operation, lane_bits, (bits / lane_bits) as u8, inputs)
    }

    /// A number in each lane.
    pub(super) fn splat(&mut self, number: u64, lane_bits: u16, bits: u16) -> Operand {
        let number = super::super::emitter::constant(number, lane_bits);
        self.make_lanes(Operation::Broadcast, lane_bits, (bits / lane_bits) as u8, &[number])
    }

    /// Writes the result of an op on lanes to operand 0.
    pub(super) fn result(&mut self, operation: Operation, lane_bits: u16, inputs: &[Operand]) -> Option<()> {
        let bits = inputs.first().map_or(0, |input| input.bits());
        self.result_of(operation, lane_bits, bits / lane_bits, inputs)
    }

    /// Writes the result of an op on `lanes` lanes to operand 0: at once to a register that is as wide, without a mask.
    pub(super) fn result_of(
        &mut self,
        operation: Operation,
        lane_bits: u16,
        lanes: u16,
        inputs: &[Operand],
    ) -> Option<()> {
        if !self.has_mask() && !self.is_memory(0) && self.bits(0) == lane_bits * lanes {
            let place = self.place(0);
            self.push(operation, lane_bits, lanes as u8, place, inputs);
            return Some(());
        }
        let value = self.make_lanes(operation, lane_bits, lanes as u8, inputs);
        self.write_lanes(value, lane_bits)
    }

    /// Writes a vector to operand 0, of lanes of `lane_bits` those that the mask selects. A register wider than the
    /// value has zeros above.
    pub(super) fn write_lanes(&mut self, value: Operand, lane_bits: u16) -> Option<()> {
        let bits = value.bits();
        if self.is_memory(0) {
            let address = self.address(0);
            if self.has_mask() {
                let mask = self.mask(lane_bits, bits);
                let lanes = (bits / lane_bits) as u8;
                let inputs = [address, value, mask];
                self.push(Operation::StoreLanes, lane_bits, lanes, Place::None, &inputs);
            } else {
                self.store(address, value, bits);
            }
            return Some(());
        }
        let width = self.bits(0);
        let (operation, inputs) = if self.has_mask() {
            let mask = self.mask(lane_bits, bits);
            match self.instruction.zeroing_masking() {
                true => (Operation::And, [mask, value, Operand::None]),
                false => (Operation::SelectBits, [mask, value, self.low_bits(0, bits)]),
            }
        } else {
            (Operation::Copy, [value, Operand::None, Operand::None])
        };
        let inputs = &inputs[..inputs.iter().take_while(|input| **input != Operand::None).count()];
        let place = self.place(0);
        match (bits < width, operation) {
            (false, _) => self.set(place, operation, bits, inputs),
            (true, Operation::Copy) => self.set(place, Operation::ZeroExtend, width, inputs),
            (true, _) => {
                let value = self.make(operation, bits, inputs);
                self.set(place, Operation::ZeroExtend, width, &[value]);
            }
        }
        Some(())
    }

    /// Writes a scalar to the low lane of register 0. The rest of 128 bits is kept, or is that of `upper` in the
    /// encodings of AVX, which zero the rest beyond.
    pub(super) fn write_scalar(&mut self, value: Operand, upper: u32) -> Option<()> {
        let bits = value.bits();
        let value = match (self.has_mask(), self.instruction.zeroing_masking()) {
            (false, _) => value,
            (true, is_zeroing) => {
                let old = self.low_bits(0, bits);
                let other = if is_zeroing { Operand::Constant(0, bits) } else { old };
                let mask = self.mask_bits(1);
                self.make(Operation::Select, bits, &[mask, value, other])
            }
        };
        let Place::Register(register, ..) = self.place(0) else { return None };
        if !self.is_legacy() {
            let (place, upper) = (self.place(0), self.low_bits(upper, 128));
            self.set(place, Operation::Copy, 128, &[upper]);
        }
        let place = Place::Register(register, Part { low: 0, bits }, Rest::Kept);
        self.set(place, Operation::Copy, bits, &[value]);
        Some(())
    }

    /// Vectors in the order of their addresses, as one. There are a power of two of them.
    pub(super) fn concatenate(&mut self, pieces: &[Operand]) -> Operand {
        match pieces {
            [] => Operand::None,
            [piece] => *piece,
            _ => {
                let (low, high) = pieces.split_at(pieces.len() / 2);
                let (low, high) = (self.concatenate(low), self.concatenate(high));
                self.make(Operation::Concatenate, low.bits() * 2, &[high, low])
            }
        }
    }
}

/// The pieces of 128 bits of a vector.
pub(super) fn pieces(value: Operand) -> impl Iterator<Item = Operand> {
    (0..value.bits() / 128).map(move |piece| value.part(piece * 128, 128))
}
