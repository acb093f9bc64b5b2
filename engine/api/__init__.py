"""Delivery over HTTP: parse, one use case, reply."""
