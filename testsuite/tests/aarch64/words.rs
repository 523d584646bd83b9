//! Words are instructions for binframe as they are for `llvm-mc`, with the same text.

use binframe::passes::isa::Isa;
use binframe_testsuite::tools;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::process::Command;

/// Words that are decoded, unless `BINFRAME_WORDS` asks for another number.
const WORDS: usize = 20_000;

/// Words that LLVM is given at a time.
const BATCH: usize = 1 << 18;

/// Mnemonics that LLVM 19 does not know, by what they start with: instructions that were published later. Of scalable
/// instructions any may be unknown.
const NEWER: [&str; 25] = [
    "casa", "casl", "casp", "cast", "cb", "fcvt", "fdot", "fmax", "fmin", "fmmla", "ldap", "ldatxr", "ldbf",
    "ldf", "ldt", "scvtf", "setgo", "stbf", "stf", "stlp", "stltxr", "stt", "swpt", "tchange", "ucvtf",
];

/// Mnemonics of which fARM64 does not decode all words that LLVM does.
const MISSING: [&str; 2] = ["ldap1", "stl1"];

/// Names of one instruction: LLVM's, ours.
const ALIASES: [(&str, &str); 8] = [
    ("bfi", "bfc"),
    ("mov", "dupm"),
    ("mov", "mova"),
    ("orr", "mov"),
    ("sshll", "sxtl"),
    ("sshll2", "sxtl2"),
    ("ushll", "uxtl"),
    ("ushll2", "uxtl2"),
];

/// Random words, as LLVM's assembler is given bytes.
fn random_words(count: usize) -> Vec<u32> {
    let mut state = 0x00a6_4a64_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 32) as u32
    };
    (0..count).map(|_| next()).collect()
}

/// What LLVM prints for each word; `None` if it is no instruction. `None`, with a message, if LLVM is not installed.
fn llvm(words: &[u32]) -> Option<Vec<Option<String>>> {
    let tool = tools::find("llvm-mc")?;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("words");
    let mut text = String::new();
    for word in words {
        let [a, b, c, d] = word.to_le_bytes();
        writeln!(text, "{a:#x},{b:#x},{c:#x},{d:#x}").expect("text grows");
    }
    fs::write(&path, text).expect("the temporary folder is writable");
    let mut command = Command::new(tool);
    command.args(["--disassemble", "--triple=aarch64", "--mattr=+all"]).arg(&path);
    let output = tools::output(&mut command)?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let invalid = errors.lines().filter_map(|line| {
        let (place, _) = line.split_once(": warning: invalid instruction encoding")?;
        place.rsplit(':').nth(1)?.parse::<usize>().ok()
    });
    let invalid: BTreeSet<usize> = invalid.collect();
    let printed = String::from_utf8_lossy(&output.stdout);
    let mut printed = printed.lines().filter(|line| line.starts_with('\t') && !line.starts_with("\t."));
    let texts = (1..=words.len()).map(|line| {
        (!invalid.contains(&line)).then(|| printed.next().expect("a line for each instruction").to_owned())
    });
    Some(texts.collect())
}

/// The text without spaces, comments and `#`, with numbers in decimal.
fn normalized(text: &str) -> String {
    let text = text.split("//").next().unwrap_or_default();
    let mut found = String::new();
    for part in text.split_whitespace() {
        let mut token = String::new();
        for letter in part.chars().chain(['#']) {
            match letter {
                '#' | ',' | '[' | ']' | '{' | '}' | '!' => {
                    found.push_str(&number(&token));
                    token.clear();
                    found.extend(Some(letter).filter(|letter| *letter != '#'));
                }
                _ => token.push(letter),
            }
        }
    }
    found
}

/// A number in decimal, other text unchanged.
fn number(token: &str) -> String {
    let (sign, digits) = token.strip_prefix('-').map_or((1, token), |digits| (-1, digits));
    let whole = match digits.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => digits.parse().ok(),
    };
    match (whole, digits.starts_with(|first: char| first.is_ascii_digit()), token.parse::<f64>()) {
        (Some(whole), ..) => (whole as i64).wrapping_mul(sign).to_string(),
        (None, true, Ok(float)) => format!("{float:?}"),
        _ => token.to_owned(),
    }
}

fn mnemonic(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default()
}

/// Whether a word is an instruction of vectors of any length, or of matrices, which have no text in common.
fn is_scalable(word: u32) -> bool {
    matches!(word >> 25 & 0xf, 0 | 2)
}

/// Whether two texts mean the same instruction. Prefetches and the system are named by one and numbered by the other.
fn is_same(word: u32, theirs: &str, own: &str) -> bool {
    let names = (mnemonic(theirs), mnemonic(own));
    let is_numbered = word >> 22 == 0b11_0101_0100 || word >> 22 == 0b11_0101_0101;
    names.0 == names.1 && (is_scalable(word) || is_numbered || names.0.starts_with("prf"))
        || ALIASES.contains(&names)
        || is_numbered && (names.0.starts_with("sys") || names.0 == "msr")
        || normalized(theirs) == normalized(own)
}

#[test]
fn words_are_decoded_as_llvm_decodes_them() {
    let asked = std::env::var("BINFRAME_WORDS").ok().and_then(|asked| asked.parse().ok());
    let words = random_words(asked.unwrap_or(WORDS));
    let (mut same, mut wrong) = (0, Vec::new());
    for batch in words.chunks(BATCH) {
        let Some(expected) = llvm(batch) else { return };
        for (word, theirs) in batch.iter().zip(expected) {
            let own = Isa::AArch64.disassemble(&word.to_le_bytes(), 0);
            let is_valid = own != "(bad)";
            let is_right = match theirs.as_deref().map(str::trim) {
                Some(theirs) if is_valid => is_same(*word, theirs, &own),
                Some(theirs) => MISSING.contains(&mnemonic(theirs)),
                None => !is_valid || is_scalable(*word) || NEWER.iter().any(|name| own.starts_with(name)),
            };
            same += usize::from(is_valid && is_right);
            if !is_right {
                wrong.push(format!("{word:#010x}: {own}, not {}", theirs.as_deref().unwrap_or("invalid")));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}: {:#?}", wrong.len(), words.len(), &wrong[..wrong.len().min(20)]);
    assert!(same * 10 > words.len() * 3, "only {same} of {} words are instructions", words.len());
}
