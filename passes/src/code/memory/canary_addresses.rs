//! `(symbols, imports, relocations) -> canaries`
//!
//! Where a binary keeps its stack canary, if that is a variable: `__stack_chk_guard` of GCC and Clang without thread-local
//! storage, `__security_cookie` of Microsoft, `__guard_local` of OpenBSD. The variable may be in another file: then code
//! loads its address from an import slot, or from a pointer that MinGW's linker makes (`.refptr.__stack_chk_guard`).

use crate::file::linkage::LinkageIr;
use crate::file::sections::SectionsIr;
use binframe_ir::tables::Format;

/// The names of variables that hold a canary, without leading underscores.
const NAMES: [&str; 3] = ["stack_chk_guard", "security_cookie", "guard_local"];

/// Prefixes of the name of a variable in the name of a pointer to it.
const POINTER_PREFIXES: [&str; 2] = [".refptr.", "__imp_"];

/// The addresses of canaries, and of pointers to them.
#[derive(Debug, Clone, Default)]
pub(super) struct CanaryAddresses {
    /// Sorted.
    variables: Vec<u64>,
    /// Sorted.
    pointers: Vec<u64>,
}

impl CanaryAddresses {
    /// The canaries of a binary.
    pub(super) fn of(sections: &SectionsIr, linkage: &LinkageIr) -> Self {
        let mut addresses = Self::default();
        for symbol in sections.symbols.columns().iter().filter(|symbol| symbol.section_index.is_some()) {
            let name = symbol.symbol_name;
            let pointed = POINTER_PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix));
            match pointed {
                Some(name) if is_canary(name) => addresses.pointers.push(symbol.symbol_address),
                None if is_canary(name) => addresses.variables.push(symbol.symbol_address),
                _ => {}
            }
        }
        // Code of MinGW that names an imported variable has the address of its import slot, until the program's startup
        // replaces it by that of the variable.
        let is_windows = sections.headers.columns().iter().any(|header| header.format == Format::Pe);
        let imports = linkage.imports.columns();
        for import in imports.iter().filter(|import| import.import_name.is_some_and(is_canary)) {
            let slots = if is_windows { &mut addresses.variables } else { &mut addresses.pointers };
            slots.extend(import.slot_address);
        }
        let relocations = linkage.relocations.columns();
        let named = relocations.iter().filter(|own| own.is_dynamic && own.symbol_name.is_some_and(is_canary));
        addresses.pointers.extend(named.map(|relocation| relocation.address));
        addresses.pointers.sort_unstable();
        addresses.variables.sort_unstable();
        addresses.pointers.retain(|pointer| addresses.variables.binary_search(pointer).is_err());
        addresses
    }

    /// Whether a canary is at an address.
    pub(super) fn is_variable(&self, address: u64) -> bool {
        self.variables.binary_search(&address).is_ok()
    }

    /// Whether a pointer to a canary is at an address.
    pub(super) fn is_pointer(&self, address: u64) -> bool {
        self.pointers.binary_search(&address).is_ok()
    }

    /// The content as numbers, for a fingerprint.
    pub(super) fn words(&self) -> Vec<u64> {
        [self.variables.as_slice(), &[u64::MAX], &self.pointers].concat()
    }
}

/// Whether a name is that of a variable that holds a canary.
fn is_canary(name: &str) -> bool {
    let name = name.split('@').next().unwrap_or(name).trim_start_matches('_');
    NAMES.contains(&name)
}
