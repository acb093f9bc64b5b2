"""The hooks, records and runtime of one pytest process that proves claims.

It may import every package except ``plugin`` and ``fixtures``, which import it.
"""
