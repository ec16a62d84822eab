{{ config(materialized='incremental', unique_key='id', incremental_strategy='merge') }}
select id, paid, {{ var('run', 1) }} as run
from {{ ref('paid_orders') }}
{% if is_incremental() %}
where id >= (select max(id) from {{ this }})
{% endif %}
