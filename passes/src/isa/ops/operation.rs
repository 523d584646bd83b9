//! The operations, with the meaning of each.

/// What an op computes. `a`, `b`, `c` and `d` are its inputs in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    // Copies and widths.
    /// `a`.
    Copy,
    /// The low bits of `a`, which is an address that is computed and not accessed.
    Address,
    /// `a`, narrower than the result; higher bits are 0. Lanes of `a` are as many as those of the result.
    ZeroExtend,
    /// `a`, narrower than the result; higher bits are copies of its highest bit.
    SignExtend,
    /// The low bits of each lane of `a`, which are wider than those of the result.
    Truncate,
    /// `a` in the high bits and `b`, which has half the width, in the low bits.
    Concatenate,
    /// `a`, one lane wide, in every lane.
    Broadcast,
    /// `b` if `a`, one bit wide, is 1; else `c`.
    Select,
    /// The bits of `b` where those of `a` are 1, the bits of `c` where they are 0.
    SelectBits,
    /// A value about which nothing is promised.
    Undefined,

    // Integers. Results are modulo 2 to the width.
    /// `a + b`, or `a + b + c` with a carry `c` of one bit.
    Add,
    /// `a - b`, or `a - b - c` with a borrow `c` of one bit.
    Subtract,
    /// The product.
    Multiply,
    /// The product of `a` and `b`, half as wide as the result, as polynomials over the field of two elements: a sum of
    /// shifted copies without carries.
    MultiplyCarryless,
    /// The high half of the signed product.
    MultiplyHighSigned,
    /// The high half of the unsigned product.
    MultiplyHighUnsigned,
    /// `a / b`, rounded to zero; traps if `b` is 0 or the result does not fit.
    DivideSigned,
    /// `a / b` of unsigned numbers; traps if `b` is 0.
    DivideUnsigned,
    /// `a - b * (a / b)` of signed numbers; traps as the division does.
    RemainderSigned,
    /// `a - b * (a / b)` of unsigned numbers; traps as the division does.
    RemainderUnsigned,
    /// `-a`.
    Negate,
    /// `a + (b << n)`: the address of an element.
    AddScaled(u8),
    /// The carry out of `a + b + c`, where `c` is one bit wide and may be missing. The result is one bit wide; `bits` of
    /// the op are those of the inputs.
    AddCarry,
    /// The smaller of signed numbers.
    MinimumSigned,
    /// The smaller of unsigned numbers.
    MinimumUnsigned,
    /// The greater of signed numbers.
    MaximumSigned,
    /// The greater of unsigned numbers.
    MaximumUnsigned,
    /// The nearest number to the signed sum that fits.
    AddSaturatingSigned,
    /// The nearest number to the unsigned sum that fits.
    AddSaturatingUnsigned,
    /// The nearest number to the signed difference that fits.
    SubtractSaturatingSigned,
    /// The nearest number to the unsigned difference that fits.
    SubtractSaturatingUnsigned,
    /// `(a + b + 1) / 2` of unsigned numbers, without overflow.
    AverageUnsigned,
    /// The magnitude of a signed number; the least number is itself.
    Absolute,

    // Bits.
    /// Bits that are 1 in both.
    And,
    /// Bits that are 1 in either.
    Or,
    /// Bits in which they differ.
    Xor,
    /// The bits of `a` inverted.
    Not,
    /// `a << b`; 0 if `b`, unsigned and of any width, is the width or more. With lanes, `b` is one number for all of
    /// them if it is no wider than a lane.
    ShiftLeft,
    /// `a >> b`, with zeros from above; `b` as for [`Self::ShiftLeft`].
    ShiftRight,
    /// `a >> b`, with copies of the highest bit from above; `b` as for [`Self::ShiftLeft`].
    ShiftRightSigned,
    /// `a` rotated to the left by `b` modulo the width; with lanes, `b` as for [`Self::ShiftLeft`].
    RotateLeft,
    /// `a` rotated to the right by `b` modulo the width; with lanes, `b` as for [`Self::ShiftLeft`].
    RotateRight,
    /// Number of zeros above the highest one; the width if there is none.
    CountLeadingZeros,
    /// Number of zeros below the lowest one; the width if there is none.
    CountTrailingZeros,
    /// Number of ones.
    CountOnes,
    /// The bytes in reverse order.
    ReverseBytes,
    /// The bits in reverse order.
    ReverseBits,
    /// The low bits of `a` at the places of the ones in `b`, in order; 0 elsewhere.
    DepositBits,
    /// The bits of `a` at the places of the ones in `b`, packed from bit 0.
    ExtractBits,

    // Comparisons and flags.
    /// Whether the inputs compare so. The result is one bit wide; `bits` of the op are those of the inputs.
    Compare(Comparison),
    /// A lane of ones where the lanes compare so, else of zeros.
    CompareLanes(Comparison),
    /// Whether the condition holds: one bit.
    Condition(Condition),
    /// The flags of the place, as they follow from the inputs. `bits` are those of the inputs.
    Flags(FlagsOf),

    // Memory. Addresses are zero-extended; bytes are in little-endian order.
    /// The bytes at address `a`.
    Load,
    /// Stores `b` at address `a`.
    Store,
    /// Lane i is the bytes at address `a`, plus i times the size of a lane, if the highest bit of lane i of `b` is 1.
    /// Else it is 0, and those bytes are not accessed.
    LoadLanes,
    /// Stores lane i of `b` at address `a`, plus i times the size of a lane, if the highest bit of lane i of `c` is 1.
    /// Else those bytes are not accessed. `bits` and `lanes` are those of `b` and `c`.
    StoreLanes,
    /// In one step, loads from address `a`, and stores the result of the operation on that and `b`. The result is what
    /// was loaded.
    Atomic(AtomicOperation),
    /// In one step, loads from address `a`, and stores `c` if that equals `b`. The result is what was loaded.
    AtomicCompareExchange,
    /// Loads from `a`, and watches the address until the next exclusive store.
    LoadExclusive,
    /// Stores `b` at `a` if nobody stored there since the exclusive load. The result is 0 if it did, else 1.
    StoreExclusive,
    /// Memory is accessed by others in this order: before, after.
    Fence,
    // Addresses of elements are modulo 2 to their width.
    /// Copies `c` elements of `bits` from address `b` to address `a`, one after the other, upwards, or downwards if `d`
    /// is 1.
    CopyElements,
    /// Stores `b` in `c` elements from address `a`, upwards, or downwards if `d` is 1.
    FillElements,
    /// Compares elements at `a` with those at `b`, at most `c`, upwards, or downwards if `d` is 1, until one comparison
    /// is equal, or unequal. The result is how many were compared.
    CompareElements {
        /// Whether an equal pair ends it; else an unequal one does.
        until_equal: bool,
    },
    /// Compares elements at `a` with the value `b`, else as [`Self::CompareElements`].
    ScanElements {
        /// Whether an equal element ends it; else an unequal one does.
        until_equal: bool,
    },

    // Control. Execution continues at the next instruction if nothing else is said.
    /// Continues at address `a`.
    Jump,
    /// Calls the function at address `a`. The return address has been stored.
    Call,
    /// Returns to address `a`.
    Return,
    /// Raises an exception.
    Trap(TrapKind),
    /// Calls the operating system. What it reads and writes is a matter of its ABI.
    Service,

    // Floating point (IEEE 754) on lanes of 16, 32 or 64 bits, rounded by the current mode where nothing else is said.
    // If an input is not a number, the result is the first such input, quieted (its highest bit of the fraction set).
    // If the result is not a number though every input is, it is the default one of the instruction set. On x86 that
    // has the sign, and of the fraction only the highest bit. Whether subnormal numbers count as 0 is a matter of the
    // current mode too.
    /// `a + b`.
    FloatAdd,
    /// `a - b`.
    FloatSubtract,
    /// `a * b`.
    FloatMultiply,
    /// `a / b`.
    FloatDivide,
    /// `a * b + c`, rounded once. An input that is not a number is not negated.
    FloatMultiplyAdd {
        /// Whether it is `-(a * b)` instead of `a * b`.
        negates_product: bool,
        /// Whether `c` is subtracted.
        negates_addend: bool,
    },
    /// The square root.
    FloatSquareRoot,
    /// `a` if it is less than `b`, else `b`, unchanged: also if either is not a number, or both are 0.
    FloatMinimum,
    /// `a` if it is greater than `b`, else `b`, unchanged: also if either is not a number, or both are 0.
    FloatMaximum,
    /// The nearest integer in the given direction, as a floating-point number.
    FloatRound(Rounding),
    /// `a`, of another width. What is not a number keeps its sign and the high bits of its fraction, and is quieted.
    FloatConvert,
    /// The signed integer, rounded; a number that does not fit as the range says.
    FloatToSigned(Rounding, FloatRange),
    /// The unsigned integer, rounded; a number that does not fit as the range says.
    FloatToUnsigned(Rounding, FloatRange),
    /// The floating-point number of a signed integer of any width.
    SignedToFloat,
    /// The floating-point number of an unsigned integer of any width.
    UnsignedToFloat,

    // Permutations and horizontal operations of lanes.
    /// Lanes of the low half (or high, if true) of `a` and `b` in turn: a0, b0, a1, b1 …
    Interleave {
        /// Whether the lanes are those of the high halves.
        high: bool,
    },
    /// Lane i is the lane of `a` that bits 4i to 4i + 3 of the constant `c` name, counted on into `b`. All of `a`, `b`
    /// and the result have the same lanes, at most 16.
    Shuffle,
    /// Lane i is the lane of `a` that lane i of `b` names, modulo the number of lanes of `a`, which has a power of two of
    /// them, whatever the number of those of `b` and the result.
    Permute,
    /// Byte i is the byte of `a` that the low bits of byte i of `b` name; 0 if the highest bit of that byte is 1.
    ShuffleBytes,
    /// The lanes of `a`, then of `b`, which are twice as wide as those of the result and signed, as the nearest signed
    /// numbers.
    PackSigned,
    /// The same as the nearest unsigned numbers to what are signed numbers.
    PackUnsigned,
    /// The highest bit of each lane of `a`, lane 0 in bit 0. `bits` and `lanes` are those of `a`.
    SignBits,
    /// Lane i is all ones if bit i of `a`, which has a bit for each lane, is 1; else it is 0.
    LanesOfBits,
    /// For each 64 bits, the sum of the magnitudes of the differences of the unsigned bytes.
    SumAbsoluteDifferences,
    /// For each lane, the sum of two products of signed lanes half as wide, modulo 2 to the width.
    MultiplyAddPairs,

    // Steps of the Advanced Encryption Standard (FIPS 197). A lane of 32 bits is a column, its lowest byte the first.
    /// Each byte by the table of `SubBytes`, or of `InvSubBytes`. `bits` is 8.
    AesSubstituteBytes {
        /// Whether the table is the inverse one.
        is_inverse: bool,
    },
    /// Each lane by the matrix of `MixColumns`, or of `InvMixColumns`. `bits` is 32.
    AesMixColumns {
        /// Whether the matrix is the inverse one.
        is_inverse: bool,
    },

    /// An unknown function from operands to places. The numbers are ranges in the buffer: see [`super::Ops::inputs`].
    Opaque {
        /// Where its inputs are.
        inputs: (u32, u32),
        /// Where its places are.
        places: (u32, u32),
        /// What it does to memory besides the loads and stores around it.
        memory: OtherMemory,
    },
}

/// A comparison of two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `a == b`.
    Equal,
    /// `a != b`.
    Unequal,
    /// `a < b` of signed numbers.
    LessSigned,
    /// `a <= b` of signed numbers.
    LessOrEqualSigned,
    /// `a < b` of unsigned numbers.
    LessUnsigned,
    /// `a <= b` of unsigned numbers.
    LessOrEqualUnsigned,
    /// `a == b` of floating-point numbers; false if either is not a number.
    FloatEqual,
    /// `a < b` of floating-point numbers; false if either is not a number.
    FloatLess,
    /// `a <= b` of floating-point numbers; false if either is not a number.
    FloatLessOrEqual,
    /// Whether either is not a number.
    FloatUnordered,
}

/// A condition on flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// What is asked of the flags.
    pub predicate: Predicate,
    /// Whether the condition holds if the predicate does not.
    pub is_negated: bool,
}

/// A predicate on flags. In parentheses, the relation of `a` and `b` after [`FlagsOf::Subtract`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Predicate {
    /// Overflow.
    Overflow,
    /// Carry (`a < b` of unsigned numbers).
    Carry,
    /// Zero (`a == b`).
    Zero,
    /// Carry or zero (`a <= b` of unsigned numbers).
    CarryOrZero,
    /// Sign.
    Sign,
    /// Parity.
    Parity,
    /// Sign differs from overflow (`a < b` of signed numbers).
    Less,
    /// Zero, or sign differs from overflow (`a <= b` of signed numbers).
    LessOrEqual,
    /// Carry and not zero (after [`FlagsOf::SubtractInverted`], `a > b` of unsigned numbers).
    CarryAndNotZero,
}

/// What flags follow from. Each flag of the op's place is written as follows; the others are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlagsOf {
    /// The sum `a + b + c`, where `c` is a carry of one bit that may be missing: zero, sign and parity of the sum, its
    /// carry, its carry out of bit 3, its signed overflow.
    Add,
    /// The difference `a - b - c`: zero, sign and parity of it, its borrow, its borrow out of bit 3, its signed overflow.
    Subtract,
    /// As [`Self::Subtract`], but carry is 1 if there is no borrow.
    SubtractInverted,
    /// The value `a`: zero, sign and parity of it; carry, overflow and adjust are 0.
    Result,
    /// The floating-point numbers `a` and `b`: zero if they are equal, carry if `a < b`, and zero, carry and parity if
    /// either is not a number. Sign, overflow and adjust are 0.
    FloatCompare,
}

/// An operation that is done on memory in one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtomicOperation {
    /// Stores `b`.
    Exchange,
    /// The sum.
    Add,
    /// The difference.
    Subtract,
    /// The bits that are 1 in both.
    And,
    /// The bits that are 1 in either.
    Or,
    /// The bits in which they differ.
    Xor,
    /// The smaller of signed numbers.
    MinimumSigned,
    /// The smaller of unsigned numbers.
    MinimumUnsigned,
    /// The greater of signed numbers.
    MaximumSigned,
    /// The greater of unsigned numbers.
    MaximumUnsigned,
}

/// A direction of rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// The direction of the current mode.
    Current,
    /// To the nearest, and to the even one of two.
    Nearest,
    /// To the next lower.
    Down,
    /// To the next greater.
    Up,
    /// Toward zero.
    Zero,
}

/// What becomes of a floating-point number that does not fit in an integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FloatRange {
    /// The number whose highest bit alone is 1; for unsigned results, all ones.
    Indefinite,
    /// The nearest number that fits; 0 for what is not a number.
    Saturated,
}

/// Why an exception is raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrapKind {
    /// A breakpoint.
    Breakpoint,
    /// An instruction that is defined to be undefined.
    Undefined,
    /// A division whose result does not fit, or by 0.
    Division,
    /// The processor is told to stop, which user programs may not.
    Halt,
    /// A software interrupt of the given number.
    Interrupt(u8),
}

/// What an opaque op does to memory besides the loads and stores around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherMemory {
    /// Nothing.
    None,
    /// It may read any.
    Reads,
    /// It may read and write any.
    ReadsAndWrites,
}
