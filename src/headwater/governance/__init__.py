"""Who may do what: principals, grants, row filters, column masks, audit, and the governed scan.

Read `access` first: its `AccessRequest` is the only door to tables. `decide` holds the rules as
pure functions over a `state.State`, `policy` changes that state, `identity` and `tokens` say who
calls, `browse` lists what a caller may see, `audit` keeps the record, `statements` runs the SQL.
"""
