//! Which statements may run. A query may come from somebody else than the user, so it reads the inputs of the session and
//! nothing else: it names no files, and does not change the limits that the user set.

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{DdlStatement, LogicalPlan, Statement};

/// Fails if a plan, or a plan in it, may not run.
pub(crate) fn verify_plan(plan: &LogicalPlan) -> Result<(), DataFusionError> {
    plan.apply_with_subqueries(|plan| match refusal(plan) {
        Some(refusal) => Err(DataFusionError::Plan(refusal)),
        None => Ok(TreeNodeRecursion::Continue),
    })?;
    Ok(())
}

fn refusal(plan: &LogicalPlan) -> Option<String> {
    match plan {
        LogicalPlan::Ddl(
            DdlStatement::CreateView(_)
            | DdlStatement::CreateMemoryTable(_)
            | DdlStatement::DropView(_)
            | DdlStatement::DropTable(_),
        ) => None,
        LogicalPlan::Ddl(DdlStatement::CreateExternalTable(_)) => Some(
            "a query cannot open files; name executables and datasets as inputs of `binframe sql`".to_owned(),
        ),
        LogicalPlan::Ddl(statement) => Some(format!("{} is not supported", statement.name())),
        LogicalPlan::Statement(Statement::SetVariable(set)) if is_limit(&set.variable) => Some(format!(
            "a query cannot set `{}`; use the options --memory and --jobs of `binframe sql`",
            set.variable
        )),
        _ => None,
    }
}

/// Whether a variable is a limit of the process or names a directory.
fn is_limit(variable: &str) -> bool {
    variable.to_ascii_lowercase().starts_with("datafusion.runtime")
}
