"""What clients ask of the engine, one function each. It may import adapters, contracts and core."""
