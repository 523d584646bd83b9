//! `binframe diff`

use crate::{Folder, both};
use binframe_testsuite::executable::{Contents, Options, from_clif, from_clif_with};
use binframe_testsuite::fixtures::{self, LOOPS_AND_CALLS, STACK_AND_GLOBALS};

/// A folder with the files `old`, the fixture, and `new`, compiled from the same source with `before` replaced by `after`.
fn edited(before: &str, after: &str) -> Folder {
    assert_eq!(LOOPS_AND_CALLS.matches(before).count(), 1, "{before}");
    let new = from_clif(&LOOPS_AND_CALLS.replace(before, after));
    Folder::with(&[("old", &from_clif(LOOPS_AND_CALLS).bytes), ("new", &new.bytes)])
}

#[test]
fn a_source_does_not_differ_from_itself() {
    let folder = both();
    for source in ["loops", "stack", "both"] {
        let text = folder.text(&["diff", source, source, "--exit-code"]);
        assert!(text.lines().all(|line| !line.contains("->")), "{text}");
    }
    folder.text(&["lower", "stack", "-o", "dataset"]);
    folder.text(&["diff", "stack", "dataset", "--exit-code"]);
}

#[test]
fn a_changed_constant_changes_only_its_function() {
    let folder = edited("iconst.i64 14", "iconst.i64 15");
    insta::assert_snapshot!(folder.text(&["diff", "old", "new"]));
    let status = folder.command(&["diff", "old", "new", "--exit-code"]).output().expect("it starts").status;
    assert_eq!(status.code(), Some(1));
}

/// A longer function moves all functions at higher addresses. Calls to and from them have other bytes but equal meaning.
#[test]
fn moved_functions_are_unchanged() {
    let folder =
        edited("v9 = iadd v2, v8", "v10 = iconst.i64 1234567\n v11 = imul v2, v10\n v9 = iadd v11, v8");
    insta::assert_snapshot!(folder.text(&["diff", "old", "new", "--limit", "3"]));
}

/// Instructions contain the distance of a variable. Functions are compared by the identity of the variable.
#[test]
fn a_moved_variable_does_not_change_a_function() {
    let mut options = Options { data: fixtures::stack_and_globals_data(), ..Options::default() };
    let counts = |clif: &str, options: &Options| {
        let (old, new) = (fixtures::stack_and_globals(), from_clif_with(clif, options));
        let folder = Folder::with(&[("old", &old.bytes), ("new", &new.bytes)]);
        let text = folder.text(&["diff", "old", "new"]);
        text.lines().skip(3).take_while(|line| !line.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let other =
        STACK_AND_GLOBALS.replace("gv0 = symbol colocated %counter", "gv0 = symbol colocated %scratch");
    let [count, changed] = &counts(&other, &options)[..] else { panic!("one function changed") };
    assert_eq!(count, "  6 unchanged, 1 changed, 0 added, 0 removed; 0 at another address");
    assert!(changed.starts_with("  changed  _start  0x401000, "), "{changed}");
    assert!(changed.ends_with(" bytes, instructions -1 +1"), "{changed}");

    let operations = options.data.iter_mut().find(|object| object.name == "operations").expect("it is there");
    operations.contents = Contents::Writable(vec![0; 64]);
    let counts = counts(STACK_AND_GLOBALS, &options);
    assert_eq!(counts, ["  7 unchanged, 0 changed, 0 added, 0 removed; 0 at another address"]);
}

#[test]
fn added_and_removed_functions_are_listed() {
    let folder = edited(
        "; A leaf: one block, no branch, no call.",
        "function %unused(i64) -> i64 {\nblock0(v0: i64):\n v1 = iadd v0, v0\n return v1\n}\n",
    );
    let functions = |old, new| {
        let text = folder.text(&["diff", old, new]);
        text.lines()
            .skip(2)
            .take_while(|line| !line.is_empty())
            .map(|line| line.to_owned() + "\n")
            .collect::<String>()
    };
    insta::assert_snapshot!("function_added", functions("old", "new"));
    insta::assert_snapshot!("function_removed", functions("new", "old"));
}

/// Functions without names are matched by content.
#[test]
fn unnamed_functions_are_matched_by_content() {
    let options = Options { symbols: false, ..Options::default() };
    let new = LOOPS_AND_CALLS.replace("v2 = iconst.i8 1", "v2 = iconst.i8 3");
    let (old, new) = (from_clif_with(LOOPS_AND_CALLS, &options), from_clif_with(&new, &options));
    let folder = Folder::with(&[("old", &old.bytes), ("new", &new.bytes)]);
    let text = folder.text(&["diff", "old", "new"]);
    let is_odd = old.functions.iter().find(|function| function.name == "is_odd").expect("it is there");
    let line = |what| format!("  {what}  (no name)  {:#x}, {} bytes", is_odd.address, is_odd.size);
    for line in [line("added  "), line("removed")] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    assert!(
        text.contains(&format!("{} unchanged, 0 changed, 1 added, 1 removed", old.functions.len() - 1)),
        "{text}"
    );
}

#[test]
fn inputs_of_datasets_are_matched_by_name() {
    let folder = both();
    let changed = from_clif(&LOOPS_AND_CALLS.replace("iconst.i64 14", "iconst.i64 15"));
    std::fs::create_dir(folder.path().join("other")).expect("made");
    std::fs::write(folder.path().join("other/loops"), &changed.bytes).expect("written");
    std::fs::write(folder.path().join("third"), &fixtures::stack_and_globals().bytes).expect("written");
    folder.text(&["lower", "third", "other/loops", "-o", "new"]);
    let text = folder.text(&["diff", "both", "new"]);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[..3], ["only in both: stack", "only in new: third", "loops"], "{text}");
    assert_eq!(text.matches("  changed  _start  ").count(), 1, "{text}");
}

#[test]
fn tables_missing_on_one_side_are_listed() {
    let folder = both();
    folder.text(&["lower", "loops", "-o", "some", "--emit", "sections,cfg"]);
    let text = folder.text(&["diff", "loops", "some"]);
    assert!(text.contains("compared by size and number of instructions: 5\n"), "{text}");
    for table in ["instructions", "memory_regions", "stack_frames", "memory_accesses"] {
        let line = format!("  {table}: not compared, the new dataset was lowered without it\n");
        assert!(text.contains(&line), "{line} in {text}");
    }
}
