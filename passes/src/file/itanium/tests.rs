//! Tests of the demangler: texts that LLVM writes, mutated names, limits.

use super::demangle;
use super::nodes::DEPTH_MAX;

/// Names and their text, one a line, after a space; the lines with `#` are headings. The texts are those of LLVM 19's
/// `llvm-cxxfilt`, but under the last two headings.
const NAMES: &str = include_str!("tests/names.txt");

const TEXT_SIZE_MAX: usize = 1 << 14;

fn rows() -> impl Iterator<Item = (&'static str, &'static str)> {
    NAMES.lines().filter_map(|line| line.split_once(' ').filter(|(name, _)| name.starts_with('_')))
}

#[test]
fn names_have_the_text_of_llvm() {
    for (name, text) in rows() {
        assert_eq!(demangle(name, TEXT_SIZE_MAX).as_deref(), Some(text), "{name}");
    }
}

#[test]
fn other_names_have_no_text() {
    let names = [
        "",
        "_",
        "_Z",
        "Z1fv",
        "main",
        "_Zbroken",
        "_Z1",
        "_Z5abc",
        "_Z1fi ",
        "_ZNE",
        "_Z1fS_",
        "_Z1fT_",
        "_Z1fIiEvT0_",
        "_Z1f\u{e9}",
        "_Z1\u{e9}v",
        "_ZGVbN4v_sin",
        "_Z99999999999999999999f",
        "_____Z1fv",
    ];
    for name in names {
        assert_eq!(demangle(name, TEXT_SIZE_MAX), None, "{name}");
    }
}

#[test]
fn text_is_limited() {
    assert_eq!(demangle("_Z1fiii", 13), None);
    assert_eq!(demangle("_Z1fiii", 16).as_deref(), Some("f(int, int, int)"));
    assert_eq!(demangle("_Z1fiii", 15), None);
}

#[test]
fn exponential_text_ends_early() {
    // Each pair names the one before twice: the text has 2^40 components.
    let pair = |index: u32| format!("S_IS{0}_S{0}_E", base_36(index));
    let pairs: String = (0..40).map(pair).collect();
    // An expansion of an empty pack has no text, so that a limit on the text alone would not stop this.
    let expansion = |index: u32| format!("DpS0_IS1_S{0}_S{0}_E", base_36(2 * index + 3));
    let expansions: String = (0..40).map(expansion).collect();
    assert_eq!(demangle("_Z1fIJEEvDp1aIT_EDpS0_IS1_S3_S3_E", TEXT_SIZE_MAX).as_deref(), Some("void f<>()"));
    for name in [format!("_Z1f4pairIiiE{pairs}"), format!("_Z1fIJEEvDp1aIT_E{expansions}")] {
        assert_eq!(demangle(&name, TEXT_SIZE_MAX), None);
    }
}

fn base_36(number: u32) -> String {
    let digit = |value: u32| char::from_digit(value, 36).expect("a digit").to_ascii_uppercase();
    if number < 36 {
        digit(number).to_string()
    } else {
        format!("{}{}", digit(number / 36), digit(number % 36))
    }
}

/// The thread of a test has a stack of 2 MiB, as usual threads have.
#[test]
fn deep_names_do_not_exhaust_the_stack() {
    let parts = [
        "P", "R", "K", "A1_", "M1a", "F", "1aI", "N1aI", "Dp", "Dv1_", "DTpl", "DTcl", "DTqu", "DTcvi",
        "DTtli", "DTnw_", "DTL_Z1f", "DTsr", "DTrqX", "DTfrpl", "U3foo", "u3fooI", "Z1f", "N1acv", "N1aCI1",
        "UlTtTp", "Ul", "Nt", "C", "1aIX", "1aIJ", "1aITtTp", "1aILZ1f", "DoF", "DO", "DBpl", "DTildi1a",
    ];
    for part in parts {
        for depth in [DEPTH_MAX / 4, DEPTH_MAX / 2 - 2, DEPTH_MAX - 2, DEPTH_MAX, 40_000] {
            for ending in ["", "i", "iE", "1x", "Li1E"] {
                let name = format!("_Z1f{}{ending}", part.repeat(depth));
                let _ = demangle(&name, TEXT_SIZE_MAX);
                let _ = demangle(&format!("{name}{}", "E".repeat(depth)), TEXT_SIZE_MAX);
            }
        }
    }
}

#[test]
fn deep_graphs_do_not_exhaust_the_stack() {
    let parts = [
        ("PPi", "P", ""),
        ("1aIiE", "S_I", "E"),
        ("PPFivE", "PF", "vE"),
        ("A1_A1_i", "A1_", ""),
        ("PRi", "R", ""),
    ];
    for (first, prefix, suffix) in parts {
        for depth in [DEPTH_MAX / 4, DEPTH_MAX / 2, DEPTH_MAX, 1200] {
            // Each parameter refers to an earlier one: the graph is deep although the name is flat.
            let parameter = |index| format!("{prefix}S{}_{suffix}", base_36(index));
            let parameters: String = (0..depth as u32).map(parameter).collect();
            let text = demangle(&format!("_Z1f{first}{parameters}"), usize::MAX);
            assert!(text.is_some() || depth > DEPTH_MAX / 4, "{first} {depth}");
        }
    }
}

#[test]
fn nesting_below_the_limit_is_demangled() {
    let name = format!("_Z1f{}i", "P".repeat(DEPTH_MAX - 4));
    assert_eq!(demangle(&name, TEXT_SIZE_MAX), Some(format!("f(int{})", "*".repeat(DEPTH_MAX - 4))));
}

#[test]
fn mutated_names_end_fast() {
    let names: Vec<&str> = rows().map(|(name, _)| name).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for _ in 0..20_000 {
        let mut name = names[random(names.len())].as_bytes().to_vec();
        let other = names[random(names.len())].as_bytes();
        for _ in 0..=random(3) {
            let at = random(name.len());
            let from = random(other.len());
            let piece = &other[from..(from + random(8)).min(other.len())];
            let to = if random(2) == 0 { at } else { (at + piece.len()).min(name.len()) };
            name.splice(at..to, piece.iter().copied());
        }
        let name = format!("_Z{}", String::from_utf8_lossy(&name[2.min(name.len())..]));
        let _ = demangle(&name, TEXT_SIZE_MAX);
    }
}
