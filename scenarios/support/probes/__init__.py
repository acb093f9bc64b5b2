"""Requests that try to break a rule.

It may import every other room but ``release``.
"""
