"""The suite: one file a scenario, S00 to S15. It sees the engine only through the prover's oracles."""
