"""The supervisor: a process that runs one command of the local sandbox, and ends all of it.

Started bare (no site, no environment), it needs the standard library and Linux alone.
"""
