//! Names of generated items.

use quote::format_ident;

/// `basic_blocks` → `BasicBlocks`.
pub(crate) fn camel_case(name: &str) -> proc_macro2::Ident {
    let words = name.split('_').map(|word| {
        let mut letters = word.chars();
        letters
            .next()
            .map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
            .unwrap_or_default()
    });
    format_ident!("{}", words.collect::<String>())
}
