//! Operators: their two letters, their symbol, and how an expression with them is read and written.

/// How tightly an operator binds, tightest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Precedence {
    Primary,
    Postfix,
    Unary,
    Cast,
    PointerToMember,
    Multiplicative,
    Additive,
    Shift,
    Spaceship,
    Relational,
    Equality,
    And,
    Xor,
    Or,
    LogicalAnd,
    LogicalOr,
    Conditional,
    Assign,
    Comma,
}

/// The operands of an operator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum OperatorKind {
    /// One operand on the right.
    Prefix,
    /// One operand on the left; with `_`, on the right.
    Postfix,
    /// Two operands.
    Binary,
    /// Array and index.
    Subscript,
    /// Object and member, where the operator cannot be overloaded.
    Dot,
    /// Object and member.
    Arrow,
    /// Placement arguments, type, arguments.
    New,
    /// Pointer.
    Delete,
    /// Function and arguments.
    Call,
    /// Three operands.
    Conditional,
    /// Not an expression.
    NameOnly,
    /// Type and value.
    NamedCast,
    /// A type in parentheses.
    OfType,
    /// An expression in parentheses.
    OfExpression,
}

/// An operator.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Operator {
    letters: [u8; 2],
    pub(super) kind: OperatorKind,
    pub(super) precedence: Precedence,
    pub(super) symbol: &'static str,
}

impl Operator {
    const fn new(letters: [u8; 2], symbol: &'static str, kind: OperatorKind, precedence: Precedence) -> Self {
        Self { letters, kind, precedence, symbol }
    }

    /// The operator that two letters encode.
    pub(super) fn of_letters(letters: [u8; 2]) -> Option<&'static Self> {
        let index = OPERATORS.binary_search_by_key(&letters, |operator| operator.letters).ok()?;
        Some(&OPERATORS[index])
    }

    /// Whether a function can be named after the operator.
    pub(super) fn has_name(&self) -> bool {
        !matches!(
            self.kind,
            OperatorKind::Dot | OperatorKind::NamedCast | OperatorKind::OfType | OperatorKind::OfExpression
        )
    }
}

/// All operators but those of conversions (`cv`) and literals (`li`), in the order of their letters.
static OPERATORS: &[Operator] = {
    use OperatorKind as K;
    use Precedence as P;
    &[
        Operator::new(*b"aN", "&=", K::Binary, P::Assign),
        Operator::new(*b"aS", "=", K::Binary, P::Assign),
        Operator::new(*b"aa", "&&", K::Binary, P::LogicalAnd),
        Operator::new(*b"ad", "&", K::Prefix, P::Unary),
        Operator::new(*b"an", "&", K::Binary, P::And),
        Operator::new(*b"at", "alignof ", K::OfType, P::Unary),
        Operator::new(*b"aw", "co_await", K::NameOnly, P::Primary),
        Operator::new(*b"az", "alignof ", K::OfExpression, P::Unary),
        Operator::new(*b"cc", "const_cast", K::NamedCast, P::Postfix),
        Operator::new(*b"cl", "()", K::Call, P::Postfix),
        Operator::new(*b"cm", ",", K::Binary, P::Comma),
        Operator::new(*b"co", "~", K::Prefix, P::Unary),
        Operator::new(*b"dV", "/=", K::Binary, P::Assign),
        Operator::new(*b"da", "delete[]", K::Delete, P::Unary),
        Operator::new(*b"dc", "dynamic_cast", K::NamedCast, P::Postfix),
        Operator::new(*b"de", "*", K::Prefix, P::Unary),
        Operator::new(*b"dl", "delete", K::Delete, P::Unary),
        Operator::new(*b"ds", ".*", K::Dot, P::PointerToMember),
        Operator::new(*b"dt", ".", K::Dot, P::Postfix),
        // LLVM groups a division like an assignment.
        Operator::new(*b"dv", "/", K::Binary, P::Assign),
        Operator::new(*b"eO", "^=", K::Binary, P::Assign),
        Operator::new(*b"eo", "^", K::Binary, P::Xor),
        Operator::new(*b"eq", "==", K::Binary, P::Equality),
        Operator::new(*b"ge", ">=", K::Binary, P::Relational),
        Operator::new(*b"gt", ">", K::Binary, P::Relational),
        Operator::new(*b"ix", "[]", K::Subscript, P::Postfix),
        Operator::new(*b"lS", "<<=", K::Binary, P::Assign),
        Operator::new(*b"le", "<=", K::Binary, P::Relational),
        Operator::new(*b"ls", "<<", K::Binary, P::Shift),
        Operator::new(*b"lt", "<", K::Binary, P::Relational),
        Operator::new(*b"mI", "-=", K::Binary, P::Assign),
        Operator::new(*b"mL", "*=", K::Binary, P::Assign),
        Operator::new(*b"mi", "-", K::Binary, P::Additive),
        Operator::new(*b"ml", "*", K::Binary, P::Multiplicative),
        Operator::new(*b"mm", "--", K::Postfix, P::Postfix),
        Operator::new(*b"na", "new[]", K::New, P::Unary),
        Operator::new(*b"ne", "!=", K::Binary, P::Equality),
        Operator::new(*b"ng", "-", K::Prefix, P::Unary),
        Operator::new(*b"nt", "!", K::Prefix, P::Unary),
        Operator::new(*b"nw", "new", K::New, P::Unary),
        Operator::new(*b"oR", "|=", K::Binary, P::Assign),
        Operator::new(*b"oo", "||", K::Binary, P::LogicalOr),
        Operator::new(*b"or", "|", K::Binary, P::Or),
        Operator::new(*b"pL", "+=", K::Binary, P::Assign),
        Operator::new(*b"pl", "+", K::Binary, P::Additive),
        Operator::new(*b"pm", "->*", K::Arrow, P::PointerToMember),
        Operator::new(*b"pp", "++", K::Postfix, P::Postfix),
        Operator::new(*b"ps", "+", K::Prefix, P::Unary),
        Operator::new(*b"pt", "->", K::Arrow, P::Postfix),
        Operator::new(*b"qu", "?", K::Conditional, P::Conditional),
        Operator::new(*b"rM", "%=", K::Binary, P::Assign),
        Operator::new(*b"rS", ">>=", K::Binary, P::Assign),
        Operator::new(*b"rc", "reinterpret_cast", K::NamedCast, P::Postfix),
        Operator::new(*b"rm", "%", K::Binary, P::Multiplicative),
        Operator::new(*b"rs", ">>", K::Binary, P::Shift),
        Operator::new(*b"sc", "static_cast", K::NamedCast, P::Postfix),
        Operator::new(*b"ss", "<=>", K::Binary, P::Spaceship),
        Operator::new(*b"st", "sizeof ", K::OfType, P::Unary),
        Operator::new(*b"sz", "sizeof ", K::OfExpression, P::Unary),
        Operator::new(*b"te", "typeid ", K::OfExpression, P::Postfix),
        Operator::new(*b"ti", "typeid ", K::OfType, P::Postfix),
    ]
};
