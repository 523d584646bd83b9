//! `seed -> CLIF text`: pseudo-random modules that always verify and compile.
//!
//! A module has up to six functions that call each other. A function has up to a dozen blocks with random branches:
//! loops are nested, share headers, are irreducible or infinite, and some blocks are unreachable. The programs are
//! analyzed but never run, since they may not terminate.
//!
//! To satisfy dominance, a block uses only its own values, its parameters and values of the entry block.

/// Optional features of a random module, which always has arithmetic, stack slots, calls and branches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Whether blocks may end in a `br_table` of four or more entries, which becomes a jump table.
    pub jump_tables: bool,
    /// Whether blocks may contain divisions and `trapnz`, which the compiler treats as single instructions: see
    /// [`FunctionGroundTruth`](crate::executable::FunctionGroundTruth).
    pub conditional_traps: bool,
    /// Whether blocks may end with a `trap`. The compiler reports wrong edges for such functions: see
    /// [`FunctionGroundTruth`](crate::executable::FunctionGroundTruth).
    pub traps: bool,
}

/// The module of a seed, without jump tables and traps.
pub fn clif(seed: u64) -> String {
    clif_with_features(seed, Features::default())
}

/// The module of a seed with the given features. The text is the same on every machine.
pub fn clif_with_features(seed: u64, features: Features) -> String {
    let mut random = Random(seed);
    let count = 1 + random.below(6);
    let signatures: Vec<Signature> =
        (0..count).map(|_| Signature { parameters: random.below(8), returns: random.chance(70) }).collect();
    let mut text = String::new();
    for (index, signature) in signatures.iter().enumerate() {
        let function = Function::new(*signature, &signatures, features, &mut random);
        let name = format!("f{index}");
        text.push_str(&function.write(&name, &mut random));
    }
    text
}

/// The splitmix64 generator, from a seed.
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `bound`. The bias of the remainder is negligible here.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.number() % bound as u64) as usize
    }

    /// True in so many of a hundred cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of the items, of which there must be one.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// All parameters and results are `i64`.
#[derive(Clone, Copy)]
struct Signature {
    parameters: usize,
    returns: bool,
}

impl Signature {
    fn text(self) -> String {
        let parameters = vec!["i64"; self.parameters].join(", ");
        format!("({parameters}){}", if self.returns { " -> i64" } else { "" })
    }
}

/// A function under construction.
struct Function<'a> {
    signature: Signature,
    /// Signatures of all functions of the module, in order.
    signatures: &'a [Signature],
    features: Features,
    /// Number of parameters of each block except the entry block, which has the function's parameters.
    block_parameters: Vec<usize>,
    /// Size of each stack slot in 8-byte words.
    slot_words: Vec<usize>,
    next_value: usize,
    /// Text lines of the blocks.
    body: Vec<String>,
}

impl<'a> Function<'a> {
    fn new(
        signature: Signature,
        signatures: &'a [Signature],
        features: Features,
        random: &mut Random,
    ) -> Self {
        Function {
            signature,
            signatures,
            features,
            block_parameters: (0..random.below(12)).map(|_| random.below(4)).collect(),
            slot_words: (0..random.below(3)).map(|_| 1 + random.below(8)).collect(),
            next_value: 0,
            body: Vec::new(),
        }
    }

    fn write(mut self, name: &str, random: &mut Random) -> String {
        let mut entry_values = self.block_header(0, self.signature.parameters);
        self.instructions(&mut entry_values, random);
        self.terminator(&entry_values, random);
        for block in 1..=self.block_parameters.len() {
            let mut values = entry_values.clone();
            values.extend(self.block_header(block, self.block_parameters[block - 1]));
            self.instructions(&mut values, random);
            self.terminator(&values, random);
        }

        let mut preamble = Vec::new();
        for (slot, words) in self.slot_words.iter().enumerate() {
            preamble.push(format!("    ss{slot} = explicit_slot {}", words * 8));
        }
        for (index, signature) in self.signatures.iter().enumerate() {
            preamble.push(format!("    sig{index} = {}", signature.text()));
            preamble.push(format!("    fn{index} = colocated %f{index} sig{index}"));
        }
        let signature = self.signature.text();
        let (preamble, body) = (preamble.join("\n"), self.body.join("\n"));
        format!("function %{name}{signature} {{\n{preamble}\n{body}\n}}\n\n")
    }

    fn block_header(&mut self, block: usize, parameters: usize) -> Vec<usize> {
        let values: Vec<usize> = (0..parameters).map(|_| self.new_value()).collect();
        let list: Vec<String> = values.iter().map(|value| format!("v{value}: i64")).collect();
        let list = if list.is_empty() { String::new() } else { format!("({})", list.join(", ")) };
        self.body.push(format!("\nblock{block}{list}:"));
        values
    }

    fn new_value(&mut self) -> usize {
        self.next_value += 1;
        self.next_value - 1
    }

    fn line(&mut self, line: &str) {
        self.body.push(format!("    {line}"));
    }

    /// Defines an `i64` value by an expression and returns its number.
    fn define(&mut self, expression: &str) -> usize {
        let value = self.new_value();
        self.line(&format!("v{value} = {expression}"));
        value
    }

    fn constant(&mut self, random: &mut Random) -> usize {
        // Small, medium and 64-bit constants have different encodings.
        let bits = *random.pick(&[3, 7, 15, 31, 63]);
        let constant = random.number() & ((1 << bits) - 1);
        self.define(&format!("iconst.i64 {constant}"))
    }

    fn instructions(&mut self, values: &mut Vec<usize>, random: &mut Random) {
        if values.is_empty() {
            values.push(self.constant(random));
        }
        for _ in 0..random.below(7) {
            let (a, b) = (*random.pick(values), *random.pick(values));
            match random.below(10) {
                0 => values.push(self.constant(random)),
                1 => self.stack_access(a, values, random),
                2 => self.call(values, random),
                3 => self.select(a, b, values, random),
                4 if self.features.conditional_traps => self.conditional_trap(a, b, values, random),
                _ => values.push(self.arithmetic(a, b, random)),
            }
        }
    }

    fn arithmetic(&mut self, a: usize, b: usize, random: &mut Random) -> usize {
        let operations = ["iadd", "isub", "imul", "band", "bor", "bxor", "ishl", "ushr", "sshr", "rotl"];
        let operation = random.pick(&operations);
        self.define(&format!("{operation} v{a}, v{b}"))
    }

    fn select(&mut self, a: usize, b: usize, values: &mut Vec<usize>, random: &mut Random) {
        let condition = self.condition(a, b, random);
        values.push(self.define(&format!("select.i64 v{condition}, v{a}, v{b}")));
    }

    fn stack_access(&mut self, stored: usize, values: &mut Vec<usize>, random: &mut Random) {
        if self.slot_words.is_empty() {
            return;
        }
        let slot = random.below(self.slot_words.len());
        let offset = random.below(self.slot_words[slot]) * 8;
        let address = self.define(&format!("stack_addr.i64 ss{slot}"));
        if random.chance(50) {
            self.line(&format!("store.i64 v{stored}, v{address}+{offset}"));
        } else {
            values.push(self.define(&format!("load.i64 v{address}+{offset}")));
        }
    }

    /// A direct call, or sometimes an indirect call through the function's address.
    fn call(&mut self, values: &mut Vec<usize>, random: &mut Random) {
        let callee = random.below(self.signatures.len());
        let Signature { parameters, returns } = self.signatures[callee];
        let arguments = Self::arguments(parameters, values, random);
        let call = if random.chance(80) {
            format!("call fn{callee}({arguments})")
        } else {
            let address = self.define(&format!("func_addr.i64 fn{callee}"));
            format!("call_indirect sig{callee}, v{address}({arguments})")
        };
        if returns {
            values.push(self.define(&call));
        } else {
            self.line(&call);
        }
    }

    fn conditional_trap(&mut self, a: usize, b: usize, values: &mut Vec<usize>, random: &mut Random) {
        if random.chance(50) {
            let condition = self.condition(a, b, random);
            self.line(&format!("trapnz v{condition}, user2"));
        } else {
            let operation = random.pick(&["udiv", "sdiv", "urem", "srem"]);
            values.push(self.define(&format!("{operation} v{a}, v{b}")));
        }
    }

    /// A comparison. Its `i8` result is not added to the values to choose from, which are `i64`.
    fn condition(&mut self, a: usize, b: usize, random: &mut Random) -> usize {
        let codes = ["eq", "ne", "slt", "sge", "ugt", "ule"];
        let code = random.pick(&codes);
        self.define(&format!("icmp {code} v{a}, v{b}"))
    }

    fn terminator(&mut self, values: &[usize], random: &mut Random) {
        let block_count = self.block_parameters.len();
        match random.below(100) {
            0..35 if block_count >= 2 => self.conditional_branch(values, random),
            35..45 if self.features.jump_tables && block_count >= 2 => {
                self.jump_table(values, random);
            }
            35..75 if block_count >= 1 => {
                let target = 1 + random.below(block_count);
                let destination = self.destination(target, values, random);
                self.line(&format!("jump {destination}"));
            }
            75..80 if self.features.traps => self.line("trap user1"),
            _ if self.signature.returns => {
                let value = random.pick(values);
                self.line(&format!("return v{value}"));
            }
            _ => self.line("return"),
        }
    }

    /// Two distinct blocks, so that the branch is not simplified.
    fn two_targets(&self, random: &mut Random) -> (usize, usize) {
        let block_count = self.block_parameters.len();
        let first = random.below(block_count);
        let second = (first + 1 + random.below(block_count - 1)) % block_count;
        (first + 1, second + 1)
    }

    fn conditional_branch(&mut self, values: &[usize], random: &mut Random) {
        let (a, b) = (*random.pick(values), *random.pick(values));
        // A comparison that can be fused with the branch, or a test of a value against zero.
        let condition = if random.chance(75) { self.condition(a, b, random) } else { a };
        let (then, otherwise) = self.two_targets(random);
        let then = self.destination(then, values, random);
        let otherwise = self.destination(otherwise, values, random);
        self.line(&format!("brif v{condition}, {then}, {otherwise}"));
    }

    fn jump_table(&mut self, values: &[usize], random: &mut Random) {
        let value = random.pick(values);
        let index = self.define(&format!("ireduce.i32 v{value}"));
        let (first, second) = self.two_targets(random);
        let mut targets = vec![first, second];
        for _ in 0..2 + random.below(6) {
            targets.push(1 + random.below(self.block_parameters.len()));
        }
        let default = 1 + random.below(self.block_parameters.len());
        let default = self.destination(default, values, random);
        let table: Vec<String> =
            targets.iter().map(|&target| self.destination(target, values, random)).collect();
        self.line(&format!("br_table v{index}, {default}, [{}]", table.join(", ")));
    }

    /// A branch destination with arguments.
    fn destination(&self, target: usize, values: &[usize], random: &mut Random) -> String {
        match self.block_parameters[target - 1] {
            0 => format!("block{target}"),
            count => format!("block{target}({})", Self::arguments(count, values, random)),
        }
    }

    fn arguments(count: usize, values: &[usize], random: &mut Random) -> String {
        let arguments: Vec<String> = (0..count).map(|_| format!("v{}", random.pick(values))).collect();
        arguments.join(", ")
    }
}
