"""How what is under test starts and ends: processes, databases, the lease on the target.

It may import ``saboteurs``, ``evidence``, ``requirements`` and the root's values.
"""
