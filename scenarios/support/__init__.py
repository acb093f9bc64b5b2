"""Helpers of the suite, sorted into packages.

``probes`` may import ``runs``; both may import ``faults`` and ``crowds``; all may import
``contract``. ``release`` is separate.
"""
