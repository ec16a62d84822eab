"""Stage 1: text to a parsed statement; EXECUTE becomes the statement that it stands for."""

from __future__ import annotations

from dataclasses import replace

from headwater.errors import ErrorCode, error
from headwater.query.constants import constant
from headwater.query.session import prepared_text
from headwater.query.work import Work
from headwater.sql.statements import Execute


def parse(work: Work) -> Work:
    """The statement, and the constants for its parameters."""
    parameters = tuple(constant(value) for value in work.statement.parameters)
    text, parse_text = work.statement.text, work.parts.plans.parse_or_recall
    parsed = parse_text(text, work.session.dialect)
    if isinstance(parsed, Execute):
        text = parsed.text if parsed.text is not None else prepared_text(work.session, parsed.name)
        parameters = parsed.parameters or parameters
        parsed = parse_text(text, work.session.dialect)
        if isinstance(parsed, Execute):
            raise error(ErrorCode.NOT_SUPPORTED, "a prepared statement cannot be an EXECUTE")
    return replace(work, text=text, parsed=parsed, parameters=parameters)
