//! The steps of a run, as the manifest of its dataset records them.

use std::path::Path;

use serde_json::Value;

use crate::failure::Failure;

/// Path of the manifest in a dataset.
pub(crate) const PATH: &str = "_binframe/manifest.json";

/// One step of a run: a pass, or the writing of a table (`write NAME`).
#[derive(Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) rows: u64,
    /// Bytes that a pass read, or the size of the table's files.
    pub(crate) bytes: u64,
    pub(crate) wall_seconds: f64,
}

/// The steps of the run that wrote a dataset, in their order.
pub(crate) fn steps(dataset: &Path) -> Result<Vec<Step>, Failure> {
    let path = dataset.join(PATH);
    let text = std::fs::read(&path).map_err(|error| Failure::io("read", &path, &error))?;
    let manifest = serde_json::from_slice(&text)
        .map_err(|error| Failure::Failed(format!("{} is not JSON: {error}", path.display())))?;
    timings(&manifest).ok_or_else(|| Failure::Failed(format!("{} has no complete `timings`", path.display())))
}

/// The entries of `timings`; `None` if the list or one of their fields is missing.
fn timings(manifest: &Value) -> Option<Vec<Step>> {
    let step = |entry: &Value| {
        Some(Step {
            name: entry["step"].as_str()?.to_owned(),
            rows: entry["rows"].as_u64()?,
            bytes: entry["bytes"].as_u64()?,
            wall_seconds: entry["wall_seconds"].as_f64()?,
        })
    };
    manifest["timings"].as_array()?.iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn steps_are_read_in_their_order() {
        let manifest = json!({
            "timings": [
                {"step": "cfg", "rows": 12, "bytes": 4096, "wall_seconds": 0.25, "cpu_seconds": 0.2},
                {"step": "write functions, all {}", "rows": 7, "bytes": 512, "wall_seconds": 1e-3},
            ],
            "tables": [{"table": "functions", "rows": 7, "bytes": 900}],
        });
        let step =
            |name: &str, rows, bytes, wall_seconds| Step { name: name.to_owned(), rows, bytes, wall_seconds };
        let expected = vec![step("cfg", 12, 4096, 0.25), step("write functions, all {}", 7, 512, 1e-3)];
        assert_eq!(timings(&manifest), Some(expected));
    }

    #[test]
    fn a_manifest_without_a_field_is_refused() {
        assert_eq!(timings(&json!({"timings": [{"step": "cfg"}]})), None);
        assert_eq!(timings(&json!({})), None);
    }
}
