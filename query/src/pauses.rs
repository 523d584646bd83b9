//! Makes joins interruptible. A join can produce rows for minutes from the rows that it holds, without yielding to the
//! runtime, and Ctrl-C would have no effect.

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec};
use std::sync::Arc;

/// Optimizer rule: makes joins yield regularly. `DataFusion` itself does so for scans only.
#[derive(Debug)]
pub(crate) struct PauseJoins;

impl PhysicalOptimizerRule for PauseJoins {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let pause = |plan: Arc<dyn ExecutionPlan>| {
            let is_join =
                plan.is::<HashJoinExec>() || plan.is::<NestedLoopJoinExec>() || plan.is::<CrossJoinExec>();
            Ok(match is_join {
                true => Transformed::yes(Arc::new(CooperativeExec::new(plan)) as _),
                false => Transformed::no(plan),
            })
        };
        plan.transform_up(pause).data()
    }

    fn name(&self) -> &'static str {
        "PauseJoins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
