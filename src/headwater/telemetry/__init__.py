"""What the server tells about itself: structured logs (`logs`) and metrics (`metrics`).

Neither carries secrets, literals of statements or data of tables. Audit is not logging: it is a
table, written in the transaction of what it records.
"""
