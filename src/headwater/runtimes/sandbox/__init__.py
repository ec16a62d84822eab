"""The sandbox of user code: files, processes, network and resources that it may use, nothing else.

`sandbox` is the interface: `level()` and `command()`. `confine` is the small program that runs
between the server and the confined command.
"""
