"""Temporary views: the client's own relation, kept as it was sent."""

from __future__ import annotations

from headwater.gateway.spark_connect.plans.model import (
    Action,
    AddView,
    Message,
    PlanContext,
    RewrittenPlan,
    SessionView,
    StagedPlan,
)
from headwater.gateway.spark_connect.plans.parts import relation_plan, stage_relations
from headwater.gateway.spark_connect.protocol import messages


def add_view(
    relation: Message, name: str, context: PlanContext, *, replaces: bool, is_global: bool = False
) -> RewrittenPlan:
    """A temporary view of a relation; `echo` is the relation, for its analysis."""
    kept = messages().Relation()
    kept.CopyFrom(relation)
    checked = relation_plan(relation, context)
    view = SessionView(name, kept, context.session.schema, context.views, is_global)
    return RewrittenPlan(
        Action.SESSION,
        echo=kept,
        effects=(AddView(view, replaces),),
        python=checked.python,
        tables=checked.tables,
        stage=lambda: _again(kept, context),
    )


def _again(relation: Message, context: PlanContext) -> StagedPlan:
    """Stages a copy: the relation that is kept stays as the client sent it."""
    plan = messages().Plan()
    plan.root.CopyFrom(relation)
    return stage_relations(plan, relation_plan(plan.root, context))
