"""Every error code has a Trino counterpart, in the range that its type names."""

import pytest

from headwater.errors import ErrorCode, ErrorKind, Position, error
from headwater.gateway.trino_http.errors import TRINO_ERRORS, query_error

RANGES = {"USER_ERROR": 0, "INTERNAL_ERROR": 1, "INSUFFICIENT_RESOURCES": 2}


@pytest.mark.parametrize("code", ErrorCode)
def test_every_code_is_mapped(code):
    trino = TRINO_ERRORS[code]
    if trino.name.startswith("ICEBERG_"):
        assert trino.number >> 16 == 0x0504
    else:
        assert trino.number >> 16 == RANGES[trino.type]
    if code.kind is ErrorKind.RESOURCE:
        assert trino.type == "INSUFFICIENT_RESOURCES"
    body = query_error(error(code, "what happened"))
    assert body["errorName"] == body["failureInfo"]["errorInfo"]["name"] == trino.name


def test_one_number_has_one_name():
    names = {(trino.number, trino.name, trino.type) for trino in TRINO_ERRORS.values()}
    assert len({number for number, _, _ in names}) == len(names)


def test_position_and_hint_reach_the_client():
    body = query_error(error(ErrorCode.SYNTAX_ERROR, "bad", hint="try", position=Position(2, 7)))
    assert body["message"] == "line 2:7: bad (try)"
    assert body["errorLocation"] == {"lineNumber": 2, "columnNumber": 7}


def test_an_internal_error_keeps_its_text():
    assert "secret" not in str(query_error(error(ErrorCode.INTERNAL_ERROR, "secret")))
