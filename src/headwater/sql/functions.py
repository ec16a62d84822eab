"""The functions, operators and types that a query may use: an allow-list, everything else fails.

Functions that sqlglot knows are classes of `sqlglot.exp`; the others are `exp.Anonymous` with a
name. Both must be listed here. A function is listed when it depends on its arguments (and the
session) alone: nothing that reads files, settings, catalogs, secrets or other statements, nothing
that has an effect.
"""

from __future__ import annotations

from functools import cache

from sqlglot import exp

import headwater
from headwater.errors import ErrorCode, error
from headwater.model.identifiers import CATALOG_NAME
from headwater.model.statement import Dialect, Session
from headwater.sql.hints import did_you_mean
from headwater.sql.templates import AGGREGATES, PASSED_ON, TEMPLATES
from headwater.sql.trees import node_position


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


TYPED = _words(
    """
    Abs Acos Acosh AddMonths And AnyValue ApproxDistinct ApproxQuantile ArgMax ArgMin Array
    ArrayAgg ArrayAll ArrayAny ArrayAppend ArrayCompact ArrayConcat ArrayContains ArrayContainsAll
    ArrayDistinct ArrayExcept ArrayFilter ArrayFirst ArrayIntersect ArrayLast ArrayMax ArrayMin
    ArrayOverlaps ArrayPosition ArrayPrepend ArrayRemove ArrayReverse ArraySize ArraySlice
    ArraySort ArraySum ArrayToString ArrayUniqueAgg Ascii Asin Asinh Atan Atan2 Atanh Avg BitLength
    BitwiseAndAgg BitwiseCount BitwiseOrAgg BitwiseXorAgg ByteLength Case Cast Cbrt Ceil Chr
    Coalesce Concat ConcatWs Contains Corr Cos Cosh Cot Count CountIf CovarPop CovarSamp CumeDist
    CurrentCatalog CurrentDate CurrentDatetime CurrentSchema CurrentTime CurrentTimestamp
    CurrentTimestampLTZ CurrentTimezone CurrentUser CurrentVersion Date DateAdd DateDiff
    DateFromParts DateFromUnixDate DateStrToDate DateSub DateToDateStr DateTrunc Datetime Day
    DayOfMonth DayOfWeek DayOfWeekIso DayOfYear Dayname Decode DecodeCase Degrees DenseRank Encode
    EndsWith EqualNull Exists Exp Explode Extract Factorial First FirstValue Flatten Floor
    FromBase64 FromISO8601Date FromISO8601Timestamp GenerateSeries Greatest GroupConcat Grouping
    GroupingId Hex Hour If Initcap IsInf IsNan JSONArray JSONArrayContains JSONExtract
    JSONExtractArray JSONExtractScalar JSONFormat JSONKeys JSONObject JSONType Kurtosis Lag Last
    LastDay LastValue Lead Least Left Length Levenshtein List Ln Localtime Localtimestamp Log
    LogicalAnd LogicalOr Lower LowerHex MD5 MD5Digest MakeInterval Map MapCat MapContainsKey
    MapFromEntries MapKeys MapSize Max Median Min Minute Mode Month Monthname MonthsBetween Nanvl
    NthValue Ntile Nullif Nvl2 Or Overlay Pad ParseDatetime ParseJSON PercentRank PercentileCont
    PercentileDisc Pi Pow Quantile Quarter Radians Rand Rank Reduce RegexpCount RegexpExtract
    RegexpExtractAll RegexpFullMatch RegexpILike RegexpLike RegexpReplace RegexpSplit RegrAvgx
    RegrAvgy RegrCount RegrIntercept RegrR2 RegrSlope RegrSxx RegrSxy RegrSyy Repeat Replace
    Reverse Right Rint Round RowNumber SHA SHA1Digest SHA2 SHA2Digest Second SessionUser Sign Sin
    Sinh Skewness SortArray Space Split SplitPart Sqrt StartsWith Stddev StddevPop StddevSamp
    StrPosition StrToDate StrToMap StrToTime StrToUnix StringToArray Struct StructExtract
    Substring SubstringIndex Sum Tan Tanh Time TimeFromParts TimeStrToDate TimeStrToTime TimeToStr
    TimeToUnix Timestamp TimestampAdd TimestampDiff TimestampFromParts TimestampSub TimestampTrunc
    ToArray ToBase64 ToMap Transform Translate Trim Trunc Try TryCast TsOrDiToDi TsOrDsAdd
    TsOrDsDiff TsOrDsToDate TsOrDsToTime TsOrDsToTimestamp Typeof Unhex Unicode UnixDate
    UnixMicros UnixMillis UnixSeconds UnixToStr UnixToTime Unnest Upper Uuid VarMap Variance
    VariancePop Week WeekOfYear WidthBucket Xor Year YearOfWeek YearOfWeekIso
    """
)
"""Classes of sqlglot's known functions that may be used."""

EXPRESSIONS = _words(
    """
    Add Alias All Any AtTimeZone Between BitwiseAnd BitwiseLeftShift BitwiseNot BitwiseOr
    BitwiseRightShift BitwiseXor Boolean Bracket ColumnDef Cube DPipe DataType DataTypeParam
    Distinct Div Dot EQ Escape Filter GT GTE Glob GroupingSets HexString ILike Identifier
    IgnoreNulls In IntDiv Interval IntervalSpan Is JSONKeyValue JSONPath JSONValue JSONPathKey
    JSONPathRoot JSONPathSubscript JSONPathWildcard JSONPathRecursive JSONPathSlice JSONPathUnion
    Kwarg LT LTE Lambda Like Literal Mod Mul NEQ Neg Not Null NullSafeEQ NullSafeNEQ Order Ordered
    Paren PropertyEQ RespectNulls Rollup SimilarTo Slice Star Sub Tuple Var Where Window
    WindowSpec WithinGroup
    """
)
"""Classes of tree nodes, other than functions, that may stand in an expression."""

_TYPES = _words(
    """
    ARRAY BIGINT BINARY BLOB BOOLEAN CHAR DATE DATETIME DECIMAL DOUBLE FLOAT INT INT128 INTERVAL
    JSON LIST MAP MEDIUMINT NCHAR NVARCHAR SMALLINT STRUCT TEXT TIME TIMETZ TIMESTAMP TIMESTAMPLTZ
    TIMESTAMPNTZ TIMESTAMPTZ TIMESTAMP_MS TIMESTAMP_NS TIMESTAMP_S TINYINT UBIGINT UINT USMALLINT
    UTINYINT UUID VARBINARY VARCHAR
    """
)
"""Types that CAST may name."""


def function_name(node: exp.Func) -> str:
    """The function's name as people write it, lower case."""
    if isinstance(node, exp.Anonymous | exp.AnonymousAggFunc):
        return node.name.lower()
    name: str = node.meta.get("name") or node.sql_name()
    return name.lower()


def check_node(node: exp.Expr, dialect: Dialect) -> None:
    """Raises FUNCTION_NOT_FOUND or NOT_SUPPORTED unless the node's kind may be used."""
    kind = type(node).__name__
    if isinstance(node, exp.Anonymous):
        if not isinstance(node.this, str) or node.name.lower() not in anonymous_names(dialect):
            raise unknown_function(node, dialect)
    elif isinstance(node, exp.Func):
        if kind not in TYPED:
            raise unknown_function(node, dialect)
    elif isinstance(node, exp.DataType):
        if not isinstance(node.this, exp.DType) or node.this.name not in _TYPES:
            raise error(
                ErrorCode.NOT_SUPPORTED,
                f"the type {node.sql(dialect=str(dialect))[:60]} is not supported",
                position=node_position(node),
            )
    elif kind not in EXPRESSIONS:
        raise error(
            ErrorCode.NOT_SUPPORTED,
            f"{kind} is not supported in an expression",
            position=node_position(node),
        )


def unknown_function(node: exp.Func, dialect: Dialect) -> Exception:
    """FUNCTION_NOT_FOUND for a function that is not on the list."""
    name = function_name(node)
    known = anonymous_names(dialect) | _typed_names()
    return error(
        ErrorCode.FUNCTION_NOT_FOUND,
        f"there is no function {name[:60]!r}",
        hint=did_you_mean(name, known) or "SHOW FUNCTIONS lists those that there are",
        position=node_position(node),
    )


@cache
def anonymous_names(dialect: Dialect) -> frozenset[str]:
    """Names of functions unknown to sqlglot that may be used in a dialect."""
    if dialect is Dialect.DUCKDB:
        return PASSED_ON
    keys = {*TEMPLATES[dialect], *AGGREGATES[dialect]}
    if dialect is Dialect.TRINO:
        keys |= {"map_filter", "transform_keys", "transform_values", "zip_with", "format_datetime"}
    return frozenset(key.split("/")[0] for key in keys)


def _typed_names() -> set[str]:
    names: set[str] = set()
    for kind in TYPED:
        if (function := getattr(exp, kind, None)) is not None and function is not exp.Anonymous:
            names.update(name.lower() for name in function.sql_names())
    return names


def session_value(node: exp.Expr, session: Session) -> exp.Expr | None:
    """The constant for `current_user`, `current_schema` and the like; None for other nodes."""
    if isinstance(node, exp.CurrentUser | exp.SessionUser):
        return exp.Literal.string(session.identity.principal.name)
    if isinstance(node, exp.CurrentCatalog):
        return exp.Literal.string(CATALOG_NAME)
    if isinstance(node, exp.CurrentSchema):
        return exp.Literal.string(session.schema) if session.schema else exp.Null()
    if isinstance(node, exp.CurrentVersion):
        return exp.Literal.string(headwater.__version__)
    if isinstance(node, exp.CurrentTimezone):
        return exp.Literal.string(session.time_zone)
    if isinstance(node, exp.Column) and len(node.parts) == 1:
        match node.name.lower():
            case "current_user" | "session_user" | "user":
                return exp.Literal.string(session.identity.principal.name)
            case "current_catalog":
                return exp.Literal.string(CATALOG_NAME)
            case "current_schema":
                return exp.Literal.string(session.schema) if session.schema else exp.Null()
    return None


def function_names(dialect: Dialect) -> list[str]:
    """The names of all functions that may be used, sorted."""
    return sorted(anonymous_names(dialect) | _typed_names())
