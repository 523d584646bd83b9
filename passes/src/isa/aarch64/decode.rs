//! Decoding. Instructions are words of 4 bytes in little-endian order, also where data is big-endian.

use crate::isa::instruction_set;
use fARM64::{DecoderOptions, Feature, FeatureSet, Instruction};

/// Size of every instruction in bytes.
pub(super) const WORD_SIZE: usize = 4;

/// Every extension of Arm's; not Apple's own, whose words mean nothing on other processors.
const FEATURES: FeatureSet = FeatureSet {
    features0: !(1 << Feature::AppleAmx as u64 | 1 << Feature::Gxf as u64),
    features1: u64::MAX,
};

/// Decodes a range of code, one instruction at a time.
pub(crate) struct Decoder<'a> {
    inner: fARM64::Decoder<'a>,
    bytes: &'a [u8],
    address: u64,
}

impl<'a> Decoder<'a> {
    /// A decoder of `bytes`, the first of which is at `address`.
    pub(super) fn new(bytes: &'a [u8], address: u64) -> Self {
        let options = DecoderOptions { features: FEATURES };
        Self { inner: fARM64::Decoder::new(bytes, address, options), bytes, address }
    }

    /// The words before an instruction of this range, the last one first, with their addresses.
    pub(super) fn words_before(&self, address: u64) -> impl Iterator<Item = (u64, u32)> + use<'a> {
        let offset = usize::try_from(address.wrapping_sub(self.address)).unwrap_or(0);
        let before = self.bytes.get(..offset).unwrap_or_default();
        let words = before.rchunks_exact(WORD_SIZE).filter_map(|word| word.try_into().ok());
        let addresses = (1..).map(move |index: u64| address.wrapping_sub(index * WORD_SIZE as u64));
        addresses.zip(words.map(u32::from_le_bytes))
    }
}

impl instruction_set::Decoder for Decoder<'_> {
    type Instruction = Instruction;

    fn seek(&mut self, offset: usize) {
        self.inner.set_position(offset);
    }

    #[inline]
    fn decode(&mut self, instruction: &mut Instruction) -> bool {
        let is_aligned = self.inner.ip().is_multiple_of(WORD_SIZE as u64);
        self.inner.decode_into(instruction);
        is_aligned && !instruction.is_invalid()
    }
}
