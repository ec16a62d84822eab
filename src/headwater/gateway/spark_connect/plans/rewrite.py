"""The way of a plan: checked against the allow-list, names substituted, writes described."""

from __future__ import annotations

from headwater.errors import ErrorCode, error
from headwater.gateway.spark_connect.plans.model import (
    Message,
    PlanContext,
    RewrittenAnalysis,
    RewrittenPlan,
)


def rewrite(plan: Message, context: PlanContext) -> RewrittenPlan:
    """The plan as far as it is allowed.

    Raises NOT_SUPPORTED for what is not on the allow-list, PERMISSION_DENIED for what would
    reach past the caller's grants, SYNTAX_ERROR for SQL that cannot be parsed,
    EXCEEDED_STATEMENT_SIZE for a plan beyond the limits.
    """
    raise error(ErrorCode.NOT_SUPPORTED, "Spark plans are not supported yet")


def rewrite_analysis(request: Message, context: PlanContext) -> RewrittenAnalysis:
    """As `rewrite`, for AnalyzePlan."""
    raise error(ErrorCode.NOT_SUPPORTED, "Spark plans are not supported yet")
