//! Exact differences: `unsigned - unsigned` is negative where the second number is greater.
//!
//! DataFusion subtracts unsigned integers in their own type, so that `size - 8` is a large number for a size of 4. Here
//! such differences are computed in a type that has all of them: 64-bit integers for numbers of up to 32 bits, and
//! decimals for those of 64 bits, as DataFusion does itself if one operand is signed.

use arrow_schema::DataType;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::sqlparser::ast::BinaryOperator;
use datafusion::logical_expr::{ExprSchemable, Operator, binary_expr, cast};

/// The type of differences of 64-bit numbers.
const EXACT: DataType = DataType::Decimal128(20, 0);

/// Plans differences of unsigned integers.
#[derive(Debug)]
pub(crate) struct ExactDifferences;

impl ExprPlanner for ExactDifferences {
    fn plan_binary_op(
        &self,
        expression: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        let RawBinaryExpr { op, left, right } = &expression;
        // A type that is not known yet is reported by the next planner.
        let types = [left, right].map(|operand| operand.get_type(schema));
        let [Ok(left_type), Ok(right_type)] = types else {
            return Ok(PlannerResult::Original(expression));
        };
        let are_unsigned = left_type.is_unsigned_integer() && right_type.is_unsigned_integer();
        if !matches!(op, BinaryOperator::Minus) || !are_unsigned {
            return Ok(PlannerResult::Original(expression));
        }
        let is_wide = [&left_type, &right_type].contains(&&DataType::UInt64);
        let exact = if is_wide { EXACT } else { DataType::Int64 };
        let [left, right] = [expression.left, expression.right].map(|operand| cast(operand, exact.clone()));
        Ok(PlannerResult::Planned(binary_expr(left, Operator::Minus, right)))
    }
}
