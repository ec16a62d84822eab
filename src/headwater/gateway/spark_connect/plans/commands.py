"""Commands: registering functions and views, writes, SQL statements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from headwater.errors import ErrorCode, error
from headwater.gateway.spark_connect.plans import statements
from headwater.gateway.spark_connect.plans.expression_text import expression_text
from headwater.gateway.spark_connect.plans.functions import is_refused
from headwater.gateway.spark_connect.plans.merges import merge_target
from headwater.gateway.spark_connect.plans.model import (
    Action,
    AddFunction,
    Message,
    PlanContext,
    RewrittenPlan,
    StagedPlan,
    Write,
)
from headwater.gateway.spark_connect.plans.names import split_identifier, table_name
from headwater.gateway.spark_connect.plans.options import (
    check_options,
    file_format,
    named_format,
)
from headwater.gateway.spark_connect.plans.parts import relation_plan, stage_relations
from headwater.gateway.spark_connect.plans.views import add_view
from headwater.gateway.spark_connect.plans.walk import check_fields
from headwater.gateway.spark_connect.protocol import messages
from headwater.query.arrow_writes import SOURCE, WriteMode, WriteTarget
from headwater.sql.statements import PartitionField


def rewrite_command(plan: Message, context: PlanContext) -> RewrittenPlan:
    """A plan that is a command; see `rewrite`."""
    command = plan.command
    check_fields(command, "Command")
    match command.WhichOneof("command_type"):
        case "sql_command":
            return statements.rewrite_sql(command.sql_command, context)
        case "create_dataframe_view":
            return _create_view(command.create_dataframe_view, context)
        case "write_operation":
            return _write(command.write_operation, context)
        case "write_operation_v2":
            return _write_v2(command.write_operation_v2, context)
        case "register_function":
            return _register(plan, command.register_function.function_name, context)
        case "register_table_function":
            return _register(plan, command.register_table_function.function_name, context)
        case "remove_cached_remote_relation_command":
            found = command.remove_cached_remote_relation_command.relation.relation_id
            if found not in context.relations:
                raise error(ErrorCode.STATEMENT_NOT_FOUND, "there is no such checkpoint")
            checked = relation_plan(command, context)
        case "checkpoint_command" | "get_resources_command":
            checked = relation_plan(command, context)
        case "merge_into_table_command":
            merge = command.merge_into_table_command
            check_fields(merge, "MergeIntoTableCommand")
            return _writing(merge_target(merge), _source(merge.source_table_plan, context))
        case _:
            raise error(ErrorCode.NOT_SUPPORTED, "a command of an unknown kind is not supported")
    return RewrittenPlan(
        Action.RUN,
        python=checked.python,
        tables=checked.tables,
        stage=lambda: stage_relations(plan, checked),
    )


def _register(plan: Message, name: str, context: PlanContext) -> RewrittenPlan:
    if not name.isidentifier() or is_refused(name):
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            f"a registered function cannot be called {name[:60]!r}",
            hint="letters, digits and _ make a name",
        )
    checked = relation_plan(plan.command, context)
    table = plan.command.WhichOneof("command_type") == "register_table_function"
    return RewrittenPlan(
        Action.RUN,
        effects=(AddFunction(name, plan.command, table),),
        python=True,
        stage=lambda: stage_relations(plan, checked),
    )


def _create_view(command: Message, context: PlanContext) -> RewrittenPlan:
    check_fields(command, "CreateDataFrameViewCommand")
    parts = split_identifier(command.name)
    if len(parts) != 1:
        raise error(ErrorCode.INVALID_ARGUMENT, "a temporary view has a plain name")
    return add_view(
        command.input, parts[0], context, replaces=command.replace, is_global=command.is_global
    )


def _source(relation: Message, context: PlanContext) -> RewrittenPlan:
    """The rows of a write, as a plan of their own."""
    plan = messages().Plan()
    plan.root.CopyFrom(relation)
    checked = relation_plan(plan.root, context)
    return RewrittenPlan(
        Action.RUN,
        python=checked.python,
        tables=checked.tables,
        stage=lambda: stage_relations(plan, checked),
    )


_SAVE_MODES = {
    0: WriteMode.ERROR_IF_EXISTS,
    1: WriteMode.APPEND,
    2: WriteMode.OVERWRITE,
    3: WriteMode.ERROR_IF_EXISTS,
    4: WriteMode.IGNORE,
}


def _write(command: Message, context: PlanContext) -> RewrittenPlan:
    check_fields(command, "WriteOperation")
    mode = _SAVE_MODES.get(command.mode)
    if mode is None:
        raise error(ErrorCode.NOT_SUPPORTED, "this mode of writing is not supported")
    options = dict(command.options)
    source = _source(command.input, context)
    partitions = tuple(PartitionField(name, "identity") for name in command.partitioning_columns)
    if command.WhichOneof("save_type") == "table":
        insert = messages().WriteOperation.SaveTable.TableSaveMethod.Value(
            "TABLE_SAVE_METHOD_INSERT_INTO"
        )
        check_provider(command.source)
        inserting = command.table.save_method == insert
        if inserting and mode is WriteMode.ERROR_IF_EXISTS:
            mode = WriteMode.APPEND
        table = table_name(split_identifier(command.table.table_name))
        target = WriteTarget(
            mode=_dynamic(mode, options, context) if inserting else mode,
            table=table,
            by_name=not inserting,
            must_exist=inserting,
            partitioning=partitions + _buckets(command),
            properties=table_properties(options),
            widened=table if _widens(options, command.with_schema_evolution) else None,
        )
        return _writing(target, source)
    if command.HasField("bucket_by"):
        raise error(ErrorCode.NOT_SUPPORTED, "bucketBy is for tables", hint="saveAsTable(name)")
    path = command.path or next((v for k, v in options.items() if k.lower() == "path"), "")
    if command.source.lower() == "noop":
        return replace(source, action=Action.RUN)
    if command.sort_column_names:
        raise error(
            ErrorCode.NOT_SUPPORTED,
            "sortBy is not supported",
            hint="ALTER TABLE … WRITE ORDERED BY, or orderBy before the write",
        )
    if not path:
        raise error(ErrorCode.INVALID_ARGUMENT, "'path' is not specified.")
    if command.source.lower() == "iceberg" and "/" not in path:
        table = table_name(split_identifier(path))
        target = WriteTarget(
            mode=mode,
            table=table,
            by_name=True,
            partitioning=partitions,
            properties=table_properties({k: v for k, v in options.items() if k.lower() != "path"}),
            widened=table if _widens(options, command.with_schema_evolution) else None,
        )
        return _writing(target, source)
    kind = file_format(named_format(command.source, context.settings))
    if kind == "parquet" and "compression" not in map(str.lower, options):
        # Sail's own choice is another one than Spark's, and takes longer.
        options["compression"] = context.settings.get(_PARQUET_CODEC, "snappy")
    target = WriteTarget(
        mode=mode,
        path=path,
        partitioning=partitions,
        format=kind,
        options=check_options(options),
    )
    return _writing(target, source)


_PARQUET_CODEC = "spark.sql.parquet.compression.codec"


def _writing(target: WriteTarget, source: RewrittenPlan) -> RewrittenPlan:
    return RewrittenPlan(
        Action.WRITE,
        write=Write(target, {SOURCE: source}),
        python=source.python,
        tables=source.tables,
    )


def _dynamic(mode: WriteMode, options: Mapping[str, str], context: PlanContext) -> WriteMode:
    """INSERT OVERWRITE replaces all rows, or the partitions that come, by option or setting."""
    chosen = {k.lower(): v for k, v in options.items()}.get(
        "partitionoverwritemode",
        context.settings.get("spark.sql.sources.partitionOverwriteMode", "static"),
    )
    if mode is WriteMode.OVERWRITE and chosen.lower() == "dynamic":
        return WriteMode.OVERWRITE_PARTITIONS
    return mode


_PROVIDERS = frozenset({"", "iceberg", "parquet"})


def check_provider(name: str) -> None:
    """Raises NOT_SUPPORTED for a table format other than Iceberg.

    `parquet` is Spark's default when none is named: the files of our tables are Parquet.
    """
    if name.lower() not in _PROVIDERS:
        raise error(
            ErrorCode.NOT_SUPPORTED,
            f"tables of the format {name[:40]!r} are not supported",
            hint="tables of the catalog are Iceberg tables",
        )


_WRITER_OPTIONS = frozenset(
    {
        "check-nullability",
        "check-ordering",
        "compression",
        "distribution-mode",
        "fanout-enabled",
        "mergeschema",
        "merge-schema",
        "partitionoverwritemode",
        "target-file-size-bytes",
        "use-table-distribution-and-ordering",
        "write-format",
    }
)
"""Options that say how to write, not what: the system engine has its own ways."""


def table_properties(options: Mapping[str, str]) -> dict[str, str]:
    """Table properties among a writer's options; PERMISSION_DENIED for a place of its own."""
    found: dict[str, str] = {}
    for key, value in options.items():
        lowered = key.lower()
        if lowered in ("path", "location") or lowered.endswith((".path", ".location")):
            raise error(
                ErrorCode.PERMISSION_DENIED, "a table of the catalog lies where the catalog puts it"
            )
        if lowered not in _WRITER_OPTIONS:
            found[key] = value
    return found


def _widens(options: Mapping[str, str], evolves: bool) -> bool:
    """True for a write whose new columns the table is to get."""
    return evolves or any(
        key.lower() in ("mergeschema", "merge-schema") and value.lower() == "true"
        for key, value in options.items()
    )


def _buckets(command: Message) -> tuple[PartitionField, ...]:
    """The partition that `bucketBy` means, as Spark has it for Iceberg tables."""
    if not command.HasField("bucket_by"):
        return ()
    check_fields(command.bucket_by, "WriteOperation.BucketBy")
    columns, number = command.bucket_by.bucket_column_names, command.bucket_by.num_buckets
    if len(columns) != 1 or command.sort_column_names:
        raise error(
            ErrorCode.NOT_SUPPORTED,
            "Iceberg tables have buckets of one column, without sortBy",
            hint="ALTER TABLE … WRITE ORDERED BY sorts the files of a table",
        )
    if number < 1:
        raise error(ErrorCode.INVALID_ARGUMENT, f"bucketBy needs 1 bucket or more, not {number}")
    return (PartitionField(".".join(split_identifier(columns[0])), f"bucket[{number}]"),)


_V2_MODES = {
    1: WriteMode.CREATE,
    2: WriteMode.OVERWRITE_WHERE,
    3: WriteMode.OVERWRITE_PARTITIONS,
    4: WriteMode.APPEND,
    5: WriteMode.REPLACE,
    6: WriteMode.CREATE_OR_REPLACE,
}


def _write_v2(command: Message, context: PlanContext) -> RewrittenPlan:
    check_fields(command, "WriteOperationV2")
    mode = _V2_MODES.get(command.mode)
    if mode is None:
        raise error(ErrorCode.NOT_SUPPORTED, "this mode of writing is not supported")
    check_provider(command.provider)
    condition = None
    if mode is WriteMode.OVERWRITE_WHERE:
        condition = expression_text(command.overwrite_condition)
    properties = dict(command.table_properties) | table_properties(dict(command.options))
    table_properties(properties)
    table = table_name(split_identifier(command.table_name))
    target = WriteTarget(
        mode=mode,
        table=table,
        by_name=True,
        must_exist=mode not in (WriteMode.CREATE, WriteMode.CREATE_OR_REPLACE),
        condition=condition,
        partitioning=tuple(partition_field(each) for each in command.partitioning_columns),
        properties=properties,
        widened=table if _widens(command.options, command.with_schema_evolution) else None,
    )
    return _writing(target, _source(command.input, context))


_TRANSFORMS = {"years": "year", "months": "month", "days": "day", "hours": "hour"}


def partition_field(expression: Message) -> PartitionField:
    """A column of partitionedBy: `col`, `years(col)`, `bucket(16, col)`, `truncate(4, col)`."""
    if expression.WhichOneof("expr_type") == "unresolved_attribute":
        return PartitionField(_column_name(expression), "identity")
    if expression.WhichOneof("expr_type") == "unresolved_function":
        found = expression.unresolved_function
        name, arguments = found.function_name.lower(), list(found.arguments)
        if name in _TRANSFORMS and len(arguments) == 1:
            return PartitionField(_column_name(arguments[0]), _TRANSFORMS[name])
        if name in ("bucket", "truncate") and len(arguments) == 2:
            literal = arguments[0].literal
            kind = literal.WhichOneof("literal_type")
            if kind in ("integer", "long", "short", "byte"):
                size = int(getattr(literal, kind))
                return PartitionField(_column_name(arguments[1]), f"{name}[{size}]")
    raise error(
        ErrorCode.NOT_SUPPORTED,
        "tables are partitioned by columns, years, months, days, hours, bucket and truncate",
    )


def _column_name(expression: Message) -> str:
    if expression.WhichOneof("expr_type") != "unresolved_attribute":
        raise error(ErrorCode.NOT_SUPPORTED, "a partition needs a column")
    return ".".join(split_identifier(expression.unresolved_attribute.unparsed_identifier))


def path_write(write: Write, inside: str) -> StagedPlan:
    """The plan by which the user process writes files to a folder of its outbox.

    Stages what the rows come from; raises as `RewrittenPlan.staged` does.
    """
    (source,) = write.sources.values()
    staged = source.staged()
    target, plan = write.target, messages().Plan()
    command = plan.command.write_operation
    command.input.CopyFrom(staged.plan.root)
    command.source = target.format
    command.path = inside
    command.mode = messages().WriteOperation.SaveMode.Value("SAVE_MODE_ERROR_IF_EXISTS")
    command.partitioning_columns.extend(each.column for each in target.partitioning)
    for key, value in target.options.items():
        command.options[key] = value
    return replace(staged, plan=plan)
