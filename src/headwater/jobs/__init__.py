"""Job runs: `service` takes and shows them, `driver` carries them out, `kinds` say how.

The metastore's tables are the truth. User code runs below a small runner process (`runner`) that
outlives the server.
"""
