"""File formats that a plan may name, and the options of each: an allow-list."""

from __future__ import annotations

import re
from collections.abc import Mapping

from headwater.errors import ErrorCode, error
from headwater.gateway.spark_connect.plans.functions import words
from headwater.query.names import FILE_FORMATS

OPTIONS = words(
    """
    allowbackslashescapinganycharacter allowcomments allownonnumericnumbers
    allownumericleadingzeros allowsinglequotes allowunquotedcontrolchars allowunquotedfieldnames
    arrayelementname attributeprefix avroschema charset chartoescapequoteescaping
    columnnameofcorruptrecord comment compression dateformat datetimerebasemode declaration
    delimiter dropfieldifallnull emptyvalue enabledatetimeparsingfallback encoding enforceschema
    escape escapequotes excludeattribute extension header ignorecorruptfiles ignoreextension
    ignoreleadingwhitespace ignoremissingfiles ignorenamespace ignorenullfields
    ignoresurroundingspaces ignoretrailingwhitespace inferschema inferdatetime int96rebasemode
    lineseparator linesep locale maxcharspercolumn maxcolumns maxrecordsperfile mergeschema mode
    modifiedafter modifiedbefore multiline nanvalue negativeinf nullvalue parquet.page.size
    parquet.block.size partitionoverwritemode pathglobfilter positionalfieldmatching positiveinf
    preferdate prefersdecimal primitivesasstring quote quoteall recordname recordnamespace
    recursivefilelookup roottag rowtag samplingratio sep singlevariantcolumn timestampformat
    timestampntzformat timezone treatemptyvaluesasnulls unescapedquotehandling valuetag wholetext
    wildcardcolname
    """
)
"""Options of files, lower case."""

COMPRESSIONS = words(
    "none uncompressed snappy gzip lzo brotli lz4 lz4_raw zstd bzip2 deflate xz zlib"
)
"""Values of the option `compression`."""


_CLASS = re.compile(
    r"org\.apache\.spark\.sql\.(?:execution\.datasources\.)?(csv|json|orc|parquet|text)(?:\.\w+)?"
)
"""Names of old for Spark's own formats."""


def named_format(name: str, settings: Mapping[str, str]) -> str:
    """The format that is named, or else the session's own for files; empty for the usual one."""
    if name.strip():
        return name
    default = settings.get("spark.sql.sources.default", "")
    # Tables are Iceberg's by default, and files Parquet.
    return "" if default.lower() == "iceberg" else default


def file_format(name: str) -> str:
    """The format's name as the engine knows it; NOT_SUPPORTED for any other source of data."""
    lowered = name.strip().lower() or "parquet"
    if (old := _CLASS.fullmatch(lowered)) is not None:
        lowered = old[1]
    if lowered not in FILE_FORMATS:
        raise error(
            ErrorCode.NOT_SUPPORTED,
            f"the data source {name[:60]!r} is not supported",
            hint="files of " + ", ".join(sorted(FILE_FORMATS)) + ", and tables of the catalog are",
        )
    return "binaryFile" if lowered == "binaryfile" else lowered


_HARMLESS = re.compile(r"(?!.*(path|class|url|uri|dir|location|key|token|secret|password))\w+")


def check_options(options: Mapping[str, str]) -> dict[str, str]:
    """The options but for paths, and for those that nobody knows, which Spark ignores too.

    PERMISSION_DENIED for one that is not on the list and may name a place, a class or a secret.
    """
    kept: dict[str, str] = {}
    for key, value in options.items():
        lowered = key.lower()
        if lowered in ("path", "paths"):
            continue
        if lowered not in OPTIONS and _HARMLESS.fullmatch(lowered):
            continue
        if lowered not in OPTIONS or (
            lowered == "compression" and value.lower() not in COMPRESSIONS
        ):
            raise error(
                ErrorCode.PERMISSION_DENIED,
                f"the option {key[:60]!r} of a file format is not on the list",
                hint="docs/reference/spark-plans.md names the options that there are",
            )
        kept[key] = value
    return kept
