//! Objects and functions that the compiler makes: tables, type information, thunks, guards.

use super::nodes::{Node, NodeId};
use super::parser::{NameFacts, Parser};

impl Parser<'_> {
    /// `T…` or `G…`.
    pub(super) fn special_name(&mut self) -> Option<NodeId> {
        let letters = self.peek_pair();
        if let [b'T', b'v' | b'h' | b'c'] = letters {
            return self.thunk();
        }
        self.skip(2);
        let (prefix, node) = match &letters {
            b"TV" => ("vtable for ", self.type_node()?),
            b"TT" => ("VTT for ", self.type_node()?),
            b"TI" => ("typeinfo for ", self.type_node()?),
            b"TS" => ("typeinfo name for ", self.type_node()?),
            b"TA" => ("template parameter object for ", self.template_argument()?),
            b"TC" => return self.construction_table(),
            b"TW" => ("thread-local wrapper routine for ", self.name(&mut NameFacts::default())?),
            b"TH" => ("thread-local initialization routine for ", self.name(&mut NameFacts::default())?),
            b"GV" => ("guard variable for ", self.name(&mut NameFacts::default())?),
            b"GR" => ("reference temporary for ", self.reference_temporary()?),
            b"GI" => ("initializer for module ", self.module_name(None)??),
            b"GT" => return self.transaction_clone(),
            _ => return None,
        };
        Some(self.add(Node::Prefixed { prefix, node }))
    }

    /// A function that adjusts `this`, and maybe the result, and calls another one.
    fn thunk(&mut self) -> Option<NodeId> {
        self.expect(b'T')?;
        let prefix = match self.peek() {
            b'c' => {
                self.skip(1);
                self.call_offset()?;
                "covariant return thunk to "
            }
            b'v' => "virtual thunk to ",
            _ => "non-virtual thunk to ",
        };
        self.call_offset()?;
        let node = self.encoding()?;
        Some(self.add(Node::Prefixed { prefix, node }))
    }

    /// Skips an offset: fixed, or read from the virtual table as well.
    fn call_offset(&mut self) -> Option<()> {
        let is_virtual = self.eat(b'v');
        if !is_virtual {
            self.expect(b'h')?;
        }
        for _ in 0..=usize::from(is_virtual) {
            if self.number(true).is_empty() {
                return None;
            }
            self.expect(b'_')?;
        }
        Some(())
    }

    fn construction_table(&mut self) -> Option<NodeId> {
        let class = self.type_node()?;
        if self.number(true).is_empty() {
            return None;
        }
        self.expect(b'_')?;
        let base = self.type_node()?;
        Some(self.add(Node::ConstructionTable { base, class }))
    }

    /// The variable that extends the life of a temporary, and the number of the temporary.
    fn reference_temporary(&mut self) -> Option<NodeId> {
        let name = self.name(&mut NameFacts::default())?;
        // Older compilers write no number and no underscore.
        if !matches!(self.peek(), 0 | b'.') {
            self.sequence_number()?;
        }
        Some(name)
    }

    /// The variant of a function that is called within a transaction. LLVM does not print it; this is GNU's text.
    fn transaction_clone(&mut self) -> Option<NodeId> {
        let prefix = if self.eat(b'n') { "non-transaction clone for " } else { "transaction clone for " };
        self.eat(b't');
        let node = self.encoding()?;
        Some(self.add(Node::Prefixed { prefix, node }))
    }
}
