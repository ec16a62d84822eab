"""`spark.conf` of a session: what may be set, what it is until then, and what passes to an engine.

A user process holds no credential and reaches no network, so a setting cannot open a door; the list
keeps settings out that would be accepted and do nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from headwater.engines.userprocess.engine import SAIL, SPARK
from headwater.gateway.spark_connect.failures import SparkFailure, analysis_failure
from headwater.runtimes.releases.definition import load, locked_packages, names

ENGINE = "headwater.engine"
"""Which engine answers: `auto` (the system engine for SQL, Sail, then Spark), `sail`, `spark`."""

RELEASE = "headwater.release"
"""The release that everything of the session runs on, such as `spark-3.5`; `auto`: see ENGINE."""

STAGING = "headwater.staging"
"""What of a table a user process gets: `needed` by the plan, or the `whole` of it."""

TIME_ZONE = "spark.sql.session.timeZone"

DEFAULTS: Mapping[str, str] = {
    ENGINE: "auto",
    RELEASE: "auto",
    STAGING: "needed",
    TIME_ZONE: "UTC",
    "spark.app.name": "headwater",
    "spark.master": "local[*]",
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.autoBroadcastJoinThreshold": "10485760b",
    "spark.sql.caseSensitive": "false",
    "spark.sql.connect.serverStacktrace.enabled": "false",
    "spark.sql.crossJoin.enabled": "true",
    "spark.sql.execution.arrow.enabled": "false",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "10000",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.execution.arrow.pyspark.fallback.enabled": "true",
    "spark.sql.execution.arrow.pyspark.selfDestruct.enabled": "false",
    "spark.sql.execution.arrow.pyspark.validateSchema.enabled": "true",
    "spark.sql.execution.arrow.useLargeVarTypes": "false",
    "spark.sql.execution.arrow.useLargeListType": "false",
    "spark.sql.execution.pandas.convertToArrowArraySafely": "false",
    "spark.sql.execution.pandas.inferPandasDictAsMap": "false",
    "spark.sql.execution.pandas.structHandlingMode": "legacy",
    "spark.sql.execution.pythonUDF.arrow.enabled": "false",
    "spark.sql.execution.pythonUDTF.arrow.enabled": "false",
    "spark.sql.legacy.execution.pandas.groupedMap.assignColumnsByName": "true",
    "spark.sql.mapKeyDedupPolicy": "EXCEPTION",
    "spark.sql.parquet.compression.codec": "snappy",
    "spark.sql.pyspark.inferNestedDictAsStruct.enabled": "false",
    "spark.sql.pyspark.jvmStacktrace.enabled": "false",
    "spark.sql.pyspark.legacy.inferArrayTypeFromFirstElement.enabled": "false",
    "spark.sql.pyspark.legacy.inferMapTypeFromFirstPair.enabled": "false",
    "spark.sql.repl.eagerEval.enabled": "false",
    "spark.sql.repl.eagerEval.maxNumRows": "20",
    "spark.sql.repl.eagerEval.truncate": "20",
    "spark.sql.session.localRelationBatchOfChunksSizeBytes": "67108864",
    "spark.sql.session.localRelationCacheThreshold": "1048576",
    "spark.sql.session.localRelationChunkSizeBytes": "16777216",
    "spark.sql.session.localRelationChunkSizeRows": "10000",
    "spark.sql.session.localRelationSizeLimit": "1073741824",
    "spark.sql.shuffle.partitions": "200",
    "spark.sql.sources.default": "iceberg",
    "spark.sql.sources.partitionOverwriteMode": "STATIC",
    "spark.sql.storeAssignmentPolicy": "ANSI",
    "spark.sql.timestampType": "TIMESTAMP_LTZ",
    "spark.sql.variable.substitute": "true",
    "spark.sql.warehouse.dir": "",
    "spark.connect.session.planCompression.threshold": "10485760",
    "spark.connect.session.planCompression.defaultAlgorithm": "ZSTD",
    "spark.sql.connect.preferArrowChunking": "false",
}
"""What a session starts with; the values are those of Spark, where it knows the key."""

_SETTABLE = re.compile(
    r"spark\.sql\.(session|ansi|adaptive|shuffle|execution|legacy|parquet|orc|csv|json|avro|"
    r"optimizer|repl|pyspark|files|inMemoryColumnarStorage|datetime|decimalOperations|join|"
    r"statistics|cbo|codegen|debug|ui|variable|connect|subquery|window|bloom|sources|iceberg|"
    r"function|view|readSideCharPadding|charAsVarchar|preserveCharVarcharTypeInfo)\b.*"
    r"|spark\.sql\.(autoBroadcastJoinThreshold|broadcastTimeout|caseSensitive|crossJoin\.enabled|"
    r"mapKeyDedupPolicy|storeAssignmentPolicy|timestampType|groupByOrdinal|groupByAliases|"
    r"orderByOrdinal|pivotMaxValues|maxPlanStringLength|maxMetadataStringLength|"
    r"retainGroupColumns|transposeMaxValues|bucketing\..*|scripting\..*|timeType\.enabled|"
    r"geospatial\.enabled|tvf\..*|analyzer\..*|runSQLOnFiles|constraintPropagation\.enabled|"
    r"selfJoinAutoResolveAmbiguity|columnVector\..*|"
    r"sortMergeJoin.*|limit\..*|leafNodeDefaultParallelism|redaction\..*)"
    r"|spark\.(job\.description|jobGroup\.id|app\.name|scheduler\.pool|speculation)"
    r"|spark\.databricks\..*|spark\.connect\.session\.planCache\.enabled"
)
_READ_ONLY = frozenset({"spark.sql.warehouse.dir", "spark.sql.session.localRelationSizeLimit"})
_OTHERS = re.compile(
    r"(?!spark\.)[A-Za-z0-9_.:/-]+"
    # A program's own parameters, such as `spark.myapp.date`: what no engine knows is state of the
    # session, and never passed on. What means something in Spark would be accepted to no effect.
    r"|spark\.(?!(?:sql|hadoop|hive|jars|driver|executor\w*|connect|submit|yarn|kubernetes|mesos"
    r"|master|app|ui|eventLog|history|shuffle|memory|network|rpc|storage|task|taskMetrics|scheduler"
    r"|dynamicAllocation|extraListeners|plugins?|files|archives|pyspark|python|local|home|repl"
    r"|serializer|kryo\w*|io|rdd|broadcast|block|blockManager|cleaner|default|speculation|stage"
    r"|excludeOnFailure|blacklist|barrier|authenticate|acls|admin|modify|ssl|security|kerberos"
    r"|streaming|standalone|deploy|worker|log|logConf|redaction|resources?|decommission|unsafe"
    r"|buffer|metrics|appMasterEnv|checkpoint|closure|callstack|debug|api|remote|job|jobGroup"
    r"|reducer|hadoopRDD|locality|port|cores|proxy|launcher|diskStore|maxRemoteBlockSizeFetchToMem"
    r"|reuse|r|sparkr|databricks|headwater|sail|ml|mllib|graphx|process|range|user|env|system"
    r"|listener|heartbeat|internal|logging|openlineage|celeborn|comet|auth|cache|dead|file"
    r"|logLineage|properties|resultGetter|shutdown|starvation|testing)(?:\.|$))"
    r"[A-Za-z_][A-Za-z0-9_.:/-]*"
)
_CHOICES = {
    ENGINE: ("auto", SAIL, SPARK),
    RELEASE: ("auto", *(name for name in names() if name == SAIL or name.startswith("spark-"))),
    STAGING: ("needed", "whole"),
}
_REFERENCE = "${"
_REFERENCES = re.compile(r"\$\{(?:(\w+?):)?(\S+?)\}")
_OURS = (None, "spark", "sparkconf", "hivevar", "hiveconf")
"""What may stand before a key; `env` and `system` are the server's, and nobody else's business."""

_SUBSTITUTE = "spark.sql.variable.substitute"
_DEEPEST_REFERENCE = 16
_LONGEST_TEXT = 16 * 1024 * 1024
_KEPT = 512
_LONGEST = 64 * 1024

_MEANING = {
    # Settings that change what SQL means; with another value the system engine does not answer.
    "spark.sql.ansi.enabled": ("true",),
    "spark.sql.caseSensitive": ("false",),
    "spark.sql.timestampType": ("TIMESTAMP_LTZ",),
    "spark.sql.groupByOrdinal": ("true",),
    "spark.sql.groupByAliases": ("true",),
    "spark.sql.orderByOrdinal": ("true",),
    "spark.sql.storeAssignmentPolicy": ("ANSI",),
}


_IGNORED_BY_SAIL = (
    "spark.sql.groupByOrdinal",
    "spark.sql.orderByOrdinal",
    "spark.sql.groupByAliases",
)

_USUAL_SPARK = "spark-4.1"
"""The release that things fall back to, unless the session chose one."""


@cache
def _version(release: str) -> str:
    return locked_packages(load(release).lock)["pyspark"]


_ARROW = "spark.sql.execution.arrow."
_OLD_NAMES = {
    f"{_ARROW}pyspark.enabled": f"{_ARROW}enabled",
    f"{_ARROW}pyspark.fallback.enabled": f"{_ARROW}fallback.enabled",
}
"""Settings that Spark 3 renamed; programs of old still set the old ones."""


class Conf:
    """The settings of one session."""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._set: dict[str, str] = dict(values or {})

    def get(self, key: str) -> str | None:
        """The value of a key, of its old name, or its default; None when it has none."""
        value = self._set.get(key, self._set.get(_OLD_NAMES.get(key, "")))
        return DEFAULTS.get(key) if value is None else value

    def has(self, key: str) -> bool:
        """True when the session set a key itself."""
        return key in self._set

    def require(self, key: str) -> str:
        """As `get`; raises SQL_CONF_NOT_FOUND, as Spark does."""
        value = self.get(key)
        if value is None:
            raise SparkFailure(
                f'[SQL_CONF_NOT_FOUND] The SQL config "{key[:200]}" cannot be found. Please verify '
                "that the config exists. SQLSTATE: 42K0I",
                (
                    "org.apache.spark.SparkNoSuchElementException",
                    "java.util.NoSuchElementException",
                ),
                "SQL_CONF_NOT_FOUND",
                "42K0I",
            )
        return value

    def set(self, key: str, value: str) -> None:
        """Sets a key; raises CANNOT_MODIFY_CONFIG for one that is not the session's to set."""
        if not modifiable(key):
            raise analysis_failure(
                "CANNOT_MODIFY_CONFIG",
                f'Cannot modify the value of the Spark config: "{key[:200]}". SQLSTATE: 46110',
                "46110",
            )
        if key in _CHOICES and value.lower() not in _CHOICES[key]:
            raise _refused(key, value, "one of " + ", ".join(_CHOICES[key]))
        if key == TIME_ZONE:
            value = time_zone(value)
        if len(value) > _LONGEST or (key not in self._set and len(self._set) >= _KEPT):
            raise _refused(key, value[:32], "shorter, in a session with fewer settings")
        self._set[key] = value

    def unset(self, key: str) -> None:
        """Returns a key to its default."""
        if not modifiable(key):
            raise analysis_failure(
                "CANNOT_MODIFY_CONFIG",
                f'Cannot modify the value of the Spark config: "{key[:200]}". SQLSTATE: 46110',
                "46110",
            )
        self._set.pop(key, None)

    def all(self, prefix: str = "") -> dict[str, str]:
        """Every setting whose key has the prefix."""
        merged = {**DEFAULTS, **self._set}
        return {key: value for key, value in sorted(merged.items()) if key.startswith(prefix)}

    def changed(self) -> dict[str, str]:
        """What the session set."""
        return dict(self._set)

    def for_engine(self) -> dict[str, str]:
        """What the session set that a Spark or Sail process understands."""
        return {key: value for key, value in self._set.items() if key.startswith("spark.sql.")}

    @property
    def time_zone(self) -> str:
        """The session's time zone."""
        return self.get(TIME_ZONE) or "UTC"

    @property
    def engine(self) -> str:
        """Which engine the session asks for: auto, sail or spark; that of its release first."""
        release = (self.get(RELEASE) or "auto").lower()
        if release != "auto":
            return SAIL if release == SAIL else SPARK
        return (self.get(ENGINE) or "auto").lower()

    def release_of(self, engine: str) -> str | None:
        """The release of an engine that the session asks for; None for the server's."""
        release = (self.get(RELEASE) or "auto").lower()
        wanted = release.startswith("spark-") if engine == SPARK else release == engine
        return release if wanted else None

    def spark_version(self) -> str:
        """The version of Spark that the session's plans run on, or would: its release's own."""
        return _version(self.release_of(SPARK) or _USUAL_SPARK)

    def plain_semantics(self) -> bool:
        """True while no setting changes what SQL means from what the system engine implements."""
        for key, allowed in _MEANING.items():
            value = self._set.get(key)
            if value is not None and value.lower() not in {each.lower() for each in allowed}:
                return False
        return not any(key.startswith("spark.sql.legacy.") for key in self._set)

    def of_spark_alone(self) -> bool:
        """True when a setting changes what plans mean, and Sail takes no notice of it."""
        for key in _IGNORED_BY_SAIL:
            if self._set.get(key, "true").lower() == "false":
                return True
        return any(
            key.startswith("spark.sql.legacy.") and value != DEFAULTS.get(key)
            for key, value in self._set.items()
        )

    def copy(self) -> Conf:
        """The same settings for a cloned session."""
        return Conf(self._set)

    def substituted(self, text: str) -> str:
        """SQL text with the values of settings in the place of `${key}`, as Spark reads it.

        What no setting is called stays as it is. Raises for values that stand for each other, and
        for a text that grows without measure.
        """
        if _REFERENCE not in text or self.get(_SUBSTITUTE) != "true":
            return text
        for _ in range(_DEEPEST_REFERENCE):
            made = self._once_substituted(text)
            if made is None or made == text:
                return text
            text = made
        raise SparkFailure(
            "Settings that stand in SQL text as ${…} refer to each other without end.",
            ("java.lang.IllegalArgumentException",),
        )

    def _once_substituted(self, text: str) -> str | None:
        """The text with the values of what it refers to; None when it refers to no setting."""
        pieces, offset, size = [], 0, len(text)
        for found in _REFERENCES.finditer(text):
            value = self.get(found[2]) if found[1] in _OURS else None
            if value is None:
                continue
            pieces += [text[offset : found.start()], value]
            offset = found.end()
            size += len(value)
            if size > _LONGEST_TEXT:
                raise _refused(found[2], value, "shorter, for a text that it stands in so often")
        return "".join(pieces) + text[offset:] if pieces else None


def modifiable(key: str) -> bool:
    """True for keys that a session may set."""
    if key in _READ_ONLY or len(key) > 256:
        return False
    if key.startswith("headwater."):
        return key in _CHOICES
    return bool(_SETTABLE.fullmatch(key) or _OTHERS.fullmatch(key))


def time_zone(value: str) -> str:
    """A time zone's name; raises INVALID_CONF_VALUE.TIME_ZONE."""
    if re.fullmatch(r"[+-]\d\d:\d\d", value):
        return value
    try:
        return ZoneInfo(value).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise _refused(TIME_ZONE, value, "an IANA name such as Europe/Vienna") from None


def keys(pairs: Iterable[str]) -> list[str]:
    """Keys of a request, at most as many as a session may hold."""
    return list(pairs)[: 2 * _KEPT]


def _refused(key: str, value: str, wanted: str) -> SparkFailure:
    return SparkFailure(
        f"[INVALID_CONF_VALUE] The value '{value[:64]}' in the config \"{key}\" is invalid: "
        f"it must be {wanted}. SQLSTATE: 22022",
        (
            "org.apache.spark.SparkIllegalArgumentException",
            "java.lang.IllegalArgumentException",
        ),
        "INVALID_CONF_VALUE",
        "22022",
    )
