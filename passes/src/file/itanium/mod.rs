//! `mangled name -> text of the name in C++ source`, for names of the Itanium C++ ABI.
//!
//! **Problem.** Compilers encode the scope, the parameters and the template arguments of a function or variable in the
//! name of its symbol: `_ZN1SC1IiEEOT_` is `S::S<int>(int&&)`. The text here is the text that LLVM's demangler writes,
//! so that names compare equal across tools.
//!
//! **Notation.** The grammar of the ABI. The table of *substitutions* holds the components that the name has spelled
//! so far; `S_`, `S0_`, … refer to them. A *template parameter* `T_`, `T0_`, … refers to a template argument of the
//! function that the name encodes, or of a lambda. An argument *pack* is a list of arguments that takes the place of
//! one parameter. The text of a type has a *left* and a *right* part; the declared name is between them:
//! `int (*` and `)(char)`.
//!
//! **Phases.** (1) A recursive-descent parser without backtracking builds a graph of nodes in an arena. If it fails, it
//! reads the name a second time, with the scopes of names in expressions as types: gcc writes them so. (2) A printer
//! walks the graph and writes text. Substitutions and parameters are edges of the graph, thus a node may be printed
//! several times, and a pack once per element.
//!
//! **Termination.** Each step of the parser consumes input or returns. Both phases count levels of recursion and stop
//! at [`nodes::DEPTH_MAX`]. The printer counts its steps and its bytes; the caller's limit on the text bounds both, since a
//! short name can stand for exponentially long text. A reference to an argument that contains the reference itself
//! prints as nothing.
//!
//! **Cost.** Linear in the name for the parser, linear in the text for the printer, times the depth of nested
//! declarators. Nodes refer to slices of the name, thus the only allocations are the arena's vectors and the text.
//!
//! **Differences to LLVM 19.** Names that LLVM does not demangle, or not correctly, have the text that GNU's demangler
//! gives, in LLVM's notation: scopes as types, packs as `I … E`, arguments of the type of a conversion, packs with a
//! declared parameter, template parameters of local functions. `tests/names.txt` lists examples.
//!
//! **Source.** Itanium C++ ABI, chapter 5.1 "External Names (a.k.a. Mangling)"; extensions of clang and gcc as their
//! output shows them.

#![expect(
    clippy::option_option,
    reason = "the outer option is for the form of the name, the inner one for its part"
)]

mod closures;
mod expressions;
mod floats;
mod literals;
mod names;
mod nodes;
mod operators;
mod parser;
mod printer;
mod printer_expressions;
mod printer_names;
mod printer_types;
mod special_names;
mod templates;
mod types;
mod unqualified_names;
mod unresolved_names;

#[cfg(test)]
mod tests;

use nodes::{Node, NodeId};
use parser::Parser;
use printer::Printer;

/// Size of the longest name that is demangled, in bytes. The longest of a million real names has 2,074.
const NAME_SIZE_MAX: usize = 1 << 20;

/// The text of a mangled name in C++ source. `None` if `name` is not a mangled name of the Itanium C++ ABI, or if its
/// text is longer than `size_max` bytes or nests too deeply.
///
/// The name starts with `_Z`, after at most three more underscores: one is the object format's, and names of blocks
/// (closures of Objective-C and clang) have two of their own.
pub(super) fn demangle(name: &str, size_max: usize) -> Option<String> {
    let underscores = name.bytes().take_while(|&byte| byte == b'_').count();
    let encoding = name[underscores..].strip_prefix('Z')?;
    let is_block = match underscores {
        _ if name.len() > NAME_SIZE_MAX => return None,
        1 | 2 => false,
        3 | 4 => true,
        _ => return None,
    };
    // Compilers differ in how they write scopes in expressions, and the name does not tell which way it is.
    [false, true].into_iter().find_map(|scopes_are_types| {
        let mut parser = Parser::new(encoding, scopes_are_types);
        let root = if is_block { block_invocation(&mut parser)? } else { parser.encoding()? };
        let suffix = parser.rest();
        let is_complete = suffix.is_empty() || suffix.starts_with('.');
        is_complete.then(|| text(&parser, root, suffix, size_max))
    })?
}

/// The text of the node, then the suffix in parentheses: compilers append it to names of parts and copies.
fn text(parser: &Parser<'_>, root: NodeId, suffix: &str, size_max: usize) -> Option<String> {
    let mut printer = Printer::new(parser.arena(), size_max);
    printer.print(root);
    if !suffix.is_empty() {
        printer.text(" (");
        printer.text(suffix);
        printer.text(")");
    }
    printer.finish()
}

/// The function that holds the code of a block. A suffix after a full stop is not printed.
fn block_invocation(parser: &mut Parser<'_>) -> Option<NodeId> {
    let encoding = parser.encoding()?;
    if !parser.eat_text("_block_invoke") {
        return None;
    }
    let is_numbered = parser.eat(b'_');
    if parser.number(false).is_empty() && is_numbered {
        return None;
    }
    if parser.peek() == b'.' {
        parser.skip_to_end();
    }
    Some(parser.add(Node::Prefixed { prefix: "invocation function for block in ", node: encoding }))
}
