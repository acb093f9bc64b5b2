"""One pytest process that proves: hooks, records and the runtime of a run.

It may import every room but ``plugin`` and ``fixtures``, which import it.
"""
