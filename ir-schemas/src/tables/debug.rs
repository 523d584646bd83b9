//! Tables of the `debug` stage: what debug information says of lines, functions, variables and types.

use crate::enumeration::enumeration;
use crate::{Table, Term};

enumeration! {
    /// What a unit of debug information is.
    UnitKind {
        /// What one run of a compiler made.
        Compilation = "compilation",
        /// A part that several compilations share.
        Partial = "partial",
        /// One type that several compilations share.
        Type = "type",
        /// What a file keeps of a compilation whose debug information stands in another file, which was not found.
        Skeleton = "skeleton",
    }
}

/// One unit of debug information. A unit that is split over two files is one row.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "debug_units", stage = Debug, key(unit_index))]
pub struct DebugUnit<'a> {
    /// Position among the units.
    pub unit_index: u32,
    /// What the unit is.
    pub kind: UnitKind,
    /// Name of the source file that was compiled, as it was given; null where the unit has none.
    pub name: Option<&'a str>,
    /// The directory in which the compiler ran; null where the unit does not say.
    pub compilation_directory: Option<&'a str>,
    /// The compiler, its version and in most cases its options; null where the unit does not say.
    pub producer: Option<&'a str>,
    /// The specification's name of the language, such as `DW_LANG_Rust`, or its number in hexadecimal; null where the unit does
    /// not say.
    pub language: Option<Term<'a>>,
    /// Version of DWARF.
    pub version: u16,
    /// Lowest address of its code; null where it has none.
    #[column(unit = "address")]
    pub low_address: Option<u64>,
    /// Address after the last byte of its code, of which others may lie between; null where it has none.
    #[column(unit = "address")]
    pub high_address: Option<u64>,
    /// Name of the file that holds the split part, as it was given; null where nothing was split.
    pub split_name: Option<&'a str>,
    /// What identifies the split part; null where nothing was split.
    pub split_id: Option<u64>,
    /// The type's identification; null where the unit is not of a single type.
    pub type_signature: Option<u64>,
    /// Where the unit begins in its section.
    #[column(unit = "bytes")]
    pub unit_offset: u64,
}

/// A range of code and the place in source that it was made from: a row of a line number program.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "line_table", stage = Debug, key(unit_index, row_index), span(address, size))]
pub struct LineRow<'a> {
    /// The unit; of several with the same line number program, the first.
    #[column(references = "debug_units.unit_index")]
    pub unit_index: u32,
    /// Position among the rows of the unit, those that end a sequence not counted.
    pub row_index: u32,
    /// Address of the first byte.
    #[column(unit = "address")]
    pub address: u64,
    /// Bytes up to the next row of the sequence; 0 where that has the same address.
    #[column(unit = "bytes")]
    pub size: u64,
    /// Path of the source file: with the directory that it was found in and, where that is relative, with the one in which the
    /// compiler ran; null where the program names a file that it does not list.
    pub file: Option<Term<'a>>,
    /// The line, from 1; null for code that was made from none.
    pub line: Option<u32>,
    /// The column, from 1; null where the program does not say.
    pub column: Option<u32>,
    /// Tells apart blocks of code on the same line; 0 for most.
    pub discriminator: u32,
    /// Whether it is a good place for a breakpoint.
    pub is_statement: bool,
    /// Whether it is a good place for a breakpoint at the function's entry.
    pub is_prologue_end: bool,
    /// Whether it is a good place for a breakpoint at the function's exit.
    pub is_epilogue_begin: bool,
}

/// A range of code of a function, or of a call that was inlined.
#[derive(Debug, Clone, Copy, Table)]
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
    /// Name in the source; null where it has none.
    pub name: Option<&'a str>,
    /// Name for the linker; null where the source's is used.
    pub linkage_name: Option<&'a str>,
    /// The function that it is part of: for an inlined call the function or inlined call around it; null where there is none.
    #[column(references = "debug_functions.function_index")]
    pub parent_function_index: Option<u32>,
    /// Functions and inlined calls around it.
    pub depth: u16,
    /// Whether it is an inlined call.
    pub is_inlined: bool,
    /// Path of the source file of the call; null for what was not inlined, or where it is not said.
    pub call_file: Option<Term<'a>>,
    /// The line of the call; null for what was not inlined, or where it is not said.
    pub call_line: Option<u32>,
    /// The column of the call; null for what was not inlined, or where it is not said.
    pub call_column: Option<u32>,
    /// Path of the source file that declares the function; null where it is not said.
    pub declaration_file: Option<Term<'a>>,
    /// The line that declares the function; null where it is not said.
    pub declaration_line: Option<u32>,
    /// The type of what it returns; null where it returns nothing.
    #[column(references = "debug_types.type_index")]
    pub return_type_index: Option<u32>,
    /// The unit that it belongs to.
    #[column(references = "debug_units.unit_index")]
    pub unit_index: u32,
    /// Where its entry begins in the unit.
    #[column(unit = "bytes")]
    pub entry_offset: u32,
}

enumeration! {
    /// Where a variable is.
    LocationClass {
        /// In a register.
        Register = "register",
        /// In memory, at an offset from what the function's frame counts from.
        FrameOffset = "frame_offset",
        /// In memory, at an offset from a register.
        RegisterOffset = "register_offset",
        /// At a fixed address.
        Global = "global",
        /// In memory that every thread has its own copy of.
        ThreadLocal = "thread_local",
        /// Nowhere: its value is known.
        Constant = "constant",
        /// Nowhere: its value is lost.
        OptimizedOut = "optimized_out",
        /// In several pieces, or where only a computation tells.
        Complex = "complex",
    }
}

enumeration! {
    /// Where a variable can be named.
    VariableScope {
        /// Outside of functions.
        File = "file",
        /// In all of a function or inlined call.
        Function = "function",
        /// In a block of a function.
        Block = "block",
    }
}

/// A place of a variable or parameter: most have one, others one for every range of code in which they are elsewhere.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "debug_variables", stage = Debug, key(variable_index, location_index))]
pub struct DebugVariable<'a> {
    /// Position of the variable among all.
    pub variable_index: u32,
    /// Position of the place among those of the variable.
    pub location_index: u32,
    /// Name in the source; null where it has none.
    pub name: Option<&'a str>,
    /// Name of its type, as the source would write it; null where it has none.
    pub type_name: Option<&'a str>,
    /// Its type; null where it has none.
    #[column(references = "debug_types.type_index")]
    pub type_index: Option<u32>,
    /// Size of its type; null where the type does not say.
    #[column(unit = "bytes")]
    pub size: Option<u64>,
    /// The function or inlined call that it belongs to; null outside of functions that have code.
    #[column(references = "debug_functions.function_index")]
    pub function_index: Option<u32>,
    /// Whether it is a parameter.
    pub is_parameter: bool,
    /// Where it can be named.
    pub scope: VariableScope,
    /// Address where that code begins; null outside of functions.
    #[column(unit = "address")]
    pub scope_address: Option<u64>,
    /// Bytes from there to the end of that code, of which other code may lie between; null outside of functions.
    #[column(unit = "bytes")]
    pub scope_size: Option<u64>,
    /// Address of the first byte of code where it is in this place; null where it is always.
    #[column(unit = "address")]
    pub valid_address: Option<u64>,
    /// Size of the code where it is in this place; null where it is always.
    #[column(unit = "bytes")]
    pub valid_size: Option<u64>,
    /// Where it is.
    pub location: LocationClass,
    /// The register that it is in or that the offset counts from, `cfa` for the stack pointer before the call; null where there is
    /// none, or it has but a number.
    pub register_name: Option<Term<'a>>,
    /// DWARF's number of that register; null for `cfa` and where there is none.
    pub register_number: Option<u16>,
    /// Offset from the register; null where none counts.
    #[column(unit = "bytes")]
    pub frame_offset: Option<i64>,
    /// Its address; for one that every thread has a copy of, the offset in the thread's memory. Null where it has none.
    #[column(unit = "address")]
    pub address: Option<u64>,
    /// Its value; null where it is not known, or not of eight bytes or less.
    pub constant: Option<i64>,
    /// The unit that it belongs to.
    #[column(references = "debug_units.unit_index")]
    pub unit_index: u32,
    /// Where its entry begins in the unit.
    #[column(unit = "bytes")]
    pub entry_offset: u32,
}

enumeration! {
    /// What a type is.
    TypeKind {
        /// A type of the language, such as an integer.
        Base = "base",
        /// A structure.
        Structure = "structure",
        /// A class.
        Class = "class",
        /// A union.
        Union = "union",
        /// An enumeration.
        Enumeration = "enumeration",
        /// A pointer.
        Pointer = "pointer",
        /// A reference.
        Reference = "reference",
        /// A reference to what is about to go.
        RvalueReference = "rvalue_reference",
        /// A pointer to a member of a class.
        MemberPointer = "member_pointer",
        /// An array.
        Array = "array",
        /// A function.
        Function = "function",
        /// Another name of a type.
        Typedef = "typedef",
        /// A type whose values do not change.
        Const = "const",
        /// A type whose values change by themselves.
        Volatile = "volatile",
        /// A type to whose values no other pointer leads.
        Restrict = "restrict",
        /// A type whose values change in one step.
        Atomic = "atomic",
        /// A part of the values of a type.
        Subrange = "subrange",
        /// A type that is only named.
        Unspecified = "unspecified",
        /// Another kind of type.
        Other = "other",
    }
}

/// One type, as one unit describes it.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "debug_types", stage = Debug, key(type_index))]
pub struct DebugType<'a> {
    /// Position among the types.
    pub type_index: u32,
    /// Name in the source; null where it has none.
    pub name: Option<&'a str>,
    /// What the type is.
    pub kind: TypeKind,
    /// Size of a value, as the type or those that it is made of say it; null where none does.
    #[column(unit = "bytes")]
    pub size: Option<u64>,
    /// Alignment of a value; null where it is not said.
    #[column(unit = "bytes")]
    pub alignment: Option<u64>,
    /// The type that it is made of: what a pointer points to, a typedef names, an array has elements of, a function returns; null
    /// where there is none.
    #[column(references = "debug_types.type_index")]
    pub target_type_index: Option<u32>,
    /// The specification's name of how values are encoded, such as `DW_ATE_unsigned`, or its number in hexadecimal; null where
    /// the type does not say.
    pub encoding: Option<Term<'a>>,
    /// Elements of an array in all its dimensions; null for other types, and where it is not known.
    pub element_count: Option<u64>,
    /// Rows of `debug_type_members`.
    pub member_count: u32,
    /// Whether the unit only says that there is such a type.
    pub is_declaration: bool,
    /// The unit that it belongs to.
    #[column(references = "debug_units.unit_index")]
    pub unit_index: u32,
    /// Where its entry begins in the unit.
    #[column(unit = "bytes")]
    pub entry_offset: u32,
}

enumeration! {
    /// What a member of a type is.
    MemberKind {
        /// A field.
        Field = "field",
        /// A field that all values of the type share.
        Static = "static",
        /// A class that the type inherits from.
        Inheritance = "inheritance",
        /// A field that tells which variant a value is of.
        Discriminant = "discriminant",
        /// A field that values of one variant have.
        Variant = "variant",
        /// A name of an enumeration.
        Enumerator = "enumerator",
        /// A parameter of a function.
        Parameter = "parameter",
    }
}

/// A member of a type.
#[derive(Debug, Clone, Copy, Table)]
#[table(name = "debug_type_members", stage = Debug, key(type_index, member_index))]
pub struct DebugTypeMember<'a> {
    /// The type that it belongs to.
    #[column(references = "debug_types.type_index")]
    pub type_index: u32,
    /// Position among the members of the type.
    pub member_index: u32,
    /// Name in the source; null where it has none.
    pub member_name: Option<&'a str>,
    /// What the member is.
    pub kind: MemberKind,
    /// Type of the member; null for an enumerator, or where it is not said.
    #[column(references = "debug_types.type_index")]
    pub member_type_index: Option<u32>,
    /// Where it begins in a value; null where it has no place in one, is not whole bytes, or only a computation tells.
    #[column(unit = "bytes")]
    pub offset: Option<u64>,
    /// Where it begins in a value, counted from its first bit in memory; null but for fields that are not whole bytes.
    #[column(unit = "bits")]
    pub bit_offset: Option<u64>,
    /// Its size; null but for fields that are not whole bytes.
    #[column(unit = "bits")]
    pub bit_size: Option<u64>,
    /// Value of an enumerator, or of the discriminant of a variant; null for others, and for the variant of all other discriminants.
    pub value: Option<i64>,
}
