-- trino
SELECT name, ssn FROM emp WHERE id = 2;
WITH "hw$relation$0" AS MATERIALIZED (SELECT "id", "name", (REPEAT('*', CAST(GREATEST(LENGTH("ssn") - 4, 0) AS BIGINT)) || RIGHT("ssn", 4)) AS "ssn" FROM ICEBERG_SCAN('emp') WHERE ("region" = 'EU')) SELECT "emp$1"."name" AS "name", "emp$1"."ssn" AS "ssn" FROM "hw$relation$0" AS "emp$1" WHERE "emp$1"."id" = 2;

-- trino
SELECT count(*) FROM emp;
WITH "hw$relation$0" AS MATERIALIZED (SELECT 1 AS "hw$row" FROM ICEBERG_SCAN('emp') WHERE ("region" = 'EU')) SELECT COUNT(*) AS "_col0" FROM "hw$relation$0" AS "emp$1";

-- trino
SELECT e.name FROM emp e JOIN dept d USING (region) WHERE d.id = 1;
WITH "hw$relation$0" AS MATERIALIZED (SELECT "name", "region" FROM ICEBERG_SCAN('emp') WHERE ("region" = 'EU')) SELECT "e$1"."name" AS "name" FROM "hw$relation$0" AS "e$1" JOIN (SELECT "id", "region" FROM ICEBERG_SCAN('dept')) AS "d$2" ON "e$1"."region" = "d$2"."region" WHERE "d$2"."id" = 1;

-- trino
SELECT * FROM (SELECT * FROM dept) q WHERE q.id = 1;
SELECT "q$2"."id" AS "id", "q$2"."name" AS "name", "q$2"."region" AS "region" FROM (SELECT "dept$1"."id" AS "id", "dept$1"."name" AS "name", "dept$1"."region" AS "region" FROM (SELECT "id", "name", "region" FROM ICEBERG_SCAN('dept')) AS "dept$1") AS "q$2" WHERE "q$2"."id" = 1;

-- trino
WITH x AS (SELECT id, name FROM emp) SELECT name FROM x;
WITH "hw$relation$0" AS MATERIALIZED (SELECT "name" FROM ICEBERG_SCAN('emp') WHERE ("region" = 'EU')), "x$1" AS (SELECT "emp$2"."name" AS "name" FROM "hw$relation$0" AS "emp$2") SELECT "x$3"."name" AS "name" FROM "x$1" AS "x$3";

-- trino
SELECT id FROM emp FOR VERSION AS OF 7;
WITH "hw$relation$0" AS MATERIALIZED (SELECT "id" FROM ICEBERG_SCAN('emp', "snapshot_from_id" := 42) WHERE ("region" = 'EU')) SELECT "emp$1"."id" AS "id" FROM "hw$relation$0" AS "emp$1";

-- trino
SELECT id FROM empty;
SELECT "empty$1"."id" AS "id" FROM (SELECT CAST(NULL AS BIGINT) AS "id" WHERE FALSE) AS "empty$1";

-- trino
SELECT id, k FROM facts CROSS JOIN UNNEST(m) AS t(k, v), dept;
SELECT "dept$8"."id" AS "id", "t$3"."key$6" AS "k" FROM (SELECT "m" FROM ICEBERG_SCAN('facts')) AS "facts$1" JOIN LATERAL (SELECT "unnested$2"."value$4" AS "key$6", "unnested$2"."value$5" AS "value$7" FROM (SELECT UNNEST(MAP_KEYS("facts$1"."m")) AS "value$4", UNNEST(MAP_VALUES("facts$1"."m")) AS "value$5") AS "unnested$2") AS "t$3" ON TRUE CROSS JOIN (SELECT "id" FROM ICEBERG_SCAN('dept')) AS "dept$8";

-- trino
SELECT i / b, sum(i) OVER (PARTITION BY d) FROM facts;
SELECT ("facts$1"."i" // CASE WHEN "facts$1"."b" = 0 THEN CAST('headwater: division by zero' AS TINYINT) ELSE "facts$1"."b" END) AS "_col0", CAST(SUM("facts$1"."i") OVER (PARTITION BY "facts$1"."d") AS BIGINT) AS "_col1" FROM (SELECT "i", "b", "d" FROM ICEBERG_SCAN('facts')) AS "facts$1";

-- spark
SELECT explode(arr) FROM facts;
SELECT UNNEST("facts$1"."arr") AS "EXPLODE(arr)" FROM (SELECT "arr" FROM ICEBERG_SCAN('facts')) AS "facts$1";

-- duckdb
SELECT emp FROM emp;
WITH "hw$relation$0" AS MATERIALIZED (SELECT "id", "name", (REPEAT('*', CAST(GREATEST(LENGTH("ssn") - 4, 0) AS BIGINT)) || RIGHT("ssn", 4)) AS "ssn", "region" FROM ICEBERG_SCAN('emp') WHERE ("region" = 'EU')) SELECT {'id': "emp$1"."id", 'name': "emp$1"."name", 'ssn': "emp$1"."ssn", 'region': "emp$1"."region"} AS "emp" FROM "hw$relation$0" AS "emp$1";

-- duckdb
FROM dept SELECT name ORDER BY ALL;
SELECT "dept$1"."name" AS "name" FROM (SELECT "name" FROM ICEBERG_SCAN('dept')) AS "dept$1" ORDER BY 1;

-- trino
SELECT id FROM emp UNION ALL SELECT id FROM dept ORDER BY id LIMIT 2;
WITH "hw$relation$0" AS MATERIALIZED (SELECT "id" FROM ICEBERG_SCAN('emp') WHERE ("region" = 'EU')) SELECT "emp$1"."id" AS "id" FROM "hw$relation$0" AS "emp$1" UNION ALL SELECT "dept$2"."id" AS "id" FROM (SELECT "id" FROM ICEBERG_SCAN('dept')) AS "dept$2" ORDER BY 1 LIMIT 2;
