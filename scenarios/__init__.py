"""The suite: one file a scenario, S00 to S15, seeing the engine only through oracles."""
