"""Processes that stand in for what the engine talks to: a model, and a server of agents."""
