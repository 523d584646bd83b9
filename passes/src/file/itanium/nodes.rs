//! Nodes of the graph that the parser builds and the printer walks, and the arena that holds them.

use super::operators::{Operator, Precedence};
use std::num::NonZeroU32;

/// Number of levels at which the parser and the printer give up.
pub(super) const DEPTH_MAX: usize = 256;

/// A node of an [`Arena`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NodeId(NonZeroU32);

/// A list of nodes of an [`Arena`]: a range of its vector of list elements.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct List {
    start: u32,
    size: u32,
}

/// Qualifiers of a type or of a member function.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Qualifiers {
    pub(super) is_const: bool,
    pub(super) is_volatile: bool,
    pub(super) is_restrict: bool,
}

/// Qualifiers of a function: those of its object, and whether that is an lvalue or an rvalue.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct FunctionQualifiers {
    pub(super) object: Qualifiers,
    pub(super) is_lvalue: bool,
    pub(super) is_rvalue: bool,
}

/// What a `std` abbreviation (`Sa`, `Ss`, …) stands for.
#[derive(Debug)]
pub(super) struct Abbreviation {
    /// The letter after the `S`.
    pub(super) letter: u8,
    /// The name as written in `std`.
    pub(super) name: &'static str,
    /// The name of the class template, which its constructors have.
    pub(super) class: &'static str,
    /// The class with its template arguments, which a constructor's scope spells in full.
    pub(super) full: &'static str,
}

/// What a synthetic name stands for: `$T`, `$N`, `$TT`.
#[derive(Clone, Copy, Debug)]
pub(super) enum ParameterKind {
    /// A type.
    Type,
    /// A value.
    Value,
    /// A template.
    Template,
}

/// A part of a name. Productions of the grammar that the printer writes in the same form share a variant.
#[derive(Clone, Copy, Debug)]
pub(super) enum Node<'a> {
    /// The text itself.
    Text(&'a str),
    /// The prefix, then the node.
    Prefixed { prefix: &'a str, node: NodeId },
    /// The node, then the suffix.
    Suffixed { node: NodeId, suffix: &'a str },
    /// `prefix(node)`.
    Enclosed { prefix: &'a str, node: NodeId, precedence: Precedence },
    /// Elements, separated by commas.
    List(List),

    /// `scope::name`.
    Scoped { scope: NodeId, name: NodeId },
    /// `scope::friend name`: a friend function that its class defines.
    Friend { scope: NodeId, name: NodeId },
    /// `name[abi:tag]`.
    Tagged { name: NodeId, tag: &'a str },
    /// `parent.name` or `parent:name`: a module or a partition of a module.
    Module { parent: Option<NodeId>, name: NodeId, is_partition: bool },
    /// `name@module`.
    Attached { name: NodeId, module: NodeId },
    /// `std::string` and the like; `is_full` if spelled with template arguments.
    Abbreviated { abbreviation: &'static Abbreviation, is_full: bool },
    /// The constructor or destructor of a class.
    Constructor { class: NodeId, is_destructor: bool },
    /// `operator+`.
    OperatorName(&'static Operator),
    /// `'unnamed0'`: a class or enumeration without a name.
    Unnamed { count: &'a str },
    /// `'lambda0'(int)`: the class of a lambda expression.
    Closure { count: &'a str, declarator: NodeId },
    /// `<typename $T> requires C (int) requires D`: the text after the name or the brackets of a lambda expression.
    Declarator {
        template_parameters: List,
        template_constraint: Option<NodeId>,
        parameters: List,
        constraint: Option<NodeId>,
    },
    /// `[a, b]`: variables of a structured binding.
    Binding(List),
    /// A function with its parameters; the result is given for instances of function templates.
    Function {
        result: Option<NodeId>,
        name: NodeId,
        parameters: List,
        conditions: Option<NodeId>,
        constraint: Option<NodeId>,
        qualifiers: FunctionQualifiers,
    },
    /// `construction vtable for base-in-class`.
    ConstructionTable { base: NodeId, class: NodeId },

    /// `name<arguments>`.
    Template { name: NodeId, arguments: List },
    /// A pack: the element that the current expansion selects.
    Pack(List),
    /// The pattern, once per element of the packs in it.
    Expansion(NodeId),
    /// A template argument that the name spells later.
    Forward { index: usize, target: Option<NodeId> },
    /// `$T0`: a template parameter of a lambda, which has no name in the mangled name.
    Synthetic { kind: ParameterKind, index: usize },
    /// `typename name`, or `constraint name`.
    TypeParameter { constraint: Option<NodeId>, name: NodeId },
    /// `type name`.
    ValueParameter { kind: NodeId, name: NodeId },
    /// `template<parameters> typename name`.
    TemplateParameter { parameters: List, name: NodeId, constraint: Option<NodeId> },
    /// `typename... name`.
    PackParameter(NodeId),

    /// A type with qualifiers.
    Qualified { inner: NodeId, qualifiers: Qualifiers },
    /// A type with a vendor's qualifier, which may have template arguments.
    VendorQualified { inner: NodeId, name: &'a str, arguments: Option<NodeId> },
    /// A type of Objective-C with a protocol.
    Protocol { inner: NodeId, protocol: &'a str },
    /// `inner*`.
    Pointer(NodeId),
    /// `inner&` or `inner&&`.
    Reference { inner: NodeId, is_rvalue: bool },
    /// `member class::*`.
    MemberPointer { class: NodeId, member: NodeId },
    /// `element [dimension]`.
    Array { element: NodeId, dimension: Option<NodeId> },
    /// `element vector[dimension]`.
    Vector { element: NodeId, dimension: Option<NodeId> },
    /// `result (parameters)`.
    FunctionType {
        result: NodeId,
        parameters: List,
        exceptions: Option<NodeId>,
        qualifiers: FunctionQualifiers,
    },

    /// A decimal number; a leading `n` is a minus sign.
    Number(&'a str),
    /// `(kind)value`: a literal of a type without a suffix of its own.
    CastLiteral { kind: NodeId, value: NodeId },
    /// The digits of a floating-point literal; `kind` is the letter of the type.
    Float { kind: u8, digits: &'a str },
    /// `"<kind>"`: a string literal of that type.
    StringLiteral(NodeId),
    /// A lambda expression; `closure` is its class.
    Lambda { closure: NodeId },

    /// `left + right`.
    Binary { operator: &'static Operator, left: NodeId, right: NodeId },
    /// `-operand`.
    Prefix { operator: &'static Operator, operand: NodeId },
    /// `operand++`.
    Postfix { operator: &'static Operator, operand: NodeId },
    /// `array[index]`.
    Subscript { array: NodeId, index: NodeId },
    /// `object.member`, `object->member`, `object.*member`, `object->*member`.
    Member { operator: &'static Operator, object: NodeId, member: NodeId },
    /// `condition ? then : otherwise`.
    Conditional { condition: NodeId, then: NodeId, otherwise: NodeId },
    /// `function(arguments)`.
    Call { function: NodeId, arguments: List },
    /// `new (placement) kind(arguments)`.
    New {
        operator: &'static Operator,
        is_global: bool,
        placement: List,
        kind: NodeId,
        initializer: Option<NodeId>,
    },
    /// `delete operand`.
    Delete { operator: &'static Operator, is_global: bool, operand: NodeId },
    /// `static_cast<kind>(operand)`.
    NamedCast { operator: &'static Operator, kind: NodeId, operand: NodeId },
    /// `(kind)(operands)`.
    Cast { kind: NodeId, operands: List },
    /// `kind{elements}`.
    Braces { kind: Option<NodeId>, elements: List },
    /// `.name = value`, or `[index] = value`.
    Designated { designator: NodeId, is_index: bool, value: NodeId },
    /// `[first ... last] = value`.
    DesignatedRange { first: NodeId, last: NodeId, value: NodeId },
    /// `(pack + ...)`, `(... + pack)`, with or without an initial value.
    Fold { operator: &'static Operator, is_left: bool, pack: NodeId, initial: Option<NodeId> },
    /// `object.<kind at offset n>`.
    Subobject { object: NodeId, kind: NodeId, offset: &'a str },
    /// `requires (parameters) { requirements }`.
    Requires { parameters: List, requirements: List },
    /// `{expression} noexcept -> constraint;`.
    Requirement { expression: NodeId, is_noexcept: bool, constraint: Option<NodeId> },
}

/// The nodes of one name.
pub(super) struct Arena<'a> {
    nodes: Vec<Node<'a>>,
    elements: Vec<NodeId>,
}

impl<'a> Arena<'a> {
    /// An arena without nodes, with room for the usual number of nodes of a name of `name_size` bytes.
    pub(super) fn new(name_size: usize) -> Self {
        let capacity = name_size.min(1 << 12) / 2 + 8;
        Self { nodes: Vec::with_capacity(capacity), elements: Vec::with_capacity(capacity / 2) }
    }

    /// Adds a node.
    pub(super) fn add(&mut self, node: Node<'a>) -> NodeId {
        self.nodes.push(node);
        NodeId(
            u32::try_from(self.nodes.len())
                .ok()
                .and_then(NonZeroU32::new)
                .expect("a few nodes per byte of a name of limited size"),
        )
    }

    /// Adds a list of the nodes.
    pub(super) fn add_list(&mut self, nodes: impl Iterator<Item = NodeId>) -> List {
        let start = self.elements.len();
        self.elements.extend(nodes);
        let size = self.elements.len() - start;
        List { start: start as u32, size: size as u32 }
    }

    /// The node.
    pub(super) fn node(&self, id: NodeId) -> Node<'a> {
        self.nodes[id.0.get() as usize - 1]
    }

    /// Sets the node that a forward reference stands for.
    pub(super) fn set_target(&mut self, forward: NodeId, argument: NodeId) {
        if let Node::Forward { target, .. } = &mut self.nodes[forward.0.get() as usize - 1] {
            *target = Some(argument);
        }
    }

    /// The elements of the list.
    pub(super) fn elements(&self, list: List) -> &[NodeId] {
        &self.elements[list.start as usize..][..list.size as usize]
    }
}
