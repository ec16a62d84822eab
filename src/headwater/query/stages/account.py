"""Stage 8, the last, whatever happened before: audit and history learn how it ended."""

from __future__ import annotations

import logging

from headwater.errors import HeadwaterError
from headwater.model.statement import QueryState
from headwater.query.work import Work

log = logging.getLogger(__name__)

_OUTCOMES = {
    QueryState.FINISHED: "done",
    QueryState.FAILED: "failed",
    QueryState.CANCELED: "canceled",
}


def account(work: Work) -> Work:
    """The same work, its end recorded; a metastore that fails now cannot undo what was done."""
    query, stats = work.query, work.query.usage()
    try:
        if query.requests:
            query.requests[-1].finish(
                outcome=_OUTCOMES[query.outcome or query.state],
                error_code=query.error.code if query.error else None,
                rows=stats.result_rows if query.update_count is None else query.update_count,
                scanned_bytes=stats.scanned_bytes,
                engine=query.engine,
            )
    except HeadwaterError:
        log.exception("the end of statement %s could not be audited", query.id)
    work.parts.history.ended(query)
    return work
