"""What a user's process may import to reach a server: no server code, heavy imports only when used.

`endpoint` finds the server (a home's `ready.json`, or a login); `connection` talks to it.
"""
