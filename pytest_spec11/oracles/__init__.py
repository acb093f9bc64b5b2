"""Witnesses. An oracle reads and records what it read: no retry, no interpretation."""
