//! Which statements may run, and which files they may name. A query may come from somebody else than the user, so it reads
//! the inputs of the session and the directories that the user allowed, and nothing else. It does not change the limits
//! that the user set.

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{DdlStatement, LogicalPlan, Statement};
use std::path::{Path, PathBuf};

/// Fails if a plan, or a plan in it, may not run.
pub(crate) fn verify_plan(plan: &LogicalPlan) -> Result<(), DataFusionError> {
    plan.apply_with_subqueries(|plan| match refusal(plan) {
        Some(refusal) => Err(DataFusionError::Plan(refusal)),
        None => Ok(TreeNodeRecursion::Continue),
    })?;
    Ok(())
}

/// Why a plan may not run, without regard to the plans in it.
fn refusal(plan: &LogicalPlan) -> Option<String> {
    match plan {
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Aggregate(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Join(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::TableScan(_)
        | LogicalPlan::EmptyRelation(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Values(_)
        | LogicalPlan::Explain(_)
        | LogicalPlan::Analyze(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::DescribeTable(_)
        | LogicalPlan::Unnest(_)
        | LogicalPlan::RecursiveQuery(_)
        | LogicalPlan::Statement(Statement::Prepare(_) | Statement::Execute(_) | Statement::Deallocate(_))
        | LogicalPlan::Ddl(
            DdlStatement::CreateView(_)
            | DdlStatement::CreateMemoryTable(_)
            | DdlStatement::DropView(_)
            | DdlStatement::DropTable(_),
        ) => None,
        LogicalPlan::Statement(Statement::SetVariable(set)) => setting_refusal(&set.variable),
        LogicalPlan::Statement(Statement::ResetVariable(reset)) => setting_refusal(&reset.variable),
        LogicalPlan::Ddl(DdlStatement::CreateExternalTable(_)) => Some(
            "a query cannot open files; name executables and datasets as inputs of `binframe sql`".to_owned(),
        ),
        LogicalPlan::Ddl(statement) => Some(format!("{} is not supported", statement.name())),
        LogicalPlan::Dml(statement) => Some(format!("{} is not supported", statement.op)),
        LogicalPlan::Statement(statement) => Some(format!("{} is not supported", statement.name())),
        LogicalPlan::Copy(_) => Some("COPY is not supported; use the option --output".to_owned()),
        LogicalPlan::Extension(extension) => Some(format!("{} is not supported", extension.node.name())),
    }
}

/// Settings that change how answers are written and plans are shown, but neither rows nor resources.
const SETTINGS: [&str; 3] = ["datafusion.execution.time_zone", "datafusion.explain.", "datafusion.format."];

fn setting_refusal(name: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    let is_allowed = SETTINGS.iter().any(|allowed| name.starts_with(allowed));
    let hint = "use the options of `binframe sql`, such as --memory and --jobs";
    (!is_allowed).then(|| format!("a query cannot set `{name}`; {hint}"))
}

/// Whether a query may open a path or pattern: it is an input, or is in one or in an allowed directory.
pub(crate) fn may_open<'a>(
    path: &Path,
    inputs: impl Iterator<Item = &'a Path>,
    allowed: &'a [PathBuf],
) -> bool {
    let is_pattern = |part: &Path| part.to_string_lossy().contains(['*', '?', '[']);
    // The part of a pattern that names a directory.
    let fixed: PathBuf = path.components().take_while(|part| !is_pattern(part.as_ref())).collect();
    let fixed = if path.exists() { path } else { &fixed };
    let nearest = fixed.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let Ok(path) = nearest.canonicalize() else { return false };
    let mut open = inputs.chain(allowed.iter().map(PathBuf::as_path));
    open.any(|open| open.canonicalize().is_ok_and(|open| path.starts_with(open)))
}

#[cfg(test)]
mod tests {
    use super::may_open;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    #[test]
    fn inputs_and_files_in_allowed_directories_may_be_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("open/deep")).unwrap();
        fs::create_dir_all(path("closed")).unwrap();
        for file in ["open/a", "open/deep/b", "closed/c", "closed/[d]"] {
            fs::write(path(file), "").unwrap();
        }
        symlink("../closed/c", path("open/link")).unwrap();
        let (inputs, allowed) = ([path("closed/[d]")], [path("open")]);
        let may_open =
            |name: &str| may_open(&path(name), inputs.iter().map(PathBuf::as_path), allowed.as_slice());
        for open in [
            "open/a",
            "open",
            "open/deep/../a",
            "open/*",
            "open/**/b",
            "open/missing",
            "closed/[d]",
            "closed/../open/a",
        ] {
            assert!(may_open(open), "{open}");
        }
        for closed in ["closed/c", "open/../closed/c", "open/link", "closed/*", "*", "*/a", "opened"] {
            assert!(!may_open(closed), "{closed}");
        }
    }
}
