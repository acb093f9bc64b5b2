"""Starts and ends the system under test: processes, databases, the lease on the target.

It may import ``saboteurs``, ``evidence``, ``requirements`` and the root's values.
"""
