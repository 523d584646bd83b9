//! Names of symbols: how much of them is kept, and what they were in source code.

use binframe_ir::tables::BinarySymbols;
use binframe_ir::{Cell, Rows, Table};
use std::borrow::Cow;
use std::ffi::CStr;
use std::fmt::Write;
use std::io::ErrorKind;

/// What demangling one name may write. Mangled names can stand for far longer ones.
const DEMANGLED_SIZE_MAX: usize = 16 << 10;

/// What names of Microsoft's compilers may have of bytes, and of the marks that names in names begin with: each may cost its reader
/// stack. Longer ones are none of people's making.
const MICROSOFT_SIZE_MAX: usize = 1 << 10;
const MICROSOFT_MARKS_MAX: usize = 64;

/// What the reader of those names writes before it gives up.
const MICROSOFT_TEXT_SIZE_MAX: usize = 1 << 20;

/// All names together may be this many times the file: string tables share the ends of names, but no honest one more.
const NAMES_PER_FILE_SIZE_MAX: usize = 16;

/// Arrow's limit for the text of one column, less a margin for names that stand in no file.
const NAMES_SIZE_MAX: usize = 1 << 30;

/// How many bytes of names may still be kept, and looked at.
pub(crate) struct NameBudget {
    left: usize,
    /// Any number of names may have one end, which is looked for again and again.
    unread: usize,
}

impl NameBudget {
    pub(crate) fn of_file(file: &[u8]) -> Self {
        let all = file.len().saturating_mul(NAMES_PER_FILE_SIZE_MAX);
        Self { left: all.min(NAMES_SIZE_MAX), unread: all }
    }

    /// The name, if there is room for it.
    pub(crate) fn take<T: AsRef<str>>(&mut self, name: T) -> Option<T> {
        self.left = self.left.checked_sub(name.as_ref().len())?;
        Some(name)
    }

    /// The name at an offset of a string table, up to the zero byte or the end.
    pub(crate) fn read<'a>(&mut self, strings: &'a [u8], offset: u64) -> Result<Cow<'a, str>, &'static str> {
        const TOO_LONG: &str = "all names together are too long";
        let rest = usize::try_from(offset).ok().and_then(|offset| strings.get(offset..));
        let rest = rest.ok_or("it stands behind the string table")?;
        let read = &rest[..rest.len().min(self.unread)];
        let name = CStr::from_bytes_until_nul(read).map_or(read, CStr::to_bytes);
        self.unread -= name.len();
        if name.len() == read.len() && read.len() < rest.len() {
            return Err(TOO_LONG);
        }
        self.take(String::from_utf8_lossy(name)).ok_or(TOO_LONG)
    }
}

/// The same symbols, with their names as they were in source code.
pub(crate) fn with_demangled_names(symbols: &Rows<BinarySymbols>) -> Rows<BinarySymbols> {
    let column = BinarySymbols::INFO.column_index("demangled_name").expect("a column of symbols");
    let names = symbols.columns().symbol_name;
    let mut left = names.value_data().len().saturating_mul(NAMES_PER_FILE_SIZE_MAX).min(NAMES_SIZE_MAX);
    let mut texts = <Option<&str> as Cell>::Builder::default();
    for name in names.iter().flatten() {
        texts.push(demangled_within(name, &mut left).as_deref());
    }
    let mut columns = symbols.batch().columns().to_vec();
    columns[column] = <Option<&str> as Cell>::finish(texts, None);
    Rows::new(columns)
}

/// The name as it was in Rust or C++ source; none for a name that was not mangled.
pub fn demangled(name: &str) -> Option<String> {
    let mut left = usize::MAX;
    demangled_within(name, &mut left)
}

/// The same, if there is room for what has to be written to know it.
fn demangled_within(name: &str, left: &mut usize) -> Option<String> {
    let (text, written) = if name.starts_with('?') {
        demangled_microsoft(name)
    } else {
        let text = demangled_itanium(name);
        let written = text.as_ref().map_or(0, String::len);
        (text, written)
    };
    *left = left.checked_sub(written)?;
    text
}

/// A name of Microsoft's compilers, without what others do not keep, which is all before the name itself: access, the type of the result
/// or variable, the calling convention. And how much was written.
fn demangled_microsoft(name: &str) -> (Option<String>, usize) {
    if name.len() > MICROSOFT_SIZE_MAX || name.matches('?').count() > MICROSOFT_MARKS_MAX {
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
    // Mach-O and 32-bit Windows put an underscore before names.
    let mangled =
        if ["__R", "__Z"].iter().any(|prefix| name.starts_with(prefix)) { &name[1..] } else { name };
    if !["_R", "_Z"].iter().any(|prefix| mangled.starts_with(prefix)) {
        return None;
    }
    // Versions stand after the name: `_ZdlPv@@GLIBCXX_3.4`.
    let mangled = mangled.split('@').next().unwrap_or(mangled);
    let mut text = Limited(String::new());
    if let Ok(symbol) = rustc_demangle::try_demangle(mangled) {
        return write!(text, "{symbol:#}").is_ok().then_some(text.0);
    }
    let options = cpp_demangle::DemangleOptions::default();
    let symbol = cpp_demangle::Symbol::new(mangled).ok()?;
    symbol.structured_demangle(&mut text, &options).is_ok().then_some(text.0)
}

/// Text that does not grow beyond [`DEMANGLED_SIZE_MAX`].
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
    use super::demangled;

    #[test]
    fn rust_and_cpp_names_are_demangled_and_others_are_not() {
        assert_eq!(
            demangled("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE").unwrap(),
            "core::fmt::Write::write_fmt"
        );
        assert_eq!(demangled("_RNvC6_123foo3bar").unwrap(), "123foo::bar");
        assert_eq!(
            demangled("_ZNSt6vectorIiSaIiEE9push_backERKi").unwrap(),
            "std::vector<int, std::allocator<int> >::push_back(int const&)"
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
