"""Helpers of the suite, in rooms.

``probes`` may import ``runs``; both may import ``faults`` and ``crowds``; all may import
``contract``. ``release`` stands apart.
"""
