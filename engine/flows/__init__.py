"""Workflows: control only. Every read, write and wait is a step of the durable engine."""
