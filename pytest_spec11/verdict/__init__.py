"""The verdict on a release and how it is written down: gate, sign-off, summaries.

It may import ``judge``, ``launch`` and what these may import.
"""
