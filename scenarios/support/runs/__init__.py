"""Runs of the engine and what belongs to them.

It may import ``faults``, ``crowds`` and ``contract``.
"""
