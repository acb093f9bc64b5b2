"""What clients ask of the engine, one function each. May import adapters, contracts and core."""
