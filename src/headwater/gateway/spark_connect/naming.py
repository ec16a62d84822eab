"""Names that Spark gives to computed columns, where Sail gives others.

Spark writes an expression without an alias out as its name (`Analyzer.ResolveAliases`,
`toPrettySQL`); Sail leaves casts out, and calls some operators by names of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlglot import exp

from headwater.gateway.spark_connect.plans.functions import words

_OPERATORS: dict[type[exp.Expr], str] = {
    exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.Mod: "%", exp.IntDiv: "div",
    exp.EQ: "=", exp.GT: ">", exp.GTE: ">=", exp.LT: "<", exp.LTE: "<=", exp.NullSafeEQ: "<=>",
    exp.And: "AND", exp.Or: "OR",
    exp.BitwiseAnd: "&", exp.BitwiseOr: "|", exp.BitwiseXor: "^",
}  # fmt: skip

_PLAIN = words(
    """
    abs add_months any_value array array_contains array_distinct array_except array_intersect
    array_join array_max array_min array_position array_remove array_union arrays_overlap ascii avg
    base64 bit_and bit_or bool_and bool_or char_length coalesce collect_list collect_set concat
    concat_ws corr count count_if covar_pop covar_samp crc32 date_add date_diff date_format
    date_sub datediff day dayofmonth dayofweek dayofyear element_at exists filter first
    first_value flatten forall format_number get_json_object greatest hash hex hour
    initcap instr isnan kurtosis last last_day last_value lcase least left length levenshtein
    lower lpad ltrim make_date map map_entries map_from_arrays map_keys map_values max max_by md5
    mean median min min_by minute month named_struct negative next_day nullif nvl nvl2 pmod quarter
    regexp_extract repeat replace reverse right rpad rtrim second sequence
    sha1 sha2 size skewness slice soundex std stddev stddev_pop stddev_samp struct substring sum
    to_json transform translate trim trunc ucase upper var_pop var_samp variance weekday weekofyear
    xxhash64 year aggregate zip_with map_filter transform_values transform_keys date_trunc
    to_date to_timestamp ifnull isnull isnotnull
    """
)
"""Functions that Spark names as they are written, with the arguments that they are given."""

_CAPITALS = words("acos acosh asin asinh atan atanh cbrt cos cosh exp expm1 sinh sin sqrt tan tanh")
_LEFT_OUT: dict[str, tuple[int, tuple[str, ...]]] = {
    "sort_array": (1, ("true",)),
    "round": (1, ("0",)),
    "regexp_replace": (3, ("1",)),
    "split": (2, ("-1",)),
    "months_between": (2, ("true",)),
    "str_to_map": (1, (",", ":")),
    "percentile": (2, ("1",)),
    "unix_timestamp": (1, ("yyyy-MM-dd HH:mm:ss",)),
    "from_unixtime": (1, ("yyyy-MM-dd HH:mm:ss",)),
}
"""Arguments that Spark names though nobody wrote them, after as many as were given."""

_RANKS = {
    "row_number": "row_number()",
    "rank": "RANK()",
    "dense_rank": "DENSE_RANK()",
    "percent_rank": "PERCENT_RANK()",
}
_CASTS = words(
    "string decimal int bigint double float boolean date timestamp smallint tinyint binary"
)
_RENAMED = {"array_agg": "collect_list"}
_VARIABLE = "namedlambdavariable()"
_PREDICATES = (exp.Is, exp.In, exp.Between, exp.Like, exp.NEQ, exp.If, exp.IntDiv, exp.NullSafeEQ)
_OTHERWISE = (
    *_PREDICATES, exp.Cast, exp.Lambda, exp.Placeholder, exp.Window, exp.Not, exp.Neg, exp.Extract,
)  # fmt: skip
"""Parts of an expression for which Sail's name may be another."""


def computed_names(tree: exp.Expr) -> list[str | None]:
    """Spark's name of each column of a query; None where Sail's is right or Spark's is unsure."""
    if not isinstance(tree, exp.Select):
        return []
    return [other_name(item) for item in tree.expressions]


def other_name(item: exp.Expr, given: Mapping[str, str] | None = None) -> str | None:
    """Spark's name of a column, where Sail's may be another and Spark's is sure; else None.

    `given` holds the names of the constants that stand in the place of parameters.
    """
    return spark_name(item, given) if is_named_otherwise(item) else None


def is_named_otherwise(item: exp.Expr) -> bool:
    """True for a column without a name of its own, to which Sail may give another than Spark."""
    if isinstance(item, exp.Alias | exp.Aliases | exp.Star | exp.Column):
        return False
    bare = item.unnest()
    # The cast of a column alone keeps the column's name.
    if isinstance(bare, exp.Cast) and isinstance(bare.this, exp.Column):
        return False
    return any(
        isinstance(node, _OTHERWISE) or (isinstance(node, exp.Anonymous) and _is_renamed(node))
        for node in bare.walk()
    )


def _is_renamed(call: exp.Anonymous) -> bool:
    name = call.name.lower()
    return name in _LEFT_OUT or name in _CASTS or name in _RENAMED


def spark_name(item: exp.Expr, given: Mapping[str, str] | None = None) -> str | None:
    """The name that Spark gives to an expression without an alias; None when that is unsure."""
    try:
        return _Writer(given or {}, _tables_of(item)).write(item)
    except RecursionError:
        return None


@dataclass(slots=True)
class _Writer:
    given: Mapping[str, str]
    tables: set[str]
    variables: list[set[str]] = field(default_factory=list)

    def write(self, item: exp.Expr) -> str | None:
        bare = item.unnest()
        if isinstance(bare, exp.Cast) and isinstance(bare.this, exp.Column):
            return str(bare.this.name)
        return self._text(bare)

    def _text(self, node: exp.Expr | None) -> str | None:
        match node:
            case exp.Paren():
                return self._text(node.this)
            case exp.Column():
                return self._column(node)
            case exp.Identifier():
                return self._variable(node)
            case exp.Literal() if node.is_string or _is_plain_number(node.name):
                return str(node.name)
            case exp.Boolean():
                return "true" if node.this else "false"
            case exp.Null():
                return "NULL"
            case exp.Star() if not any(node.args.values()):
                call = node.parent
                counts = isinstance(call, exp.Anonymous) and call.name.lower() == "count"
                return "1" if counts else None
            case exp.Placeholder():
                return self.given.get(node.name)
            case exp.Cast():
                return self._cast(node)
            case exp.Not():
                return self._not(node)
            case exp.Neg():
                return self._negative(node)
            case exp.NEQ() if not _is_fraction_compared(node):
                return self._joined("(NOT ({} = {}))", node.this, node.expression)
            case exp.Is() if isinstance(node.expression, exp.Null):
                return self._joined("({} IS NULL)", node.this)
            case exp.In() if node.expressions and not node.args.get("query"):
                values = self._list(node.expressions)
                return self._joined(f"({{}} IN ({_kept(values)}))", node.this, known=values)
            case exp.Between():
                return self._joined(
                    "between({}, {}, {})", node.this, node.args["low"], node.args["high"]
                )
            case exp.Like() if not node.args.get("negate"):
                return self._joined("{} LIKE {}", node.this, node.expression)
            case exp.If():
                otherwise = node.args.get("false") or exp.Null()
                return self._joined("(IF({}, {}, {}))", node.this, node.args["true"], otherwise)
            case exp.Case() if node.this is None:
                return self._case(node)
            case exp.Window():
                return self._window(node)
            case exp.Bracket() if len(node.expressions) == 1:
                return self._joined("{}[{}]", node.this, node.expressions[0])
            case exp.Transform():
                return self._call("transform", [node.this, node.expression])
            case exp.Lambda():
                return self._lambda(node)
            case exp.Substring():
                parts = [node.this, node.args.get("start"), node.args.get("length")]
                return self._call("substring", [part for part in parts if part is not None])
            case exp.Anonymous() if isinstance(node.this, str):
                return self._function(node)
        operator = None if node is None else _OPERATORS.get(type(node))
        if operator is None or node is None or _is_fraction_compared(node):
            return None
        return self._joined(f"({{}} {operator} {{}})", node.this, node.expression)

    def _joined(self, template: str, *nodes: exp.Expr | None, known: str | None = "") -> str | None:
        parts = [self._text(node) for node in nodes]
        if known is None or None in parts:
            return None
        pieces = template.split("{}")
        told = [each for part, piece in zip(parts, pieces, strict=False) for each in (piece, part)]
        return "".join(map(str, told)) + pieces[-1]

    def _list(self, nodes: list[exp.Expr]) -> str | None:
        parts = [self._text(node) for node in nodes]
        return None if None in parts else ", ".join(map(str, parts))

    def _column(self, node: exp.Column) -> str | None:
        if isinstance(node.this, exp.Star):
            return None
        parts = [part.name for part in node.parts]
        if self._is_variable(parts[0]):
            return _VARIABLE if len(parts) == 1 else None
        if len(parts) > 1 and parts[0].casefold() in self.tables:
            del parts[0]
        return ".".join(parts)

    def _is_variable(self, name: str) -> bool:
        return any(name.casefold() in names for names in self.variables)

    def _variable(self, node: exp.Identifier) -> str | None:
        return _VARIABLE if self._is_variable(node.name) else None

    def _lambda(self, node: exp.Lambda) -> str | None:
        names = [each.name for each in node.expressions]
        self.variables.append({name.casefold() for name in names})
        try:
            body = self._text(node.this)
        finally:
            self.variables.pop()
        variables = ", ".join([_VARIABLE] * len(names))
        return None if body is None else f"lambdafunction({body}, {variables})"

    def _cast(self, node: exp.Cast) -> str | None:
        # sqlglot takes Spark's CAST for a TRY_CAST, and writes it as what it was.
        kind = node.to.sql("spark").replace(" ", "").upper()
        if type(node) is exp.Cast and isinstance(node.this, exp.Literal) and node.this.is_string:
            return f"{kind} '{node.this.name}'" if kind == "DATE" else None
        if not node.sql("spark").startswith("CAST("):
            return None
        return self._joined(f"CAST({{}} AS {kind})", node.this)

    def _not(self, node: exp.Not) -> str | None:
        inner = node.this
        if isinstance(inner, exp.Is) and isinstance(inner.expression, exp.Null):
            return self._joined("({} IS NOT NULL)", inner.this)
        return self._joined("(NOT {})", inner)

    def _negative(self, node: exp.Neg) -> str | None:
        inner = node.this
        told = self._text(inner)
        literal = isinstance(inner, exp.Literal) and not inner.is_string
        if told and (literal or (isinstance(inner, exp.Placeholder) and told.isdigit())):
            return f"-{told}"
        return self._joined("(- {})", inner)

    def _case(self, node: exp.Case) -> str | None:
        pieces: list[str | None] = ["CASE"]
        pieces += [
            self._joined("WHEN {} THEN {}", branch.this, branch.args["true"])
            for branch in node.args["ifs"]
        ]
        if (default := node.args.get("default")) is not None:
            pieces.append(self._joined("ELSE {}", default))
        return None if None in pieces else " ".join(map(str, [*pieces, "END"]))

    def _window(self, node: exp.Window) -> str | None:
        """A function over rows; one with a frame of its own, or a named one, is unsure."""
        call = node.this
        if not isinstance(call, exp.Anonymous) or node.args.get("spec") or node.args.get("alias"):
            return None
        name = call.name.lower()
        ranks = name in _RANKS
        told = _RANKS[name] if ranks and not call.expressions else self._text(call)
        order = node.args.get("order")
        pieces: list[str | None] = []
        if by := node.args.get("partition_by"):
            listed = self._list(by)
            pieces.append(None if listed is None else f"PARTITION BY {listed}")
        if order is not None:
            sorts = [self._ordered(each) for each in order.expressions]
            pieces.append(None if None in sorts else "ORDER BY " + ", ".join(map(str, sorts)))
        end = "UNBOUNDED FOLLOWING" if order is None else "CURRENT ROW"
        unit = "ROWS" if ranks or order is None else "RANGE"
        pieces.append(f"{unit} BETWEEN UNBOUNDED PRECEDING AND {end}")
        if told is None or None in pieces:
            return None
        return f"{told} OVER ({' '.join(str(each) for each in pieces)})"

    def _ordered(self, node: exp.Expr) -> str | None:
        if not isinstance(node, exp.Ordered):
            return self._joined("{} ASC NULLS FIRST", node)
        first = "FIRST" if node.args.get("nulls_first") else "LAST"
        way = "DESC" if node.args.get("desc") else "ASC"
        return self._joined(f"{{}} {way} NULLS {first}", node.this)

    def _function(self, node: exp.Anonymous) -> str | None:
        name = node.name.lower()
        name = _RENAMED.get(name, name)
        given = list(node.expressions)
        if name in _CASTS and len(given) == 1:
            return self._text(given[0])
        if name == "isnull" and len(given) == 1:
            return self._joined("({} IS NULL)", given[0])
        if name == "isnotnull" and len(given) == 1:
            return self._joined("({} IS NOT NULL)", given[0])
        if name in ("datediff", "date_diff") and len(given) != 2:
            return None  # Spark calls it timestampdiff
        if len(given) == 1 and isinstance(given[0], exp.Distinct):
            told = self._list(given[0].expressions)
            return f"{name}(DISTINCT {told})" if told is not None and name in _PLAIN else None
        return self._call(name, given)

    def _call(self, name: str, given: list[exp.Expr]) -> str | None:
        told = self._list(given)
        if told is None:
            return None
        if name in _LEFT_OUT:
            most, defaults = _LEFT_OUT[name]
            missing = defaults[max(0, len(given) - most) :]
            return f"{name}({', '.join([told, *missing])})" if len(given) >= most else None
        if name in _CAPITALS:
            return f"{name.upper()}({told})"
        if name == "aggregate" and len(given) == 3:
            told += f", lambdafunction({_VARIABLE}, {_VARIABLE})"
        return f"{name}({told})" if name in _PLAIN else None


def _kept(text: str | None) -> str:
    # Braces are the template's.
    return "" if text is None else text.replace("{}", "{ }")


def _is_fraction_compared(node: exp.Expr) -> bool:
    """True for `a > 1.5`, which Spark names `(a > 1)` when the column holds integers."""
    sides = (node.this, node.expression) if isinstance(node, exp.Predicate) else ()
    return any(isinstance(side, exp.Literal) and "." in side.name for side in sides)


def _tables_of(item: exp.Expr) -> set[str]:
    """The names of what the query of a column reads from."""
    query = item.find_ancestor(exp.Select)
    if query is None:
        return set()
    sources = [
        each.this for each in (query.args.get("from_"), *query.args.get("joins", ())) if each
    ]
    sources += query.args.get("laterals") or ()
    return {source.alias_or_name.casefold() for source in sources}


def _is_plain_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit() and not text.startswith(".")
