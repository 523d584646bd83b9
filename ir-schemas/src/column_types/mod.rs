//! The types of columns: how values are appended, converted to an Arrow array, and read back without a copy.

mod bytes;
mod column_type;
mod nullable;
mod scalar;
mod term;
mod terms;
mod text;

pub use bytes::BytesBuilder;
pub use column_type::ColumnType;
pub(crate) use column_type::dictionary;
pub use nullable::{NullableBuilder, NullableView};
pub use scalar::{BoolBuilder, Timestamp};
pub use term::{Term, TermBuilder, TermView};
pub use terms::{Terms, TermsBuilder, TermsView};
pub use text::TextBuilder;
