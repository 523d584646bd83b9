//! What a run recorded of its steps in the manifest of the dataset that it wrote.

use std::path::Path;

use crate::failure::Failure;

/// Where a dataset keeps its manifest.
pub(crate) const PATH: &str = "_binframe/manifest.json";

/// One step of a run: a pass, or the writing of a table (`write NAME`).
#[derive(Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) rows: u64,
    /// Bytes that a pass read, or that the table has in the dataset.
    pub(crate) bytes: u64,
    pub(crate) wall_seconds: f64,
}

/// The steps of the run that wrote a dataset, in their order.
pub(crate) fn steps(dataset: &Path) -> Result<Vec<Step>, Failure> {
    let path = dataset.join(PATH);
    let text = std::fs::read_to_string(&path).map_err(|error| Failure::io("read", &path, &error))?;
    parse(&text)
        .ok_or_else(|| Failure::Failed(format!("{} does not say what each step took", path.display())))
}

/// The flat objects of the list `timings`, which is the manifest's last.
fn parse(manifest: &str) -> Option<Vec<Step>> {
    let (_, timings) = manifest.split_once("\"timings\"")?;
    timings.split('{').skip(1).map(step).collect()
}

fn step(object: &str) -> Option<Step> {
    Some(Step {
        name: value(object, "step")?.trim_matches('"').to_owned(),
        rows: value(object, "rows")?.parse().ok()?,
        bytes: value(object, "bytes")?.parse().ok()?,
        wall_seconds: value(object, "wall_seconds")?.parse().ok()?,
    })
}

/// The value of a field; no name of a pass or table holds a comma or a brace.
fn value<'a>(object: &'a str, field: &str) -> Option<&'a str> {
    let (_, rest) = object.split_once(&format!("\"{field}\":"))?;
    rest.split([',', '}']).next().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_in_their_order() {
        let manifest = r#"{"tables": [{"table": "functions", "rows": 7, "bytes": 900}], "timings": [
            {"step": "cfg", "rows": 12, "bytes": 4096, "wall_seconds": 0.25, "cpu_seconds": 0.2},
            {
              "step": "write functions",
              "rows": 7,
              "bytes": 512,
              "wall_seconds": 1e-3,
              "cpu_seconds": 0.0
            }
        ]}"#;
        let steps = parse(manifest).expect("two steps");
        let step =
            |name: &str, rows, bytes, wall_seconds| Step { name: name.to_owned(), rows, bytes, wall_seconds };
        assert_eq!(steps, [step("cfg", 12, 4096, 0.25), step("write functions", 7, 512, 1e-3)]);
    }

    #[test]
    fn a_manifest_without_a_field_is_refused() {
        assert_eq!(parse(r#"{"timings": [{"step": "cfg"}]}"#), None);
        assert_eq!(parse("{}"), None);
    }
}
