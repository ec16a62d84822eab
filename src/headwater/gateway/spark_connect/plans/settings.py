"""Which settings and artifacts a Spark session may have: allow-lists."""

from __future__ import annotations

import re

from headwater.errors import ErrorCode, error
from headwater.gateway.spark_connect.plans.functions import words

SETTINGS = words(
    """
    spark.app.name spark.job.description spark.sql.ansi.enabled
    spark.sql.ansi.enforceReservedKeywords
    spark.sql.autoBroadcastJoinThreshold spark.sql.broadcastTimeout spark.sql.caseSensitive
    spark.sql.charAsVarchar spark.sql.crossJoin.enabled spark.sql.datetime.java8API.enabled
    spark.sql.debug.maxToStringFields spark.sql.decimalOperations.allowPrecisionLoss
    spark.sql.event.truncate.length spark.sql.groupByAliases spark.sql.groupByOrdinal
    spark.sql.json.filterPushdown.enabled spark.sql.mapKeyDedupPolicy
    spark.sql.maxPlanStringLength spark.sql.orderByOrdinal spark.sql.preserveCharVarcharTypeInfo
    spark.sql.readSideCharPadding spark.sql.retainGroupColumns
    spark.sql.selfJoinAutoResolveAmbiguity spark.sql.session.timeZone
    spark.sql.shuffle.partitions spark.sql.sources.partitionOverwriteMode
    spark.sql.sources.default spark.sql.storeAssignmentPolicy spark.sql.timestampType
    spark.sql.tvf.allowMultipleTableArguments.enabled spark.sql.analyzer.failAmbiguousSelfJoin
    spark.sql.subexpressionElimination.enabled spark.sql.thriftServer.interruptOnCancel
    spark.sql.metadataCacheTTLSeconds spark.sql.stackTracesInDataFrameContext
    """
)
"""Settings that a session may change."""

PREFIXES = (
    "headwater.",
    "spark.headwater.",
    "spark.sql.adaptive.",
    "spark.sql.analyzer.",
    "spark.sql.avro.",
    "spark.sql.bin",
    "spark.sql.cbo.",
    "spark.sql.codegen.",
    "spark.sql.csv.",
    "spark.sql.execution.arrow.",
    "spark.sql.execution.pandas.",
    "spark.sql.execution.pyspark.udf.",
    "spark.sql.execution.pythonUDF.",
    "spark.sql.execution.pythonUDTF.",
    "spark.sql.execution.topKSortFallbackThreshold",
    "spark.sql.files.",
    "spark.sql.inMemoryColumnarStorage.",
    "spark.sql.join.",
    "spark.sql.json.",
    "spark.sql.legacy.",
    "spark.sql.optimizer.",
    "spark.sql.orc.",
    "spark.sql.parquet.",
    "spark.sql.pyspark.",
    "spark.sql.repl.eagerEval.",
    "spark.sql.statistics.",
    "spark.sql.window.",
    "spark.sql.windowExec.",
)
"""Beginnings of more such settings."""

_NAMES_CODE = re.compile(
    r"class(es)?\b|class$|\bpath|path$|\bdir|dir$|location|url|uri|extension|provider|jar|command"
    r"|listener|committer|plugin|substitute|catalog|workerlogging|profiler",
    re.IGNORECASE,
)


def check_setting(key: str, value: str | None = None) -> None:
    """Raises PERMISSION_DENIED for a setting that is not on the list (Config.set, unset; SET)."""
    known = key in SETTINGS or key.startswith(PREFIXES)
    if not known or _NAMES_CODE.search(key) or (value is not None and "${" in value):
        raise error(
            ErrorCode.PERMISSION_DENIED,
            f"the setting {key[:100]!r} cannot be changed",
            hint="docs/reference/spark-plans.md lists the settings that a session may change",
        )


_ARTIFACTS = (
    re.compile(r"cache/[0-9a-f]{64}"),
    re.compile(r"(pyfiles|files|archives)/[\w][\w.+@ #-]{0,200}"),
)


def check_artifact(name: str) -> None:
    """Raises PERMISSION_DENIED for an artifact that is neither data nor Python of the caller's."""
    if ".." in name or not any(pattern.fullmatch(name) for pattern in _ARTIFACTS):
        raise error(
            ErrorCode.PERMISSION_DENIED,
            f"the artifact {name[:100]!r} is not accepted",
            hint="addArtifacts takes Python files, plain files and archives; no jars",
        )
