"""Functions that are written for DuckDB by a template, by the dialect that they are called in.

`$1`, `$2` … are the arguments. In an aggregate's pair the second template goes around the whole
call, outside its FILTER and OVER: `$0` is the call.
"""

from __future__ import annotations

from headwater.model.statement import Dialect

_TRINO: dict[str, str] = {
    "all_match/2": "len(list_filter($1, $2)) = len($1)",
    "any_match/2": "len(list_filter($1, $2)) > 0",
    "none_match/2": "len(list_filter($1, $2)) = 0",
    "array_union/2": "list_distinct(list_concat($1, $2))",
    "arrays_overlap/2": "list_has_any($1, $2)",
    "array_first/1": "list_extract($1, 1)",
    "array_last/1": "list_extract($1, -1)",
    "trim_array/2": "list_slice($1, 1, len($1) - $2)",
    "codepoint/1": "unicode($1)",
    "index/2": "strpos($1, $2)",
    "hamming_distance/2": "hamming($1, $2)",
    "url_encode/1": "url_encode($1)",
    "url_decode/1": "url_decode($1)",
    "to_base/2": "lower(to_base($1, $2))",
    "is_finite/1": "isfinite($1)",
    "is_infinite/1": "isinf($1)",
    "nan/0": "'NaN'::DOUBLE",
    "infinity/0": "'Infinity'::DOUBLE",
    "e/0": "exp(1)",
    "bit_count/2": "bit_count($1::BIGINT)::BIGINT",
    "bitwise_left_shift/2": "$1 << $2",
    "bitwise_right_shift/2": "$1 >> $2",
    "json_array_length/1": "json_array_length($1)::BIGINT",
    "json_exists/2": "json_exists($1, $2)",
    "map_entries/1": "map_entries($1)",
    "map_values/1": "map_values($1)",
    "map_concat/2": "map_concat($1, $2)",
    "map_concat/3": "map_concat($1, $2, $3)",
    "millisecond/1": "millisecond($1) % 1000",
    "to_iso8601/1": "replace($1::VARCHAR, ' ', 'T')",
    "to_milliseconds/1": "(epoch($1) * 1000)::BIGINT",
    "yow/1": "isoyear($1)",
    "at_timezone/2": "timezone($2, $1)",
    "with_timezone/2": "timezone($2, $1)",
    "from_unixtime_nanos/1": "make_timestamp_ns($1)",
    "to_char/2": "strftime($1, $2)",
    "url_extract_protocol/1": "nullif(regexp_extract($1, '^([a-zA-Z][\\w+.-]*):', 1), '')",
    "url_extract_host/1": (
        "nullif(regexp_extract($1, '^[^:/?#]+://(?:[^/?#@]*@)?([^/?#:]*)', 1), '')"
    ),
    "url_extract_port/1": (
        "try_cast(regexp_extract($1, '^[^:/?#]+://[^/?#]*:(\\d+)', 1) AS BIGINT)"
    ),
    "url_extract_path/1": "regexp_extract($1, '^(?:[^:/?#]+:)?(?://[^/?#]*)?([^?#]*)', 1)",
    "url_extract_query/1": "nullif(regexp_extract($1, '^[^?#]*\\?([^#]*)', 1), '')",
    "url_extract_fragment/1": "nullif(regexp_extract($1, '#(.*)$', 1), '')",
    "bitwise_right_shift_arithmetic/2": "$1 >> $2",
    "regexp_position/2": (
        "CASE WHEN regexp_matches($1, $2) THEN "
        "length(regexp_extract($1, '(?s)^(.*?)(?:' || $2 || ')', 1)) + 1 "
        "WHEN $1 IS NOT NULL AND $2 IS NOT NULL THEN -1 END"
    ),
    "json_array_get/2": "json_extract($1, '$[' || $2 || ']')",
}

_SPARK: dict[str, str] = {
    "array_union/2": "list_distinct(list_concat($1, $2))",
    "arrays_overlap/2": "list_has_any($1, $2)",
    "exists/2": "len(list_filter($1, $2)) > 0",
    "forall/2": "len(list_filter($1, $2)) = len($1)",
    "map_entries/1": "map_entries($1)",
    "map_values/1": "map_values($1)",
    "map_concat/2": "map_concat($1, $2)",
    "positive/1": "$1",
    "e/0": "exp(1)",
    "url_encode/1": "url_encode($1)",
    "url_decode/1": "url_decode($1)",
    "get_json_object/2": "json_extract_string($1, $2)",
    "json_array_length/1": "json_array_length($1)",
    "make_date/3": "make_date($1, $2, $3)",
    "pmod/2": "(($1 % $2) + $2) % $2",
    "shiftleft/2": "$1 << $2",
    "shiftright/2": "$1 >> $2",
    "weekday/1": "isodow($1) - 1",
    "dayofweek/1": "dayofweek($1) + 1",
    "timestamp_seconds/1": "to_timestamp($1)",
    "isnull/1": "$1 IS NULL",
    "isnotnull/1": "$1 IS NOT NULL",
    "nvl/2": "coalesce($1, $2)",
    "ifnull/2": "coalesce($1, $2)",
}

TEMPLATES: dict[Dialect, dict[str, str]] = {
    Dialect.TRINO: _TRINO,
    Dialect.SPARK: _SPARK,
    Dialect.DUCKDB: {},
}
"""Scalar functions: `name/arity` → DuckDB template."""

_MULTIMAP = (
    "list({'key': $1, 'value': $2})",
    (
        "map_from_entries(list_transform(list_distinct(list_filter(list_transform($0, "
        "LAMBDA hw_e : hw_e.key), LAMBDA hw_n : hw_n IS NOT NULL)), "
        "LAMBDA hw_k : {'key': hw_k, 'value': list_transform(list_filter($0, "
        "LAMBDA hw_f : hw_f.key = hw_k), LAMBDA hw_g : hw_g.value)}))"
    ),
)

_COMMON_AGGREGATES = {
    "every/1": ("bool_and($1)", "$0"),
    "map_agg/2": ("list({'key': $1, 'value': $2})", "map_from_entries($0)"),
    "histogram/1": ("histogram($1)", "$0"),
    "geometric_mean/1": ("geomean($1)", "$0"),
}

AGGREGATES: dict[Dialect, dict[str, tuple[str, str]]] = {
    Dialect.TRINO: {**_COMMON_AGGREGATES, "multimap_agg/2": _MULTIMAP},
    Dialect.SPARK: {
        "every/1": ("bool_and($1)", "$0"),
        "collect_list/1": ("list($1)", "$0"),
        "collect_set/1": ("list(DISTINCT $1)", "$0"),
    },
    Dialect.DUCKDB: {},
}
"""Aggregate functions: `name/arity` → (template of the call, template around it)."""

_OWN = """
    millisecond
    mod power truncate bit_count len list_filter list_transform list_reduce list_concat list_sum
    list_avg list_min list_max list_distinct list_unique list_sort list_reverse_sort list_reverse
    list_contains list_position list_extract list_element list_slice list_value list_zip
    list_any_value list_append list_prepend list_has list_has_all list_has_any list_intersect
    list_count list_grade_up list_select list_where list_resize array_value array_length
    array_to_string struct_pack struct_insert row map map_keys map_values map_entries map_extract
    map_contains map_concat element_at cardinality strftime strptime try_strptime epoch epoch_ms
    epoch_us epoch_ns make_date make_time make_timestamp make_timestamptz to_timestamp datepart
    date_part datediff date_diff datetrunc date_sub date_add dayname monthname era millennium
    century decade isodow isoyear julian weekday yearweek last_day time_bucket to_years to_months
    to_weeks to_days to_hours to_minutes to_seconds to_milliseconds to_microseconds age timezone
    regexp_matches regexp_escape regexp_full_match regexp_extract_all regexp_split_to_array
    string_split str_split string_to_array strip_accents nfc_normalize printf format format_bytes
    bar ends_with prefix suffix contains instr strlen length_grapheme left_grapheme right_grapheme
    substring_grapheme parse_filename url_encode url_decode jaccard jaro_similarity
    jaro_winkler_similarity damerau_levenshtein hamming mismatches editdist3 ord unicode chr unhex
    to_hex from_hex bin unbin to_base to_base64 base64 from_base64 hash md5 sha1 sha256 gcd lcm
    greatest_common_divisor least_common_multiple gamma lgamma nextafter signbit isfinite isinf
    isnan even xor bit_length bit_position json json_extract json_extract_string json_type
    json_valid json_array_length json_keys json_contains json_exists json_structure json_value
    json_object json_array json_merge_patch to_json array_to_json row_to_json json_transform
    from_json try_cast arg_max_null arg_min_null arg_max arg_min max_by min_by product string_agg
    group_concat listagg favg fsum kahan_sum sumkahan sum_no_overflow geomean geometric_mean
    histogram histogram_exact mad quantile_cont quantile_disc reservoir_quantile
    approx_count_distinct approx_quantile approx_top_k entropy kurtosis_pop sem bitstring_agg
    bool_and bool_or count_star countif any_value first last arbitrary mode median regr_avgx
    regr_avgy regr_count regr_sxx regr_sxy regr_syy regr_r2 isnull equi_width_bins union_value
    union_tag union_extract enum_range list array_agg fdiv fmod divide subtract multiply add
"""

PASSED_ON = frozenset(_OWN.split())
"""DuckDB's own functions that its dialect may call: pure, of their arguments alone."""
