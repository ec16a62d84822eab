"""The JSON and Arrow API below `/api/v1`: one file of routes a noun.

`context` gives routes the caller and the running parts; `problems` turns errors into answers.
"""
