"""The supervisor: a process that runs one command of the local sandbox and ends it completely.

It starts without ``site`` and environment, and needs only the standard library and Linux.
"""
