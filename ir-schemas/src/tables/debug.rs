//! Tables of the `debug` stage: units, lines, functions, variables and types of DWARF debug information.

use crate::enumeration::enumeration;
use crate::{Table, Term};

enumeration! {
    /// The kind of a unit of debug information.
    UnitKind {
        /// One compilation: the output of one run of a compiler.
        Compilation = "compilation",
        /// Debug information shared by several compilations.
        Partial = "partial",
        /// One type, shared by several compilations.
        Type = "type",
        /// Remainder of a compilation whose debug information is in a split file that was not found.
        Skeleton = "skeleton",
    }
}

/// A unit of debug information. A unit that is split over two files is one row.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "debug_units", stage = Debug, key(unit_index))]
pub struct DebugUnit<'a> {
    /// Position among the units.
    pub unit_index: u32,
    /// Kind of unit.
    pub kind: UnitKind,
    /// Name of the source file as given to the compiler; null if the unit has none.
    pub unit_name: Option<&'a str>,
    /// Working directory of the compiler; null if not stated.
    pub compilation_directory: Option<&'a str>,
    /// Name and version of the compiler, usually with its options; null if not stated.
    pub producer: Option<&'a str>,
    /// Source language as named by the specification, such as `DW_LANG_Rust`, or its number in hexadecimal; null if not
    /// stated.
    pub language: Option<Term<'a>>,
    /// DWARF version.
    pub version: u16,
    /// Lowest address of the unit's code; null if it has no code.
    #[column(unit = "address")]
    pub address: Option<u64>,
    /// Distance from `address` to the end of the unit's code, which may have gaps; null if it has no code.
    #[column(unit = "bytes")]
    pub size: Option<u64>,
    /// Name of the file with the split part of the unit, as stored; null if the unit is not split.
    pub split_name: Option<&'a str>,
    /// Identifier that connects the unit and its split part, as 16 hexadecimal digits; null if the unit is not split.
    pub split_id: Option<&'a str>,
    /// Signature of the type, as 16 hexadecimal digits; null if the unit is not of kind `type`.
    pub type_signature: Option<&'a str>,
    /// Offset of the unit in its section.
    #[column(unit = "bytes")]
    pub unit_offset: u64,
}

/// A row of a line number program: a range of code and the source location it was compiled from.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "debug_lines", stage = Debug, key(unit_index, row_index), span(address, size), file_bytes_per_row = 100)]
pub struct DebugLine<'a> {
    /// Unit that refers to the line number program; the first of several.
    #[column(references = "debug_units.unit_index")]
    pub unit_index: u32,
    /// Position among the rows of the unit, not counting rows that end a sequence.
    pub row_index: u32,
    /// Address of the first byte.
    #[column(unit = "address")]
    pub address: u64,
    /// Distance to the address of the next row in the sequence; 0 if both are equal.
    #[column(unit = "bytes")]
    pub size: u64,
    /// Path of the source file, absolute if the debug information names the directories; null if the file is not
    /// listed.
    pub source_file: Option<Term<'a>>,
    /// Line number, starting at 1; null for code without a source line.
    pub source_line: Option<u32>,
    /// Column number, starting at 1; null if not stated.
    pub source_column: Option<u32>,
    /// Number that distinguishes blocks of code on the same line; usually 0.
    pub discriminator: u32,
    /// Whether the address is a recommended breakpoint location.
    pub is_statement: bool,
    /// Whether the address is a recommended breakpoint location for the entry of the function.
    pub is_prologue_end: bool,
    /// Whether the address is a recommended breakpoint location for the exit of the function.
    pub is_epilogue_begin: bool,
}

/// A range of code of a function or of an inlined call.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "debug_functions", stage = Debug, key(function_index, range_index), span(address, size))]
pub struct DebugFunction<'a> {
    /// Position of the function or inlined call among all that have code.
    pub function_index: u32,
    /// Position of the range among those of the function.
    pub range_index: u32,
    /// Address of the first byte.
    #[column(unit = "address")]
    pub address: u64,
    /// Size of the range.
    #[column(unit = "bytes")]
    pub size: u64,
    /// Name in the source; null if it has none.
    pub function_name: Option<&'a str>,
    /// Name used by the linker, usually mangled; null if it is the name in the source.
    pub linkage_name: Option<&'a str>,
    /// Enclosing function or inlined call; null if there is none.
    #[column(references = "debug_functions.function_index")]
    pub parent_function_index: Option<u32>,
    /// Number of enclosing functions and inlined calls.
    pub depth: u16,
    /// Whether the row is an inlined call.
    pub is_inlined: bool,
    /// Source file of the inlined call; null if not inlined or not stated.
    pub call_file: Option<Term<'a>>,
    /// Line of the inlined call; null if not inlined or not stated.
    pub call_line: Option<u32>,
    /// Column of the inlined call; null if not inlined or not stated.
    pub call_column: Option<u32>,
    /// Source file that declares the function; null if not stated.
    pub declaration_file: Option<Term<'a>>,
    /// Line of the declaration; null if not stated.
    pub declaration_line: Option<u32>,
    /// Return type; null if the function returns nothing.
    #[column(references = "debug_types.type_index")]
    pub return_type_index: Option<u32>,
    /// Unit that contains the function.
    #[column(references = "debug_units.unit_index")]
    pub unit_index: u32,
    /// Offset of the debug information entry in the unit.
    #[column(unit = "bytes")]
    pub entry_offset: u32,
}

enumeration! {
    /// The kind of storage of a variable.
    LocationClass {
        /// In a register.
        Register = "register",
        /// In memory, at an offset from the frame base of the function.
        FrameOffset = "frame_offset",
        /// In memory, at an offset from a register.
        RegisterOffset = "register_offset",
        /// In memory, at a fixed address.
        Global = "global",
        /// In thread-local storage.
        ThreadLocal = "thread_local",
        /// No storage: the value is constant.
        Constant = "constant",
        /// No storage: the value is not available.
        OptimizedOut = "optimized_out",
        /// In several pieces, or at a location that only a longer computation yields.
        Complex = "complex",
    }
}

enumeration! {
    /// The scope of a variable.
    VariableScope {
        /// Outside of functions.
        File = "file",
        /// A function or inlined call.
        Function = "function",
        /// A block inside a function.
        Block = "block",
    }
}

/// A location of a variable or parameter. Most have one; others have one for each range of code in which they are
/// stored elsewhere.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "debug_variables", stage = Debug, key(variable_index, location_index), file_bytes_per_row = 100)]
pub struct DebugVariable<'a> {
    /// Position of the variable among all variables.
    pub variable_index: u32,
    /// Position of the location among those of the variable.
    pub location_index: u32,
    /// Name in the source; null if it has none.
    pub variable_name: Option<&'a str>,
    /// Name of the type as written in the source; null if it has none.
    pub type_name: Option<&'a str>,
    /// Type of the variable; null if it has none.
    #[column(references = "debug_types.type_index")]
    pub type_index: Option<u32>,
    /// Size of the type; null if the type does not state it.
    #[column(unit = "bytes")]
    pub size: Option<u64>,
    /// Function or inlined call that contains the variable; null outside of functions that have code.
    #[column(references = "debug_functions.function_index")]
    pub function_index: Option<u32>,
    /// Whether the variable is a parameter.
    pub is_parameter: bool,
    /// Scope of the variable.
    pub scope_kind: VariableScope,
    /// Lowest address of the code in the scope; null outside of functions.
    #[column(unit = "address")]
    pub scope_address: Option<u64>,
    /// Distance from `scope_address` to the end of the code in the scope, which may have gaps; null outside of
    /// functions.
    #[column(unit = "bytes")]
    pub scope_size: Option<u64>,
    /// First address of the code in which the location is valid; null if it is valid wherever no other location is.
    #[column(unit = "address")]
    pub valid_address: Option<u64>,
    /// Size of the code in which the location is valid; null if it is valid wherever no other location is.
    #[column(unit = "bytes")]
    pub valid_size: Option<u64>,
    /// Kind of storage.
    pub location_kind: LocationClass,
    /// Register that holds the variable or that `frame_offset` is relative to; `cfa` is the stack pointer before the
    /// call. Null if there is none or the register has no name.
    pub register_name: Option<Term<'a>>,
    /// DWARF number of that register; null for `cfa` and if there is none.
    pub register_number: Option<u16>,
    /// Offset from the register; null for other kinds of storage.
    #[column(unit = "bytes")]
    pub frame_offset: Option<i64>,
    /// Address of the variable, or its offset in thread-local storage; null for other kinds of storage.
    #[column(unit = "address")]
    pub address: Option<u64>,
    /// Value of a constant; null for other kinds of storage, and for constants of more than eight bytes.
    pub constant: Option<i64>,
    /// Unit that contains the variable.
    #[column(references = "debug_units.unit_index")]
    pub unit_index: u32,
    /// Offset of the debug information entry in the unit.
    #[column(unit = "bytes")]
    pub entry_offset: u32,
}

enumeration! {
    /// The kind of a type.
    TypeKind {
        /// Type built into the language, such as an integer.
        Base = "base",
        /// Structure.
        Structure = "structure",
        /// Class.
        Class = "class",
        /// Union.
        Union = "union",
        /// Enumeration.
        Enumeration = "enumeration",
        /// Pointer.
        Pointer = "pointer",
        /// Lvalue reference.
        Reference = "reference",
        /// Rvalue reference.
        RvalueReference = "rvalue_reference",
        /// Pointer to a member of a class.
        MemberPointer = "member_pointer",
        /// Array.
        Array = "array",
        /// Function.
        Function = "function",
        /// Alias of a type.
        Typedef = "typedef",
        /// Type qualified with `const`.
        Const = "const",
        /// Type qualified with `volatile`.
        Volatile = "volatile",
        /// Pointer qualified with `restrict`: no other pointer refers to the same object.
        Restrict = "restrict",
        /// Type qualified with `_Atomic`.
        Atomic = "atomic",
        /// Range of the values of another type.
        Subrange = "subrange",
        /// Type that is named but not described.
        Unspecified = "unspecified",
        /// Any other kind.
        Other = "other",
    }
}

/// A type, as described by one unit.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "debug_types", stage = Debug, key(type_index))]
pub struct DebugType<'a> {
    /// Position among the types.
    pub type_index: u32,
    /// Name in the source; null if it has none.
    pub type_name: Option<&'a str>,
    /// Kind of type.
    pub kind: TypeKind,
    /// Size of a value, stated by the type or derived from its component types; null if not stated.
    #[column(unit = "bytes")]
    pub size: Option<u64>,
    /// Alignment of a value; null if not stated.
    #[column(unit = "bytes")]
    pub alignment: Option<u64>,
    /// Component type: of a pointer the target, of a typedef the aliased type, of an array the element type, of a
    /// function the return type; null if there is none.
    #[column(references = "debug_types.type_index")]
    pub target_type_index: Option<u32>,
    /// Encoding of values as named by the specification, such as `DW_ATE_unsigned`, or its number in hexadecimal; null
    /// if not stated.
    pub encoding: Option<Term<'a>>,
    /// Number of elements of an array, over all its dimensions; null for other types, and if not stated.
    pub element_count: Option<u64>,
    /// Number of rows in `debug_type_members`.
    pub member_count: u32,
    /// Whether the type is declared but not defined in the unit.
    pub is_declaration: bool,
    /// Unit that contains the type.
    #[column(references = "debug_units.unit_index")]
    pub unit_index: u32,
    /// Offset of the debug information entry in the unit.
    #[column(unit = "bytes")]
    pub entry_offset: u32,
}

enumeration! {
    /// The kind of a member of a type.
    MemberKind {
        /// Field.
        Field = "field",
        /// Static field, shared by all values of the type.
        Static = "static",
        /// Base class.
        Inheritance = "inheritance",
        /// Field that selects the variant.
        Discriminant = "discriminant",
        /// Field of one variant.
        Variant = "variant",
        /// Named value of an enumeration.
        Enumerator = "enumerator",
        /// Parameter of a function.
        Parameter = "parameter",
    }
}

/// A member of a type.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "debug_type_members", stage = Debug, key(type_index, member_index))]
pub struct DebugTypeMember<'a> {
    /// Type that has the member.
    #[column(references = "debug_types.type_index")]
    pub type_index: u32,
    /// Position among the members of the type.
    pub member_index: u32,
    /// Name in the source; null if it has none.
    pub member_name: Option<&'a str>,
    /// Kind of member.
    pub kind: MemberKind,
    /// Type of the member; null for an enumerator, and if not stated.
    #[column(references = "debug_types.type_index")]
    pub member_type_index: Option<u32>,
    /// Offset in a value of the type; null if the member is not stored in the value, is a bit field with a bit offset,
    /// or has an offset that must be computed.
    #[column(unit = "bytes")]
    pub byte_offset: Option<u64>,
    /// Offset of a bit field, counted from the first bit of the value in memory; null for other members.
    #[column(unit = "bits")]
    pub bit_offset: Option<u64>,
    /// Size of a bit field; null for other members.
    #[column(unit = "bits")]
    pub bit_size: Option<u64>,
    /// Value of an enumerator, or of the discriminant that selects a variant; null for other members, and for the
    /// default variant.
    pub value: Option<i64>,
}
