"""The server: composes the parts, serves HTTP and HTTPS from one process, starts and stops.

`compose` is the only place that knows concrete classes; `lifecycle` is `headwater up`; `app` puts
the gateways and the JSON API (`api`) behind one guard. Read those three first.
"""
