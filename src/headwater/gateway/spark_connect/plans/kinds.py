"""Every message of Spark Connect that a plan may hold, and every field of each.

A field that is neither allowed nor refused here is refused too: it came with a newer client, and
nobody has judged it yet. A test compares the lists with the messages of the installed client.
"""

from __future__ import annotations

PACKAGE = "spark.connect."

REFUSED: dict[str, dict[str, str]] = {
    "Relation": {
        "apply_in_pandas_with_state": "streaming queries",
        "relation_changes": "reading changes between snapshots",
        "common_inline_user_defined_data_source": "data sources written in Python",
        "ml_relation": "Spark ML",
        "extension": "extensions of the protocol",
        "unknown": "a relation without a kind",
    },
    "Expression": {
        "typed_aggregate_expression": "user code for the JVM",
        "extension": "extensions of the protocol",
    },
    "CommonInlineUserDefinedFunction": {
        "scalar_scala_udf": "user code for the JVM",
        "java_udf": "user code for the JVM",
    },
    "Command": {
        "write_stream_operation_start": "streaming queries",
        "streaming_query_command": "streaming queries",
        "streaming_query_manager_command": "streaming queries",
        "streaming_query_listener_bus_command": "streaming queries",
        "register_data_source": "data sources written in Python",
        "create_resource_profile_command": "resource profiles",
        # Clients send one (`clean_cache`) while their interpreter ends, and take no note of the
        # answer. It has to be an error: a stream that is not at its end yet can keep gRPC, and the
        # program with it, from ending.
        "ml_command": "Spark ML",
        "execute_external_command": "commands of external systems",
        "pipeline_command": "declarative pipelines",
        "extension": "extensions of the protocol",
    },
    "Read": {
        "is_streaming": "streaming queries",
    },
    "GroupMap": {
        "is_map_groups_with_state": "streaming queries",
        "transform_with_state_info": "streaming queries",
        "state_schema": "streaming queries",
        "output_mode": "streaming queries",
        "timeout_conf": "streaming queries",
        "initial_input": "streaming queries",
        "initial_grouping_expressions": "streaming queries",
    },
    "Catalog": {
        "create_external_table": "tables outside the catalog",
        "refresh_by_path": "paths in the catalog",
        "recover_partitions": "tables outside the catalog",
        "analyze_table": "ANALYZE TABLE",
    },
    "WriteOperation": {
        "clustering_columns": "CLUSTER BY columns of a table",
    },
    "WriteOperationV2": {
        "clustering_columns": "CLUSTER BY columns of a table",
    },
    "Origin": {
        "jvm_origin": "origins in a JVM",
    },
}
"""Fields that are known and refused, by message, and what they stand for."""

_ALLOWED = """
    Plan: root command compressed_operation
    Relation: common read project filter join set_op sort limit aggregate sql local_relation
      sample offset deduplicate range subquery_alias repartition to_df with_columns_renamed
      show_string drop tail with_columns hint unpivot to_schema repartition_by_expression
      map_partitions collect_metrics parse group_map co_group_map with_watermark html_string
      cached_local_relation cached_remote_relation common_inline_user_defined_table_function
      as_of_join with_relations transpose unresolved_table_valued_function lateral_join
      chunked_cached_local_relation nearest_by_join fill_na drop_na replace summary crosstab
      describe cov corr approx_quantile freq_items sample_by catalog
    RelationCommon: source_info plan_id origin
    Origin: python_origin
    PythonOrigin: fragment call_site
    Read: named_table data_source
    Read.NamedTable: unparsed_identifier options
    Read.DataSource: format schema options paths predicates source_name
    Project: input expressions
    Expression: common literal unresolved_attribute unresolved_function expression_string
      unresolved_star alias cast unresolved_regex sort_order lambda_function window
      unresolved_extract_value update_fields unresolved_named_lambda_variable
      common_inline_user_defined_function call_function named_argument_expression merge_action
      subquery_expression direct_shuffle_partition_id
    ExpressionCommon: origin
    Expression.Literal: null binary boolean byte short integer long float double decimal string
      date timestamp timestamp_ntz calendar_interval year_month_interval day_time_interval array
      map struct specialized_array time data_type
    DataType: null binary boolean byte short integer long float double decimal string char
      var_char date timestamp timestamp_ntz calendar_interval year_month_interval
      day_time_interval array struct map variant udt geometry geography unparsed time
    DataType.NULL: type_variation_reference
    DataType.Binary: type_variation_reference
    DataType.Boolean: type_variation_reference
    DataType.Byte: type_variation_reference
    DataType.Short: type_variation_reference
    DataType.Integer: type_variation_reference
    DataType.Long: type_variation_reference
    DataType.Float: type_variation_reference
    DataType.Double: type_variation_reference
    DataType.Decimal: scale precision type_variation_reference
    DataType.String: type_variation_reference collation
    DataType.Char: length type_variation_reference
    DataType.VarChar: length type_variation_reference
    DataType.Date: type_variation_reference
    DataType.Timestamp: type_variation_reference
    DataType.TimestampNTZ: type_variation_reference
    DataType.CalendarInterval: type_variation_reference
    DataType.YearMonthInterval: start_field end_field type_variation_reference
    DataType.DayTimeInterval: start_field end_field type_variation_reference
    DataType.Array: element_type contains_null type_variation_reference
    DataType.Struct: fields type_variation_reference
    DataType.StructField: name data_type nullable metadata
    DataType.Map: key_type value_type value_contains_null type_variation_reference
    DataType.Variant: type_variation_reference
    DataType.UDT: type jvm_class python_class serialized_python_class sql_type
    DataType.Geometry: srid type_variation_reference
    DataType.Geography: srid type_variation_reference
    DataType.Unparsed: data_type_string
    DataType.Time: precision type_variation_reference
    Expression.Literal.Decimal: value precision scale
    Expression.Literal.CalendarInterval: months days microseconds
    Expression.Literal.Array: element_type elements
    Expression.Literal.Map: key_type value_type keys values
    Expression.Literal.Struct: struct_type elements
    Expression.Literal.SpecializedArray: bools ints longs floats doubles strings
    Bools: values
    Ints: values
    Longs: values
    Floats: values
    Doubles: values
    Strings: values
    Expression.Literal.Time: nano precision
    Expression.UnresolvedAttribute: unparsed_identifier plan_id is_metadata_column
    Expression.UnresolvedFunction: function_name arguments is_distinct is_user_defined_function
      is_internal
    Expression.ExpressionString: expression
    Expression.UnresolvedStar: unparsed_target plan_id
    Expression.Alias: expr name metadata
    Expression.Cast: expr type type_str eval_mode
    Expression.UnresolvedRegex: col_name plan_id
    Expression.SortOrder: child direction null_ordering
    Expression.LambdaFunction: function arguments
    Expression.UnresolvedNamedLambdaVariable: name_parts
    Expression.Window: window_function partition_spec order_spec frame_spec
    Expression.Window.WindowFrame: frame_type lower upper
    Expression.Window.WindowFrame.FrameBoundary: current_row unbounded value
    Expression.UnresolvedExtractValue: child extraction
    Expression.UpdateFields: struct_expression field_name value_expression
    CommonInlineUserDefinedFunction: function_name deterministic arguments python_udf is_distinct
    PythonUDF: output_type eval_type command python_ver additional_includes
    CallFunction: function_name arguments
    NamedArgumentExpression: key value
    MergeAction: action_type condition assignments
    MergeAction.Assignment: key value
    SubqueryExpression: plan_id subquery_type table_arg_options in_subquery_values
    SubqueryExpression.TableArgOptions: partition_spec order_spec with_single_partition
    Expression.DirectShufflePartitionID: child
    Filter: input condition
    Join: left right join_condition join_type using_columns join_data_type
    Join.JoinDataType: is_left_struct is_right_struct
    SetOperation: left_input right_input set_op_type is_all by_name allow_missing_columns
    Sort: input order is_global
    Limit: input limit
    Aggregate: input group_type grouping_expressions aggregate_expressions pivot grouping_sets
    Aggregate.Pivot: col values
    Aggregate.GroupingSets: grouping_set
    SQL: query args pos_args named_arguments pos_arguments
    LocalRelation: data schema
    Sample: input lower_bound upper_bound with_replacement seed deterministic_order
    Offset: input offset
    Deduplicate: input column_names all_columns_as_keys within_watermark
    Range: start end step num_partitions
    SubqueryAlias: input alias qualifier
    Repartition: input num_partitions shuffle
    ToDF: input column_names
    WithColumnsRenamed: input rename_columns_map renames
    WithColumnsRenamed.Rename: col_name new_col_name
    ShowString: input num_rows truncate vertical
    Drop: input columns column_names
    Tail: input limit
    WithColumns: input aliases
    Hint: input name parameters
    Unpivot: input ids values variable_column_name value_column_name
    Unpivot.Values: values
    ToSchema: input schema
    RepartitionByExpression: input partition_exprs num_partitions
    MapPartitions: input func is_barrier profile_id
    CollectMetrics: input name metrics
    Parse: input format schema options
    GroupMap: input grouping_expressions func sorting_expressions
    CoGroupMap: input input_grouping_expressions other other_grouping_expressions func
      input_sorting_expressions other_sorting_expressions
    WithWatermark: input event_time delay_threshold
    HtmlString: input num_rows truncate
    CachedLocalRelation: hash
    CachedRemoteRelation: relation_id
    CommonInlineUserDefinedTableFunction: function_name deterministic arguments python_udtf
    PythonUDTF: return_type eval_type command python_ver
    AsOfJoin: left right left_as_of right_as_of join_expr using_columns join_type tolerance
      allow_exact_matches direction
    WithRelations: root references
    Transpose: input index_columns
    UnresolvedTableValuedFunction: function_name arguments
    LateralJoin: left right join_condition join_type
    ChunkedCachedLocalRelation: dataHashes schemaHash
    NearestByJoin: left right ranking_expression num_results join_type mode direction
    NAFill: input cols values
    NADrop: input cols min_non_nulls
    NAReplace: input cols replacements
    NAReplace.Replacement: old_value new_value
    StatSummary: input statistics
    StatCrosstab: input col1 col2
    StatDescribe: input cols
    StatCov: input col1 col2
    StatCorr: input col1 col2 method
    StatApproxQuantile: input cols probabilities relative_error
    StatFreqItems: input cols support
    StatSampleBy: input col fractions seed
    StatSampleBy.Fraction: stratum fraction
    Catalog: current_database set_current_database list_databases list_tables list_functions
      list_columns get_database get_table get_function database_exists table_exists
      function_exists create_table drop_temp_view drop_global_temp_view is_cached cache_table
      uncache_table clear_cache refresh_table current_catalog set_current_catalog list_catalogs
      drop_table drop_view create_database drop_database list_partitions list_views
      get_table_properties get_create_table_string truncate_table
    CurrentDatabase:
    SetCurrentDatabase: db_name
    ListDatabases: pattern
    ListTables: db_name pattern
    ListFunctions: db_name pattern
    ListColumns: table_name db_name
    GetDatabase: db_name
    GetTable: table_name db_name
    GetFunction: function_name db_name
    DatabaseExists: db_name
    TableExists: table_name db_name
    FunctionExists: function_name db_name
    CreateTable: table_name path source description schema options
    DropTempView: view_name
    DropGlobalTempView: view_name
    IsCached: table_name
    CacheTable: table_name storage_level
    StorageLevel: use_disk use_memory use_off_heap deserialized replication
    UncacheTable: table_name
    ClearCache:
    RefreshTable: table_name
    CurrentCatalog:
    SetCurrentCatalog: catalog_name
    ListCatalogs: pattern
    DropTable: table_name if_exists purge
    DropView: view_name if_exists
    CreateDatabase: db_name if_not_exists properties
    DropDatabase: db_name if_exists cascade
    ListPartitions: table_name
    ListViews: db_name pattern
    GetTableProperties: table_name
    GetCreateTableString: table_name as_serde
    TruncateTable: table_name
    Command: register_function write_operation create_dataframe_view write_operation_v2
      sql_command get_resources_command register_table_function checkpoint_command
      remove_cached_remote_relation_command merge_into_table_command
    WriteOperation: input source path table mode sort_column_names partitioning_columns options
      with_schema_evolution bucket_by
    WriteOperation.BucketBy: bucket_column_names num_buckets
    WriteOperation.SaveTable: table_name save_method
    CreateDataFrameViewCommand: input name is_global replace
    WriteOperationV2: input table_name provider partitioning_columns options table_properties mode
      overwrite_condition with_schema_evolution
    SqlCommand: sql args pos_args named_arguments pos_arguments input
    GetResourcesCommand:
    CheckpointCommand: relation local eager storage_level
    RemoveCachedRemoteRelationCommand: relation
    MergeIntoTableCommand: target_table_name source_table_plan merge_condition match_actions
      not_matched_actions not_matched_by_source_actions with_schema_evolution
    Plan.CompressedOperation: data op_type compression_codec
"""


def _read(text: str) -> dict[str, frozenset[str]]:
    allowed: dict[str, frozenset[str]] = {}
    name = ""
    for word in text.split():
        if word.endswith(":"):
            name = word.removesuffix(":")
            allowed[name] = frozenset()
        else:
            allowed[name] |= {word}
    return allowed


ALLOWED = _read(_ALLOWED)
"""Fields that may be set, by message; map entries are not listed."""
