"""The warden: a process of its own that runs one command of the local sandbox, and ends all of it.

Started bare (no site, no environment), it needs the standard library and Linux alone.
"""
