"""Stage 6: emits the engine's SQL from our tree; nothing of the user's text is in it."""

from __future__ import annotations

from dataclasses import replace

from headwater.engines.engine import GovernedPlan
from headwater.query.work import Work
from headwater.sql.transpile import emit


def transpile(work: Work) -> Work:
    """The plan for the engine, when the engine runs the statement."""
    if work.tree is None or work.bound is None:
        return work
    inputs = work.inputs.tables(work.bound.inputs) if work.inputs is not None else {}
    plan = GovernedPlan(
        statement_id=work.query.id,
        identity=work.session.identity,
        sql=emit(work.tree),
        scans=work.bound.scans,
        writes=(work.writing.write,) if work.writing is not None else (),
        inputs=inputs,
        limits=work.session.limits,
        time_zone=work.session.time_zone,
    )
    return replace(work, plan=plan)
