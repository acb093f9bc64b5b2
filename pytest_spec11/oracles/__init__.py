"""Oracles. An oracle reads the target and records what it read: no retry, no interpretation."""
