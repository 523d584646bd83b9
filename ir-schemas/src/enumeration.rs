//! Enumerations: closed sets of documented names; text in the schema, one byte in memory.

use crate::ColumnType;
use crate::column_types::dictionary;
use arrow_array::types::UInt8Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, StringArray};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use std::marker::PhantomData;

/// A closed set of names. Declared with the macro `enumeration!`.
pub trait Enumeration: Copy + Eq + Default + std::fmt::Debug + Send + Sync + 'static {
    /// The names, by code.
    const NAMES: &'static [&'static str];
    /// The documentation of each name, by code.
    const DOCS: &'static [&'static str];

    /// The position of the value in `NAMES`.
    fn code(self) -> u8;

    /// The value with a code, which is below `NAMES.len()`.
    fn from_code(code: u8) -> Self;

    /// The dictionary array that all columns of this type share.
    fn dictionary() -> ArrayRef;

    /// The name of the value.
    fn name(self) -> &'static str {
        Self::NAMES[self.code() as usize]
    }

    /// The value with a name; `None` if there is none.
    fn from_name(name: &str) -> Option<Self> {
        let code = Self::NAMES.iter().position(|known| *known == name)?;
        Some(Self::from_code(code as u8))
    }
}

/// Builder of a column of an enumeration: the code of each value.
#[derive(Debug)]
pub struct EnumBuilder<E> {
    codes: Vec<u8>,
    enumeration: PhantomData<E>,
}

impl<E> Default for EnumBuilder<E> {
    fn default() -> Self {
        Self { codes: Vec::new(), enumeration: PhantomData }
    }
}

impl<E: Enumeration> EnumBuilder<E> {
    /// Appends a value.
    #[inline]
    pub fn push(&mut self, value: E) {
        self.codes.push(value.code());
    }
}

/// Typed view of a column of an enumeration.
#[derive(Debug, Clone, Copy)]
pub struct EnumView<'a, E> {
    codes: &'a [u8],
    enumeration: PhantomData<E>,
}

impl<E: Enumeration> EnumView<'_, E> {
    /// The value in a row.
    #[inline]
    pub fn get(&self, row: usize) -> E {
        E::from_code(self.codes[row])
    }
}

impl<E: Enumeration> ColumnType for E {
    type Value<'a> = E;
    type Builder = EnumBuilder<E>;
    type View<'a> = EnumView<'a, E>;
    const NAMES: Option<&'static [&'static str]> = Some(<E as Enumeration>::NAMES);
    const DOCS: &'static [&'static str] = <E as Enumeration>::DOCS;

    fn data_type() -> DataType {
        DataType::Dictionary(Box::new(DataType::UInt8), Box::new(DataType::Utf8))
    }
    fn reserve(builder: &mut EnumBuilder<E>, count: usize) {
        builder.codes.reserve(count);
    }
    #[inline]
    fn push(builder: &mut EnumBuilder<E>, value: E) {
        builder.push(value);
    }
    fn push_fillers(builder: &mut EnumBuilder<E>, count: usize) {
        builder.codes.resize(builder.codes.len() + count, 0);
    }
    fn finish(builder: EnumBuilder<E>, nulls: Option<NullBuffer>) -> ArrayRef {
        dictionary::<UInt8Type>(builder.codes, nulls, E::dictionary())
    }
    fn view(array: &ArrayRef) -> EnumView<'_, E> {
        let array = array.as_any().downcast_ref::<DictionaryArray<UInt8Type>>();
        EnumView { codes: array.expect("an enumeration's column").keys().values(), enumeration: PhantomData }
    }
    #[inline]
    fn get<'a: 'a>(view: EnumView<'a, E>, row: usize) -> E {
        view.get(row)
    }
    fn adopt(array: &ArrayRef) -> Result<ArrayRef, String> {
        let text = arrow_cast::cast(array, &DataType::Utf8).map_err(|error| error.to_string())?;
        let text = text.as_any().downcast_ref::<StringArray>().expect("cast to text");
        let mut values = EnumBuilder::<E>::default();
        for value in text {
            match value.map(|name| E::from_name(name).ok_or(name)) {
                None => values.push(E::default()),
                Some(Ok(value)) => values.push(value),
                Some(Err(name)) => return Err(format!("`{name}` is not one of {}", E::NAMES.join(", "))),
            }
        }
        Ok(Self::finish(values, text.nulls().cloned()))
    }
}

/// Declares an enumeration: each variant with its documentation and its name in tables. The first is the default.
macro_rules! enumeration {
    ($(#[doc = $doc:literal])+ $type:ident { $($(#[doc = $variant_doc:literal])+ $variant:ident = $name:literal,)+ }) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $type { $($(#[doc = $variant_doc])+ $variant,)+ }

        impl Default for $type {
            fn default() -> Self {
                <Self as $crate::Enumeration>::from_code(0)
            }
        }

        impl $crate::Enumeration for $type {
            const NAMES: &'static [&'static str] = &[$($name),+];
            const DOCS: &'static [&'static str] = &[$(concat!($($variant_doc),+)),+];

            fn code(self) -> u8 {
                self as u8
            }
            fn from_code(code: u8) -> Self {
                const VALUES: &[$type] = &[$($type::$variant),+];
                VALUES[code as usize]
            }
            fn dictionary() -> ::arrow_array::ArrayRef {
                static DICTIONARY: ::std::sync::OnceLock<::arrow_array::ArrayRef> = ::std::sync::OnceLock::new();
                let make = || -> ::arrow_array::ArrayRef {
                    ::std::sync::Arc::new(::arrow_array::StringArray::from(vec![$($name),+]))
                };
                ::std::sync::Arc::clone(DICTIONARY.get_or_init(make))
            }
        }
    };
}
pub(crate) use enumeration;
