"""Faults that the suite causes itself. It may import ``contract``."""
