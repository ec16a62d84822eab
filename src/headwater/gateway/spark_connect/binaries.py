"""Python functions over binary columns: `bytes` come since Spark 4.1, `bytearray` on Sail 0.7.2."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from headwater.gateway.spark_connect.failures import of_spark_alone
from headwater.gateway.spark_connect.plans.functions import words
from headwater.gateway.spark_connect.plans.inside import inside_of

_SETTING = "spark.sql.execution.pyspark.binaryAsBytes"
_ROW_BY_ROW = 100
"""The kind of functions that are neither of pandas nor of Arrow, as `pyspark.util` numbers it."""

_BINARY = re.compile(r"\bbinary\b", re.IGNORECASE)
_FUNCTIONS = words("aes_encrypt encode to_binary try_to_binary unbase64 unhex")


def check_binaries(plans: Sequence[Any], setting: Callable[[str], str | None]) -> None:
    """Raises UNSUPPORTED_FEATURE, as of Sail, for plans in which functions may get binary values.

    The plans are staged: their tables tell the types of the columns that are read.
    """
    if (setting(_SETTING) or "").lower() == "false":
        return
    python = binary = False
    waiting = list(plans)
    while waiting:
        found = waiting.pop()
        name = found.DESCRIPTOR.name
        if name == "PythonUDF":
            # What it answers with is another matter.
            python = python or found.eval_type == _ROW_BY_ROW
            continue
        binary = binary or _is_binary(name, found)
        if python and binary:
            raise of_spark_alone("functions get binary values as bytes, which Spark gives them")
        waiting += inside_of(found)


def _is_binary(name: str, found: Any) -> bool:
    if name in ("LocalRelation", "DataSource"):
        return _BINARY.search(found.schema) is not None
    if name == "Cast":
        return found.type.HasField("binary") or _BINARY.search(found.type_str) is not None
    if name == "UnresolvedFunction":
        return found.function_name.lower() in _FUNCTIONS
    return name == "Literal" and found.HasField("binary")
