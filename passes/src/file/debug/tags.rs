//! Tags of entries: which are read, and as what.
//!
//! Source: DWARF 5, chapters 3 to 5.

use super::attributes::Attributes;
use binframe_ir::tables::{MemberKind, TypeKind};
use gimli::constants;

/// The position of an entry in a type with variants, such as a Rust enumeration.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Variant {
    Outside,
    /// In the part that holds the discriminant.
    Part,
    /// In the variant with this discriminant.
    Of(Option<i64>),
}

/// Whether entries with a tag are read.
pub(super) fn is_read(tag: constants::DwTag) -> bool {
    type_kind(tag).is_some()
        || is_variable(tag)
        || matches!(
            tag,
            constants::DW_TAG_subprogram
                | constants::DW_TAG_inlined_subroutine
                | constants::DW_TAG_lexical_block
                | constants::DW_TAG_try_block
                | constants::DW_TAG_catch_block
                | constants::DW_TAG_member
                | constants::DW_TAG_inheritance
                | constants::DW_TAG_enumerator
                | constants::DW_TAG_variant_part
                | constants::DW_TAG_variant
        )
}

/// Whether an entry is a variable, a parameter or a named constant.
pub(super) fn is_variable(tag: constants::DwTag) -> bool {
    matches!(
        tag,
        constants::DW_TAG_variable | constants::DW_TAG_formal_parameter | constants::DW_TAG_constant
    )
}

/// The kind of type that an entry describes; `None` if it is not a type.
pub(super) fn type_kind(tag: constants::DwTag) -> Option<TypeKind> {
    Some(match tag {
        constants::DW_TAG_base_type => TypeKind::Base,
        constants::DW_TAG_structure_type => TypeKind::Structure,
        constants::DW_TAG_class_type | constants::DW_TAG_interface_type => TypeKind::Class,
        constants::DW_TAG_union_type => TypeKind::Union,
        constants::DW_TAG_enumeration_type => TypeKind::Enumeration,
        constants::DW_TAG_pointer_type => TypeKind::Pointer,
        constants::DW_TAG_reference_type => TypeKind::Reference,
        constants::DW_TAG_rvalue_reference_type => TypeKind::RvalueReference,
        constants::DW_TAG_ptr_to_member_type => TypeKind::MemberPointer,
        constants::DW_TAG_array_type => TypeKind::Array,
        constants::DW_TAG_subroutine_type => TypeKind::Function,
        constants::DW_TAG_typedef | constants::DW_TAG_template_alias => TypeKind::Typedef,
        constants::DW_TAG_const_type => TypeKind::Const,
        constants::DW_TAG_volatile_type => TypeKind::Volatile,
        constants::DW_TAG_restrict_type => TypeKind::Restrict,
        constants::DW_TAG_atomic_type => TypeKind::Atomic,
        constants::DW_TAG_subrange_type => TypeKind::Subrange,
        constants::DW_TAG_unspecified_type => TypeKind::Unspecified,
        constants::DW_TAG_string_type
        | constants::DW_TAG_set_type
        | constants::DW_TAG_file_type
        | constants::DW_TAG_packed_type
        | constants::DW_TAG_shared_type
        | constants::DW_TAG_immutable_type
        | constants::DW_TAG_coarray_type
        | constants::DW_TAG_dynamic_type => TypeKind::Other,
        _ => return None,
    })
}

/// The kind of member that an entry in a type is.
pub(super) fn member_kind(
    tag: constants::DwTag,
    attributes: &Attributes<'_>,
    variant: Variant,
) -> MemberKind {
    match (tag, variant) {
        (constants::DW_TAG_member, Variant::Part) => MemberKind::Discriminant,
        (constants::DW_TAG_member, Variant::Of(_)) => MemberKind::Variant,
        (constants::DW_TAG_member, _) if attributes.is_external || attributes.is_declaration => {
            MemberKind::Static
        }
        (constants::DW_TAG_member, _) => MemberKind::Field,
        (constants::DW_TAG_inheritance, _) => MemberKind::Inheritance,
        (constants::DW_TAG_enumerator, _) => MemberKind::Enumerator,
        (constants::DW_TAG_formal_parameter, _) => MemberKind::Parameter,
        _ => MemberKind::Static,
    }
}
