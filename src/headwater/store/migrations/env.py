"""Alembic asks for this file; `headwater.store.migrate` runs migrations on its own connection."""
