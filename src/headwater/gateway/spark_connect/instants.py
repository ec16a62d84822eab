"""Parquet files whose instants Sail would take for local times.

Spark and Hive write timestamps as INT96, which says nothing of time zones: Spark reads instants
there, Sail local times. What kind a file has, only its footer tells, and files of users are not
opened in this process; so Sail is asked for the types, and Spark reads whatever has local times.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from headwater.gateway.spark_connect.failures import of_spark_alone
from headwater.gateway.spark_connect.plans.inside import inside_of


def check_instants(plans: Sequence[Any], backend: Any, pb: Any) -> list[Any]:
    """Raises UNSUPPORTED_FEATURE, as of Sail, when a plan reads such files without a schema.

    The types of the files that it asked for, as DataType messages.
    """
    schemas = []
    for source in _reads(plans):
        request = pb.AnalyzePlanRequest()
        request.schema.plan.root.read.data_source.CopyFrom(source)
        answer = backend.unary("AnalyzePlan", request, pb.AnalyzePlanResponse)
        if _has_local_times(answer.schema.schema):
            raise of_spark_alone(
                "timestamps of these files may be instants, which Spark tells apart"
            )
        schemas.append(answer.schema.schema)
    return schemas


def _reads(plans: Sequence[Any]) -> Iterator[Any]:
    waiting = list(plans)
    while waiting:
        found = waiting.pop()
        if found.DESCRIPTOR.name == "DataSource":
            # Tables of the catalog are staged with a schema.
            if found.format == "parquet" and not found.schema:
                yield found
            continue
        waiting += inside_of(found)


def _has_local_times(schema: Any) -> bool:
    waiting = [schema]
    while waiting:
        found = waiting.pop()
        if found.DESCRIPTOR.name == "TimestampNTZ":
            return True
        waiting += inside_of(found)
    return False
