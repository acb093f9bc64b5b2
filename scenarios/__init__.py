"""The suite: tests of scenarios S00 to S15, which see the engine only through oracles."""
