//! The `Table` derive: generates the declaration of a table from the documented struct of one row.
//!
//! For a row struct `BasicBlock` with `#[table(name = "basic_blocks", …)]` it generates the table type `BasicBlocks`
//! (an implementation of `binframe_ir::Table`), the builder `BasicBlockBuilder` and the typed views
//! `BasicBlockColumns`.

mod declaration;
mod names;

use declaration::{Column, Declaration};
use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;

/// Declares a table from the struct of one of its rows.
///
/// `#[table(name = "…", stage = …, key(a, b), span(address, size))]` states the name of the table, the variant of
/// `binframe_ir::Stage` that computes it, the columns of the key and, if rows cover addresses, the columns of the first
/// address and of the size. `references(other_table(c, d))` states that the columns `c` and `d` are together the key of a
/// row of another table. `file_bytes_per_row = …` states how many bytes of a file there typically are for a row.
///
/// `#[column(unit = "…", references = "table.column", range = 0..=8, one_of = Enumeration, bloom_filter)]` states the
/// unit of a column, the column that it refers to, the values that it may have, and that files have a Bloom filter of it.
#[proc_macro_derive(Table, attributes(table, column))]
pub fn derive_table(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    match syn::parse(input).and_then(|input| Declaration::parse(&input)) {
        Ok(declaration) => expand(&declaration).into(),
        Err(error) => error.into_compile_error().into(),
    }
}

fn expand(declaration: &Declaration) -> TokenStream {
    let table = expand_table(declaration);
    let builder = expand_builder(declaration);
    let columns = expand_columns(declaration);
    quote! { #table #builder #columns }
}

fn expand_table(declaration: &Declaration) -> TokenStream {
    let Declaration { row, name, stage, doc, key, span, references, file_bytes_per_row, .. } = declaration;
    let (table, builder, columns) = declaration.names();
    let lifetime = declaration.lifetime();
    let column_infos = declaration.columns.iter().map(expand_column_info);
    let span = match span {
        Some((address, size)) => quote!(Some((#address, #size))),
        None => quote!(None),
    };
    let references = references.iter().map(|(table, columns)| quote!((#table, &[#(#columns),*] as &[&str])));
    let table_doc = format!("The table `{name}`, whose rows are [`{row}`].");
    quote! {
        #[doc = #table_doc]
        #[derive(Debug, Clone, Copy)]
        pub enum #table {}

        impl ::binframe_ir::Table for #table {
            type Row<'a> = #row #lifetime;
            type Builder = #builder;
            type Columns<'a> = #columns<'a>;
            const INFO: &'static ::binframe_ir::TableInfo = &::binframe_ir::TableInfo {
                name: #name,
                stage: ::binframe_ir::Stage::#stage,
                doc: #doc,
                key: &[#(#key),*],
                span: #span,
                references: &[#(#references),*],
                file_bytes_per_row: #file_bytes_per_row,
                columns: &[#(#column_infos),*],
            };
            fn columns(batch: &::binframe_ir::Batch) -> Self::Columns<'_> {
                #columns::new(batch)
            }
        }
    }
}

fn expand_column_info(column: &Column) -> TokenStream {
    let Column { name, doc, value_type, has_bloom_filter, .. } = column;
    let name = column_name(name);
    let unit = option(column.unit.as_ref().map(|unit| quote!(#unit)));
    let references = option(column.references.as_ref().map(|(table, column)| quote!((#table, #column))));
    let range = option(column.range.as_ref().map(|(from, to)| quote!((#from, #to))));
    // Text that may only have the names of an enumeration is declared with the attribute `one_of`.
    let (names, docs) = match &column.one_of {
        Some(enumeration) => {
            let enumeration = quote!(<#enumeration as ::binframe_ir::Enumeration>);
            (quote!(Some(#enumeration::NAMES)), quote!(#enumeration::DOCS))
        }
        None => {
            let value_type = quote!(<#value_type as ::binframe_ir::ColumnType>);
            (quote!(#value_type::NAMES), quote!(#value_type::DOCS))
        }
    };
    quote! {
        ::binframe_ir::ColumnInfo {
            name: #name,
            doc: #doc,
            data_type: <#value_type as ::binframe_ir::ColumnType>::data_type,
            nullable: <#value_type as ::binframe_ir::ColumnType>::NULLABLE,
            unit: #unit,
            references: #references,
            has_bloom_filter: #has_bloom_filter,
            range: #range,
            one_of: #names,
            value_docs: #docs,
            memory_type: <#value_type as ::binframe_ir::ColumnType>::memory_type,
            adopt: <#value_type as ::binframe_ir::ColumnType>::adopt,
        }
    }
}

fn expand_builder(declaration: &Declaration) -> TokenStream {
    let row = &declaration.row;
    let (table, builder, _) = declaration.names();
    let lifetime = declaration.anonymous_lifetime();
    let names: Vec<_> = declaration.columns.iter().map(|column| &column.name).collect();
    let types: Vec<_> = declaration.columns.iter().map(|column| &column.value_type).collect();
    let docs = names.iter().map(|name| format!("Builder of the column `{name}`."));
    let doc = format!("Builder of [`{table}`], column by column, or row by row with `push`.");
    quote! {
        #[doc = #doc]
        #[derive(Debug, Default)]
        pub struct #builder {
            #(#[doc = #docs] pub #names: <#types as ::binframe_ir::ColumnType>::Builder,)*
        }

        impl #builder {
            /// Reserves capacity for `rows` more rows.
            pub fn reserve(&mut self, rows: usize) {
                #(<#types as ::binframe_ir::ColumnType>::reserve(&mut self.#names, rows);)*
            }

            /// Appends a row.
            #[inline]
            pub fn push(&mut self, row: #row #lifetime) {
                #(<#types as ::binframe_ir::ColumnType>::push(&mut self.#names, row.#names);)*
            }

            /// Passes the buffers to Arrow without a copy.
            ///
            /// # Panics
            /// If the columns have different lengths.
            pub fn finish(self) -> ::binframe_ir::Rows<#table> {
                ::binframe_ir::Rows::new(vec![#(<#types as ::binframe_ir::ColumnType>::finish(self.#names, None)),*])
            }
        }

        impl<'a> ::core::iter::Extend<<#table as ::binframe_ir::Table>::Row<'a>> for #builder {
            fn extend<I: IntoIterator<Item = <#table as ::binframe_ir::Table>::Row<'a>>>(&mut self, rows: I) {
                rows.into_iter().for_each(|row| self.push(row));
            }
        }

        impl ::binframe_ir::Finish for #builder {
            type Table = #table;
            fn finish(self) -> ::binframe_ir::Rows<#table> {
                #builder::finish(self)
            }
        }
    }
}

fn expand_columns(declaration: &Declaration) -> TokenStream {
    let row = &declaration.row;
    let (table, _, columns) = declaration.names();
    let lifetime = declaration.lifetime();
    let names: Vec<_> = declaration.columns.iter().map(|column| &column.name).collect();
    let column_names: Vec<_> = names.iter().map(|name| column_name(name)).collect();
    let types: Vec<_> = declaration.columns.iter().map(|column| &column.value_type).collect();
    let docs: Vec<_> = declaration.columns.iter().map(|column| &column.doc).collect();
    let doc = format!("Typed views of the columns of [`{table}`]; nothing is copied.");
    quote! {
        #[doc = #doc]
        #[derive(Debug, Clone, Copy)]
        pub struct #columns<'a> {
            rows: usize,
            #(#[doc = #docs] pub #names: <#types as ::binframe_ir::ColumnType>::View<'a>,)*
        }

        impl<'a> #columns<'a> {
            fn new(batch: &'a ::binframe_ir::Batch) -> Self {
                Self {
                    rows: batch.rows(),
                    #(#names: <#types as ::binframe_ir::ColumnType>::view(batch.column(#column_names)),)*
                }
            }

            /// Number of rows.
            pub fn len(&self) -> usize {
                self.rows
            }

            /// Whether there are no rows.
            pub fn is_empty(&self) -> bool {
                self.rows == 0
            }

            /// The values of one row.
            ///
            /// # Panics
            /// If `row` is not below `len()`.
            #[inline]
            pub fn row(&self, row: usize) -> #row #lifetime {
                #row { #(#names: <#types as ::binframe_ir::ColumnType>::get(self.#names, row),)* }
            }

            /// The rows, in order.
            pub fn iter(self) -> impl ExactSizeIterator<Item = #row #lifetime> + DoubleEndedIterator {
                (0..self.rows).map(move |row| self.row(row))
            }
        }
    }
}

fn option(value: Option<TokenStream>) -> TokenStream {
    match value {
        Some(value) => quote!(Some(#value)),
        None => quote!(None),
    }
}

/// Name of the column of a field: `r#type` is the column `type`.
fn column_name(field: &proc_macro2::Ident) -> String {
    field.unraw().to_string()
}
