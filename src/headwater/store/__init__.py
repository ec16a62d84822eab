"""The metastore: one relational database (SQLite by default, Postgres by URL) for everything.

Packages declare their tables on `store.metadata.metadata`; migrations in `store/migrations` create
them. `Database` hands out transactions. Read `database`, `metadata`, `migrate`.
"""
