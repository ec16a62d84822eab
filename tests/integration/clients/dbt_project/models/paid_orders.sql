{{ config(materialized='table') }}
select o.id, o.region, o.card, p.amount as paid
from {{ source('shop', 'orders') }} o
join {{ ref('payments') }} p on p.order_id = o.id
