"""What a run leaves on disk, and what binds it to a commit.

It may import ``requirements`` and the root's values.
"""
