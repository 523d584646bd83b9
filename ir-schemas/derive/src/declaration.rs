//! Parses and checks the attributes of a row struct.

use proc_macro2::{Group, Ident, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::{Attribute, Data, DeriveInput, Error, Expr, Fields, LitInt, LitStr, Path, Result, Type};

pub(crate) struct Declaration {
    pub(crate) row: Ident,
    borrows: bool,
    pub(crate) name: String,
    pub(crate) stage: Ident,
    pub(crate) doc: String,
    pub(crate) key: Vec<String>,
    pub(crate) span: Option<(String, String)>,
    /// Table and own columns of each reference of several columns.
    pub(crate) references: Vec<(String, Vec<String>)>,
    pub(crate) file_bytes_per_row: u64,
    pub(crate) columns: Vec<Column>,
}

pub(crate) struct Column {
    pub(crate) name: Ident,
    pub(crate) doc: String,
    /// Type of the field with `'static` for every lifetime, which implements `ColumnType`.
    pub(crate) value_type: Type,
    pub(crate) unit: Option<String>,
    pub(crate) references: Option<(String, String)>,
    pub(crate) has_bloom_filter: bool,
    pub(crate) range: Option<(i128, i128)>,
    pub(crate) one_of: Option<Path>,
}

/// Bytes of a file per row in tables that do not declare it: tables with few rows.
const FILE_BYTES_PER_ROW: u64 = 1000;

impl Declaration {
    pub(crate) fn parse(input: &DeriveInput) -> Result<Self> {
        let Data::Struct(syn::DataStruct { fields: Fields::Named(fields), .. }) = &input.data else {
            return Err(Error::new_spanned(input, "a table's row is a struct with named fields"));
        };
        let mut declaration = Self {
            row: input.ident.clone(),
            borrows: !input.generics.params.is_empty(),
            name: String::new(),
            stage: format_ident!("Sections"),
            doc: doc(&input.attrs, &input.ident)?,
            key: Vec::new(),
            span: None,
            references: Vec::new(),
            file_bytes_per_row: FILE_BYTES_PER_ROW,
            columns: fields.named.iter().map(Column::parse).collect::<Result<_>>()?,
        };
        for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("table")) {
            declaration.parse_table(attribute)?;
        }
        if declaration.name.is_empty() {
            return Err(Error::new_spanned(
                &input.ident,
                "expected #[table(name = \"…\", stage = …, key(…))]",
            ));
        }
        let span = declaration.span.iter().flat_map(|(address, size)| [address, size]);
        let referring = declaration.references.iter().flat_map(|(_, columns)| columns);
        for name in declaration.key.iter().chain(span).chain(referring) {
            declaration.check_column(name, &input.ident)?;
        }
        Ok(declaration)
    }

    fn parse_table(&mut self, attribute: &Attribute) -> Result<()> {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("name") {
                self.name = meta.value()?.parse::<LitStr>()?.value();
            } else if meta.path.is_ident("stage") {
                self.stage = meta.value()?.parse()?;
            } else if meta.path.is_ident("key") {
                self.key = names(&meta)?;
            } else if meta.path.is_ident("span") {
                let [address, size] = <[String; 2]>::try_from(names(&meta)?)
                    .map_err(|_| meta.error("expected span(address column, size column)"))?;
                self.span = Some((address, size));
            } else if meta.path.is_ident("references") {
                meta.parse_nested_meta(|table| {
                    self.references.push((table.path.require_ident()?.to_string(), names(&table)?));
                    Ok(())
                })?;
            } else if meta.path.is_ident("file_bytes_per_row") {
                self.file_bytes_per_row = meta.value()?.parse::<LitInt>()?.base10_parse()?;
            } else {
                return Err(meta.error("expected name, stage, key, span, references or file_bytes_per_row"));
            }
            Ok(())
        })
    }

    fn check_column(&self, name: &str, location: &dyn ToTokens) -> Result<()> {
        match self.columns.iter().any(|column| column.name.unraw() == name) {
            true => Ok(()),
            false => Err(Error::new_spanned(location, format!("`{}` has no column `{name}`", self.row))),
        }
    }

    /// Names of the table type, its builder and its columns.
    pub(crate) fn names(&self) -> (Ident, Ident, Ident) {
        (
            crate::names::camel_case(&self.name),
            format_ident!("{}Builder", self.row),
            format_ident!("{}Columns", self.row),
        )
    }

    pub(crate) fn lifetime(&self) -> TokenStream {
        if self.borrows { quote!(<'a>) } else { quote!() }
    }

    pub(crate) fn anonymous_lifetime(&self) -> TokenStream {
        if self.borrows { quote!(<'_>) } else { quote!() }
    }
}

impl Column {
    fn parse(field: &syn::Field) -> Result<Self> {
        let name = field.ident.clone().expect("the struct has named fields");
        let mut column = Self {
            doc: doc(&field.attrs, &name)?,
            name,
            value_type: with_static_lifetimes(&field.ty)?,
            unit: None,
            references: None,
            has_bloom_filter: false,
            range: None,
            one_of: None,
        };
        for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("column")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("unit") {
                    column.unit = Some(meta.value()?.parse::<LitStr>()?.value());
                } else if meta.path.is_ident("references") {
                    let text: LitStr = meta.value()?.parse()?;
                    let target = text.value();
                    let Some((table, name)) = target.split_once('.') else {
                        return Err(Error::new_spanned(text, "expected \"table.column\""));
                    };
                    column.references = Some((table.to_owned(), name.to_owned()));
                } else if meta.path.is_ident("range") {
                    let range: syn::ExprRange = meta.value()?.parse()?;
                    column.range = Some((bound(range.start.as_deref())?, bound(range.end.as_deref())?));
                } else if meta.path.is_ident("bloom_filter") {
                    column.has_bloom_filter = true;
                } else if meta.path.is_ident("one_of") {
                    column.one_of = Some(meta.value()?.parse()?);
                } else {
                    return Err(meta.error("expected unit, references, range, one_of or bloom_filter"));
                }
                Ok(())
            })?;
        }
        Ok(column)
    }
}

/// The names of columns between parentheses.
fn names(meta: &ParseNestedMeta<'_>) -> Result<Vec<String>> {
    let mut names = Vec::new();
    meta.parse_nested_meta(|column| {
        names.push(column.path.require_ident()?.unraw().to_string());
        Ok(())
    })?;
    Ok(names)
}

/// The doc comment, which is required.
fn doc(attributes: &[Attribute], item: &Ident) -> Result<String> {
    let mut lines = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("doc")) {
        if let Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) =
            &attribute.meta.require_name_value()?.value
        {
            lines.push(text.value().trim().to_owned());
        }
    }
    match lines.is_empty() {
        true => Err(Error::new_spanned(
            item,
            format!("`{item}` needs a doc comment: a definition that is true of every row"),
        )),
        false => Ok(lines.join(" ").trim().to_owned()),
    }
}

fn bound(expression: Option<&Expr>) -> Result<i128> {
    match expression {
        Some(Expr::Lit(syn::ExprLit { lit: syn::Lit::Int(value), .. })) => value.base10_parse(),
        other => Err(Error::new_spanned(other, "expected a range of whole numbers such as 0..=8")),
    }
}

/// Replaces every lifetime with `'static`, as in `&'a str` → `&'static str`.
fn with_static_lifetimes(written: &Type) -> Result<Type> {
    fn rename(stream: TokenStream) -> TokenStream {
        let mut after_tick = false;
        let renamed = stream.into_iter().map(|token| match token {
            TokenTree::Group(group) => {
                TokenTree::Group(Group::new(group.delimiter(), rename(group.stream())))
            }
            TokenTree::Ident(ident) if after_tick => {
                after_tick = false;
                TokenTree::Ident(Ident::new("static", ident.span()))
            }
            other => {
                after_tick = matches!(&other, TokenTree::Punct(punct) if punct.as_char() == '\'');
                other
            }
        });
        renamed.collect()
    }
    syn::parse2(rename(written.to_token_stream()))
}
