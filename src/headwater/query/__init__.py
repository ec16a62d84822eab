"""Statements from text to rows: sessions, the queue, the pipeline of stages, results and history.

Read `service` (what gateways call), `pipeline` (the ordered tuple of stages), `resolver` (how a
name becomes a governed scan).
"""
