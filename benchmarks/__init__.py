"""What the engine and the prover cost, measured against stated goals.

`python -m benchmarks` measures everything that ``registry`` names. Nothing here is a test.
"""
