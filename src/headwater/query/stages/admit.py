"""Stage 2: waits for an engine slot, in turn with the other principals' statements."""

from __future__ import annotations

from headwater.model.statement import QueryState
from headwater.query.work import Work
from headwater.sql.statements import (
    AlterTable,
    CreateTable,
    Delete,
    ExecuteProcedure,
    Explain,
    Insert,
    Merge,
    ParsedStatement,
    Query,
    Update,
)


def admit(work: Work) -> Work:
    """The same work, now holding a slot when the engine will run it."""
    if work.parsed is not None and needs_engine(work.parsed):
        work.query.on_stop(work.ticket.leave)
        work.ticket.wait()
        work.query.on_stop(None)
    else:
        work.ticket.start()
    work.query.check()
    work.query.advance(QueryState.PLANNING)
    return work


def needs_engine(statement: ParsedStatement) -> bool:
    """True for statements that read or write data, rather than definitions."""
    match statement:
        case Query() | Insert() | Update() | Delete() | Merge():
            return True
        case Explain():
            return statement.analyze and needs_engine(statement.statement)
        case CreateTable():
            return statement.query is not None
        case AlterTable():
            action = statement.actions[0]
            return isinstance(action, ExecuteProcedure) and action.procedure == "optimize"
    return False
