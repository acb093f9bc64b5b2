"""What a release has to prove: the catalogue of claims and the policy.

It may import the root's values alone.
"""
