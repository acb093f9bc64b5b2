"""Witnesses. An oracle reads, records what it read and says no more: no retry, no interpretation."""
