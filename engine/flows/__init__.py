"""Durable workflows, run by workers only: control, and one step per effect."""
