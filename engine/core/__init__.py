"""Pure rules of the engine: values in, value or error out; the standard library only."""
