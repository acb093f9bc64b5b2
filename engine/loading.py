"""Loading modules without looking for garbage among them."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def pause_collection() -> Iterator[None]:
    """Within the block no garbage is collected; what it made is never looked at again.

    A module that is loaded stays, so each look at what modules made is in vain. They took a fifth
    of the processor time of a start, and later a pause in each full collection.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
