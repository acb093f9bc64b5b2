"""The verdict on a release, and its documents and texts: gate, sign-off, summaries.

It may import ``judge``, ``launch``, and what these may import.
"""
