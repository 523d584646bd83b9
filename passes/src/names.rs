//! Names of symbols: how much of them is kept, and what they were in source code.

use std::fmt::Write;

/// What demangling one name may write. Mangled names can stand for far longer ones.
const DEMANGLED_SIZE_MAX: usize = 16 << 10;

/// All names together may be this many times the file: string tables share the ends of names, but no honest one more.
const NAMES_PER_FILE_SIZE_MAX: usize = 16;

/// Arrow's limit for the text of one column, less a margin for names that stand in no file.
const NAMES_SIZE_MAX: usize = 1 << 30;

/// How many bytes of names may still be kept.
pub(crate) struct NameBudget(usize);

impl NameBudget {
    pub(crate) fn of_file(file: &[u8]) -> Self {
        Self(file.len().saturating_mul(NAMES_PER_FILE_SIZE_MAX).min(NAMES_SIZE_MAX))
    }

    /// The name, if there is room for it.
    pub(crate) fn take<T: AsRef<str>>(&mut self, name: T) -> Option<T> {
        self.0 = self.0.checked_sub(name.as_ref().len())?;
        Some(name)
    }
}

/// The name as it was in Rust or C++ source; none for a name that was not mangled.
pub(crate) fn demangle(name: &str) -> Option<String> {
    // Versions stand after the name: `_ZdlPv@@GLIBCXX_3.4`.
    let mangled = name.split('@').next().unwrap_or(name);
    if !["_R", "_Z"].iter().any(|prefix| mangled.starts_with(prefix)) {
        return None;
    }
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
    use super::demangle;

    #[test]
    fn rust_and_cpp_names_are_demangled_and_others_are_not() {
        assert_eq!(
            demangle("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE").unwrap(),
            "core::fmt::Write::write_fmt"
        );
        assert_eq!(demangle("_RNvC6_123foo3bar").unwrap(), "123foo::bar");
        assert_eq!(
            demangle("_ZNSt6vectorIiSaIiEE9push_backERKi").unwrap(),
            "std::vector<int, std::allocator<int> >::push_back(int const&)"
        );
        assert_eq!(demangle("main"), None);
        assert_eq!(demangle("_Zbroken"), None);
    }
}
