//! The table of .NET's methods, of the `sections` stage.

use crate::Table;

/// A method that the metadata of a .NET file declares.
#[derive(Debug, Clone, Copy, Default, Table)]
#[table(name = "clr_methods", stage = Sections, key(method_token))]
pub struct ClrMethod<'a> {
    /// Number by which metadata and code refer to the method: `0x06000000` plus its position, which starts at 1.
    pub method_token: u32,
    /// Namespace and name of the type, such as `System.Text.StringBuilder`, those of enclosing types before a slash;
    /// null for a method in no type.
    pub type_name: Option<&'a str>,
    /// Name of the method, such as `.ctor` for a constructor.
    #[column(bloom_filter)]
    pub method_name: &'a str,
    /// Address of its first instruction, which is .NET's intermediate language; null if it has no such code.
    #[column(unit = "address")]
    pub address: Option<u64>,
    /// Size of the instructions; null if there are none.
    #[column(unit = "bytes")]
    pub code_size: Option<u32>,
    /// Number of values that it keeps on the evaluation stack at most; null if there is no code.
    pub max_stack: Option<u16>,
    /// Attributes, as stored (`MethodAttributes` of ECMA-335, II.23.1.10).
    pub attributes: u16,
    /// Implementation attributes, as stored (`MethodImplAttributes` of ECMA-335, II.23.1.11).
    pub implementation: u16,
}
