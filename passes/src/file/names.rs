//! Demangles the names of symbols: Rust (legacy and v0), C++ of the Itanium ABI, C++ of Microsoft's compilers.
//!
//! A mangled name can stand for text that is exponentially longer. The text of one name and of all names is limited; a
//! name that exceeds a limit is not demangled.

use super::itanium;
use super::text_budget::TextBudget;
use binframe_ir::tables::{BinarySections, BinarySymbols, SymbolLanguage};
use binframe_ir::{ColumnType, Rows, Table};
use std::fmt::Write;
use std::io::ErrorKind;

/// Size of the longest demangled name, in bytes.
const DEMANGLED_SIZE_MAX: usize = 16 << 10;

/// Limits on names that Microsoft's compilers mangle: bytes, and question marks, which start nested names. The
/// demangler recurses for each, so that a longer name could exhaust its stack.
const MICROSOFT_SIZE_MAX: usize = 1 << 10;
const MICROSOFT_QUESTION_MARKS_MAX: usize = 64;

/// Size of the text, in bytes, at which `undname` stops with an error.
const MICROSOFT_TEXT_SIZE_MAX: usize = 1 << 20;

/// The symbols, or some of them, with the column `demangled_name` filled.
pub fn with_demangled_names(symbols: &Rows<BinarySymbols>) -> Rows<BinarySymbols> {
    let column = BinarySymbols::INFO.column_index("demangled_name").expect("a column of symbols");
    let names = symbols.columns().symbol_name;
    let mut budget = TextBudget::of_names(names.value_data().len());
    let mut texts = <Option<&str> as ColumnType>::Builder::default();
    for name in names.iter().flatten() {
        texts.push(demangled_within(name, &mut budget).as_deref());
    }
    let mut columns = symbols.batch().columns().to_vec();
    columns[column] = <Option<&str> as ColumnType>::finish(texts, None);
    Rows::new(columns)
}

/// The name of a mangled symbol in Rust or C++ source; `None` for other names.
pub fn demangled(name: &str) -> Option<String> {
    demangled_within(name, &mut TextBudget::new(u64::MAX))
}

/// The demangled name, if the budget allows the text that demangling writes.
fn demangled_within(name: &str, budget: &mut TextBudget) -> Option<String> {
    let (text, written) = if name.starts_with('?') {
        demangled_microsoft(name)
    } else {
        let text = demangled_itanium(name);
        let written = text.as_ref().map_or(0, String::len);
        (text, written)
    };
    budget.spend(written)?;
    text
}

/// A name that Microsoft's compilers mangled, as `name(parameters)`, and the number of bytes that demangling wrote.
/// Access, the type of the result or variable, and the calling convention are omitted, since the Itanium ABI does not
/// encode them.
fn demangled_microsoft(name: &str) -> (Option<String>, usize) {
    if name.len() > MICROSOFT_SIZE_MAX || name.matches('?').count() > MICROSOFT_QUESTION_MARKS_MAX {
        return (None, 0);
    }
    let tags = undname::Flags::NO_TAG_SPECIFIER;
    let read = undname::demangle(name, tags);
    let read = read.and_then(|whole| Ok((undname::demangle(name, tags | undname::Flags::NAME_ONLY)?, whole)));
    match read {
        Ok((mut text, whole)) => {
            if let Some(parameters) = whole.find(&format!(" {text}(")) {
                text.push_str(&whole[parameters + 1 + text.len()..]);
            }
            (Some(text).filter(|text| text.len() <= DEMANGLED_SIZE_MAX), whole.len())
        }
        Err(undname::Error::Io(error)) if error.kind() == ErrorKind::OutOfMemory => {
            (None, MICROSOFT_TEXT_SIZE_MAX)
        }
        Err(_) => (None, 0),
    }
}

fn demangled_itanium(name: &str) -> Option<String> {
    // A version may follow the name: `_ZdlPv@@GLIBCXX_3.4`.
    let name = name.split('@').next().unwrap_or(name);
    let mut text = Limited(String::new());
    match rust_symbol(name) {
        Some(symbol) => write!(text, "{symbol:#}").is_ok().then_some(text.0),
        None => itanium::demangle(name, DEMANGLED_SIZE_MAX),
    }
}

/// A mangled name of Rust. Mach-O and 32-bit Windows prefix names with an underscore.
fn rust_symbol(name: &str) -> Option<rustc_demangle::Demangle<'_>> {
    let mangled =
        if ["__R", "__Z"].iter().any(|prefix| name.starts_with(prefix)) { &name[1..] } else { name };
    let is_candidate = mangled.starts_with("_R") || mangled.starts_with("_ZN") && has_rust_hash(mangled);
    is_candidate.then(|| rustc_demangle::try_demangle(mangled).ok())?
}

/// Whether the last part of a nested name is a hash, by which the older form of Rust's names differs from C++.
fn has_rust_hash(mangled: &str) -> bool {
    let after = mangled.rsplit_once("17h").map_or("", |(_, after)| after);
    let (hash, rest) = after.as_bytes().split_at_checked(16).unwrap_or_default();
    hash.len() == 16 && hash.iter().all(u8::is_ascii_hexdigit) && rest.starts_with(b"E")
}

/// The language whose compilers make such names. In a file with Go's table of functions, unmangled names with a full stop
/// are Go's.
pub(crate) fn language(name: &str, is_go: bool) -> Option<SymbolLanguage> {
    const ADA: [&str; 5] = ["_ada_", "ada__", "system__", "gnat__", "interfaces__"];
    const SWIFT: [&str; 6] = ["$s", "$S", "$e", "_T0", "_$s", "_$S"];
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    // `_D`, then the size of the first identifier.
    let is_d = || {
        let rest = name.trim_start_matches('_').strip_prefix('D')?;
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let size: usize = rest[..digits].parse().ok()?;
        (name.starts_with('_') && size > 0 && size < rest.len() - digits).then_some(())
    };
    let has_go_form = || name.contains('.') && !name.starts_with(['.', '_', '$']);
    Some(match name {
        _ if name.starts_with('?') => SymbolLanguage::Cpp,
        _ if rust_symbol(name).is_some() => SymbolLanguage::Rust,
        _ if starts(&["_Z", "__Z", "___Z", "____Z"]) => SymbolLanguage::Cpp,
        _ if starts(&SWIFT) => SymbolLanguage::Swift,
        _ if is_d().is_some() => SymbolLanguage::D,
        _ if starts(&["-[", "+[", "_OBJC_", "OBJC_"]) => SymbolLanguage::ObjectiveC,
        _ if starts(&ADA) => SymbolLanguage::Ada,
        _ if is_go && has_go_form() => SymbolLanguage::Go,
        _ => return None,
    })
}

/// Whether a file has Go's table of functions, given its sections.
pub(crate) fn is_go(sections: &Rows<BinarySections>) -> bool {
    sections.columns().section_name.iter().flatten().any(|name| name.ends_with("gopclntab"))
}

/// A string of at most [`DEMANGLED_SIZE_MAX`] bytes.
struct Limited(String);

impl Write for Limited {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        if self.0.len() + text.len() > DEMANGLED_SIZE_MAX {
            return Err(std::fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{demangled, language};
    use binframe_ir::tables::SymbolLanguage;

    #[test]
    fn names_have_the_language_whose_compilers_make_them() {
        for (name, expected) in [
            ("_ZN1a1bEv", Some(SymbolLanguage::Cpp)),
            ("_ZN1a1bE", Some(SymbolLanguage::Cpp)),
            ("?f@@YAXXZ", Some(SymbolLanguage::Cpp)),
            ("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE", Some(SymbolLanguage::Rust)),
            ("__RNvC6_123foo3bar", Some(SymbolLanguage::Rust)),
            ("$s4main3fooyyF", Some(SymbolLanguage::Swift)),
            ("_D3std5stdio7writelnFZv", Some(SymbolLanguage::D)),
            ("_Dynamic", None),
            ("_D9", None),
            ("-[NSString length]", Some(SymbolLanguage::ObjectiveC)),
            ("ada__text_io__put_line", Some(SymbolLanguage::Ada)),
            ("runtime.main", Some(SymbolLanguage::Go)),
            ("_READ", None),
            ("main", None),
        ] {
            assert_eq!(language(name, true), expected, "{name}");
        }
        assert_eq!(language("runtime.main", false), None);
    }

    #[test]
    fn rust_and_cpp_names_are_demangled_and_others_are_not() {
        assert_eq!(
            demangled("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE").unwrap(),
            "core::fmt::Write::write_fmt"
        );
        assert_eq!(demangled("_RNvC6_123foo3bar").unwrap(), "123foo::bar");
        assert_eq!(
            demangled("_ZNSt6vectorIiSaIiEE9push_backERKi").unwrap(),
            "std::vector<int, std::allocator<int>>::push_back(int const&)"
        );
        assert_eq!(demangled("__RNvC6_123foo3bar").unwrap(), "123foo::bar");
        assert_eq!(demangled("?func@MyClass@@UEAAHHH@Z").unwrap(), "MyClass::func(int, int)");
        assert_eq!(demangled("?x@@3PEAVty@@EA").unwrap(), "x");
        assert_eq!(demangled("??1?$vector@H@std@@QEAA@XZ").unwrap(), "std::vector<int>::~vector<int>(void)");
        assert_eq!(demangled("main"), None);
        assert_eq!(demangled("?broken"), None);
        assert_eq!(demangled("_Zbroken"), None);
    }
}
