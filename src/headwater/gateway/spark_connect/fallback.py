"""When an operation moves from Sail to Spark: Sail says that it cannot do it, and nothing happened.

Sail's errors are of a few classes, measured on 0.7.2: UnsupportedOperationException is a gap;
IllegalArgumentException "invalid argument: found X at a:b" is its parser, which may be the user's
mistake or syntax that it lacks, and Spark's word counts; AnalysisException is mostly the user's
mistake. What user code raised is final.
"""

from __future__ import annotations

import re

from headwater.gateway.spark_connect.failures import SparkFailure

_GAP = re.compile(
    r"not (?:yet )?(?:supported|implemented)|unsupported|unimplemented|no data source found"
    r"|feature is not|internal error|panicked|recursion limit|failed to decode"
    r"|could(?: not|n't) find config namespace|missing argument",
    re.IGNORECASE,
)
_PARSER = re.compile(r"^invalid argument|found .* expected|sql parser error", re.IGNORECASE)


def gap(failure: SparkFailure) -> str | None:
    """What Sail lacks, in a few words, when that is why it failed; None for any other error."""
    names = {name.rsplit(".", 1)[-1] for name in failure.classes}
    if "PythonException" in names or failure.error_class in ("OPERATION_CANCELED", "ENGINE_FAILED"):
        return None
    told = " ".join(failure.message.split())[:200]
    if "UnsupportedOperationException" in names:
        return told
    if "IllegalArgumentException" in names and _PARSER.search(failure.message):
        return told
    if _GAP.search(failure.message):
        return told
    return None
