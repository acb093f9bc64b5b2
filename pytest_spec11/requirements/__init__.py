"""What a release must prove: the catalogue of claims and the policy.

It may import only the root's values.
"""
