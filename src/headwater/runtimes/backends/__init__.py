"""Where runs and sessions execute: one protocol (`backend`), one implementation for each place."""
