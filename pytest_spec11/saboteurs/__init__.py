"""Faults put between prover and target, so that every claim has been seen red."""
