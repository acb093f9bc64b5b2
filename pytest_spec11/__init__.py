"""The prover: black-box oracles, evidence and a fail-closed GO / NO_GO verdict for pytest.

The root exports nothing: a module without a leading underscore is public and imported by its path.
"""
