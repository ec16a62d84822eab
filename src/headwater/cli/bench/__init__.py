"""`headwater bench`: every performance claim, as a ratio of both sides in one run."""

from headwater.cli.bench.command import app

__all__ = ["app"]
