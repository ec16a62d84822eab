"""The pipeline: every statement goes through these stages, in this order.

`account` runs whatever happened before. Spark SQL may run on another engine instead
(`engine_choice`). A write that lost a race against another commit is planned
again, with new decisions on the new snapshot, as long as it is certain that nothing was committed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from headwater.errors import ErrorCode, HeadwaterError, error
from headwater.governance.redact import redacted
from headwater.query.engine_choice import carried_out
from headwater.query.query import Query
from headwater.query.queue import Ticket
from headwater.query.retry import retrying
from headwater.query.stages.account import account
from headwater.query.stages.admit import admit
from headwater.query.stages.bind import bind
from headwater.query.stages.execute import execute
from headwater.query.stages.govern import govern
from headwater.query.stages.parse import parse
from headwater.query.stages.route import route
from headwater.query.stages.transpile import transpile
from headwater.query.work import Parts, Work

log = logging.getLogger(__name__)

Stage = Callable[[Work], Work]

STAGES: tuple[Stage, ...] = (
    parse,
    admit,
    bind,
    govern,
    route,
    transpile,
    execute,
    account,
)
"""Each stage takes the work of the ones before and adds its own; see its file."""

_PREPARE = STAGES[: STAGES.index(bind)]
_ATTEMPT = STAGES[STAGES.index(bind) : STAGES.index(account)]


class Pipeline:
    """Takes statements through the stages; `run` is what `QueryService` calls in a thread."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    def run(self, query: Query, ticket: Ticket) -> None:
        """Runs one statement to its end; never raises."""
        work = Work(self.parts, query, ticket, query.session, query.statement)
        afterwards = self.parts.history.afterwards
        afterwards.add(lambda: self._note_start(query))
        failure: HeadwaterError | None = None
        try:
            work = carried_out(work, _here)
        except HeadwaterError as exc:
            failure = exc
        except Exception:
            log.exception("statement %s failed", query.id)
            failure = error(
                ErrorCode.INTERNAL_ERROR,
                "the statement failed for a reason of Headwater's own",
                hint=f"the server's log has the details under {query.id}",
            )
        query.settle(failure)
        ticket.leave()
        # Before the client is told: who then asks the books waits for what was added to them.
        afterwards.add(lambda: self._account(work))
        reads = work.writing is None and work.plan is not None
        if not reads:
            # A reader need not wait for the books; what allowed the reading is in them already.
            afterwards.flush()
        query.end()

    def _note_start(self, query: Query) -> None:
        self.parts.history.started(query, redacted(query.statement.text))

    def _account(self, work: Work) -> None:
        try:
            account(work)
        except Exception:
            log.exception("the end of statement %s could not be recorded", work.query.id)


def _here(work: Work) -> Work:
    """A statement on the system engine, or by the server itself."""
    for stage in _PREPARE:
        work = stage(work)
    return retrying(lambda: _through(_ATTEMPT, work))


def _through(stages: tuple[Stage, ...], work: Work) -> Work:
    for stage in stages:
        work.query.check()
        work = stage(work)
    return work
