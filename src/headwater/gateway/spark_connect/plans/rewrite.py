"""The way of a plan: checked against the allow-list, names substituted, writes described."""

from __future__ import annotations

import zlib

import zstandard

from headwater.errors import ErrorCode, error
from headwater.gateway.spark_connect.plans import commands
from headwater.gateway.spark_connect.plans.model import (
    Action,
    Message,
    PlanContext,
    RewrittenAnalysis,
    RewrittenPlan,
)
from headwater.gateway.spark_connect.plans.names import Names
from headwater.gateway.spark_connect.plans.parts import (
    constant_text,
    relation_plan,
    stage_columns,
    stage_relations,
)
from headwater.gateway.spark_connect.plans.types import check_schema
from headwater.gateway.spark_connect.plans.walk import Walk, too_large
from headwater.gateway.spark_connect.protocol import messages
from headwater.model.statement import Statement


def rewrite(plan: Message, context: PlanContext) -> RewrittenPlan:
    """The plan as far as it is allowed.

    Raises NOT_SUPPORTED for what is not on the allow-list, PERMISSION_DENIED for what would
    reach past the caller's grants, SYNTAX_ERROR for SQL that cannot be parsed,
    EXCEEDED_STATEMENT_SIZE for a plan beyond the limits.
    """
    plan = own_copy(decompressed(plan, context), context)
    match plan.WhichOneof("op_type"):
        case "root":
            if plan.root.WhichOneof("rel_type") == "catalog":
                walk = Walk(context)
                walk.message(plan.root.catalog, Names(context.session, context.views))
                return RewrittenPlan(Action.CATALOG, catalog=plan.root.catalog)
            text = _whole_text(plan.root)
            found = relation_plan(plan.root, context)
            sql = None if text is None or not found.only_tables else Statement(text)
            return RewrittenPlan(
                Action.RUN,
                sql=sql,
                python=found.python,
                tables=found.tables,
                stage=lambda: stage_relations(plan, found),
            )
        case "command":
            return commands.rewrite_command(plan, context)
    raise error(ErrorCode.NOT_SUPPORTED, "a plan of an unknown kind is not supported")


def _whole_text(relation: Message) -> str | None:
    """The text of a plan that is nothing but SQL, its parameters put in."""
    if relation.WhichOneof("rel_type") != "sql":
        return None
    return constant_text(relation.sql)


def own_copy(message: Message, context: PlanContext) -> Message:
    """A copy to work on; raises for one that is too large or holds fields that nobody knows."""
    size = message.ByteSize()
    if size > context.limits.bytes:
        raise too_large()
    copy = type(message)()
    copy.CopyFrom(message)
    copy.DiscardUnknownFields()
    if copy.ByteSize() != size:
        raise error(
            ErrorCode.NOT_SUPPORTED,
            "the plan holds something that this server does not know",
            hint="the client is newer than the server; an older PySpark works",
        )
    return copy


def decompressed(plan: Message, context: PlanContext) -> Message:
    """The plan, unpacked if it came compressed; never more than the limit is unpacked."""
    if plan.WhichOneof("op_type") != "compressed_operation":
        return plan
    packed = own_copy(plan, context).compressed_operation
    kinds = messages().Plan.CompressedOperation.OpType
    if packed.compression_codec != messages().CompressionCodec.Value("COMPRESSION_CODEC_ZSTD"):
        raise error(ErrorCode.NOT_SUPPORTED, "a plan is compressed with zstd or not at all")
    data = _unpack(packed.data, context.limits.bytes)
    found = messages().Plan()
    target = {
        kinds.Value("OP_TYPE_RELATION"): found.root,
        kinds.Value("OP_TYPE_COMMAND"): found.command,
    }.get(packed.op_type)
    if target is None:
        raise error(ErrorCode.NOT_SUPPORTED, "a compressed plan of an unknown kind")
    try:
        target.MergeFromString(data)
    except Exception as failure:
        raise error(ErrorCode.INVALID_ARGUMENT, "the compressed plan is damaged") from failure
    target.SetInParent()
    return found


def _unpack(data: bytes, most: int) -> bytes:
    try:
        with zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(
            data, read_across_frames=False
        ) as reader:
            found: bytes = reader.read(most + 1)
    except (zstandard.ZstdError, zlib.error, MemoryError) as failure:
        raise error(ErrorCode.INVALID_ARGUMENT, "the compressed plan is damaged") from failure
    if len(found) > most:
        raise too_large()
    return found


_PLAN_OF = {
    "schema": "plan",
    "explain": "plan",
    "tree_string": "plan",
    "is_local": "plan",
    "is_streaming": "plan",
    "semantic_hash": "plan",
}
_RELATION_OF = ("persist", "unpersist", "get_storage_level")
_PLAIN = ("spark_version", "ddl_parse", "json_to_ddl")


def rewrite_analysis(request: Message, context: PlanContext) -> RewrittenAnalysis:
    """As `rewrite`, for AnalyzePlan."""
    kind = request.WhichOneof("analyze")
    request = own_copy(request, context)
    if kind in _PLAN_OF:
        return _analysis(request, [getattr(request, kind).plan], context)
    if kind == "same_semantics":
        found = request.same_semantics
        return _analysis(request, [found.target_plan, found.other_plan], context)
    if kind in _RELATION_OF:
        return _analysis(request, [getattr(request, kind).relation], context)
    if kind in _PLAIN:
        if kind != "spark_version":
            found = getattr(request, kind)
            check_schema(found.ddl_string if kind == "ddl_parse" else found.json_string)
        return RewrittenAnalysis(request)
    if kind == "input_files":
        raise error(
            ErrorCode.PERMISSION_DENIED,
            "inputFiles cannot be used: it tells where a table's files lie",
        )
    raise error(ErrorCode.NOT_SUPPORTED, f"the analysis {kind or 'of an unknown kind'}")


def _analysis(request: Message, plans: list[Message], context: PlanContext) -> RewrittenAnalysis:
    relations: list[Message] = []
    for plan in plans:
        if plan.DESCRIPTOR.name == "Relation":
            relations.append(plan)
            continue
        if plan.WhichOneof("op_type") == "compressed_operation":
            plan.CopyFrom(own_copy(decompressed(plan, context), context))
        if plan.WhichOneof("op_type") != "root":
            raise error(ErrorCode.NOT_SUPPORTED, "only queries can be analysed")
        relations.append(plan.root)
    found = [relation_plan(relation, context) for relation in relations]
    staged = stage_columns(messages().Plan(), *found)
    return RewrittenAnalysis(request, staged.views, staged.tables, staged.python)
