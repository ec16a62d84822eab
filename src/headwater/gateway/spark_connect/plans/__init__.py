"""Spark Connect plans: what of them may run, where, and on which staged files.

How the gateway uses it, for each ExecutePlan:

    rewritten = rewrite(request.plan, context)      # raises HeadwaterError for what is refused
    match rewritten.action:
        case Action.RUN:        # a query, or a command such as registering a UDF
            if rewritten.sql is not None and <the system engine can run it>:
                …run rewritten.sql through QueryService (dialect spark)…
            else:
                staged = rewritten.staged()         # decides, audits and stages every table
                …send each of staged.views, then staged.plan, to the user process…
        case Action.QUERY:      # spark.sql("SELECT …"): answer SqlCommandResult(rewritten.echo)
        case Action.STATEMENT:  # DDL, DML, SHOW …: run rewritten.sql through QueryService, and
                                # answer SqlCommandResult with its rows as a LocalRelation
        case Action.WRITE:      # run rewritten.write.source.staged() in the user process, give its
                                # Arrow batches to `headwater.query.arrow_writes`
        case Action.CATALOG:    # spark.catalog.…: `headwater.gateway.spark_connect.plans.catalog`
        case Action.SESSION:    # nothing runs
    session.apply(rewritten.effects)                # after it succeeded

Session state belongs to the gateway and is given with each plan (`PlanContext`): temporary views
are kept as the client's own relations (`SessionView`) and put into each plan that names them, so
a revoked grant takes effect at once and no view need be replayed on another engine.

AnalyzePlan goes through `rewrite_analysis`, Config through `check_setting`, AddArtifacts through
`check_artifact`.
"""

from headwater.gateway.spark_connect.plans.commands import path_write
from headwater.gateway.spark_connect.plans.model import (
    Action,
    AddFunction,
    AddView,
    DropFunction,
    DropView,
    Effect,
    PlanContext,
    PlanLimits,
    RewrittenAnalysis,
    RewrittenPlan,
    SessionView,
    SetSchema,
    SetSetting,
    StagedPlan,
    Stager,
    Write,
)
from headwater.gateway.spark_connect.plans.rewrite import rewrite, rewrite_analysis
from headwater.gateway.spark_connect.plans.settings import check_artifact, check_setting

__all__ = [
    "Action",
    "AddFunction",
    "AddView",
    "DropFunction",
    "DropView",
    "Effect",
    "PlanContext",
    "PlanLimits",
    "RewrittenAnalysis",
    "RewrittenPlan",
    "SessionView",
    "SetSchema",
    "SetSetting",
    "StagedPlan",
    "Stager",
    "Write",
    "check_artifact",
    "check_setting",
    "path_write",
    "rewrite",
    "rewrite_analysis",
]
