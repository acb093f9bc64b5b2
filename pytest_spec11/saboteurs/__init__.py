"""Faults between prover and target, which must turn every claim red."""
