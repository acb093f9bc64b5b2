"""Mutants: small changes of what a test reads, so that its assertions are seen red.

Pure: values in, values out. Where a reading is changed is the business of the session.
"""
