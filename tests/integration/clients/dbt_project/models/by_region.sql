{{ config(materialized='view') }}
select region, count(*) as orders, sum(paid) as paid
from {{ ref('paid_orders') }}
group by region
