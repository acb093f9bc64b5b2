"""All SQL of the engine: one statement in, core values out."""
