"""Wire models: closed, frozen, strict."""
