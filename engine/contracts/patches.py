"""Bodies of patches. They never hold the content of a file."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from engine.contracts.base import Digest, Millis, View


class PatchView(View):
    """The newest entry of one patch; ``preimageHash`` null: the file did not exist."""

    patch_index: Annotated[int, Field(ge=0)]
    target_path: str
    preimage_hash: Digest | None
    postimage_hash: Digest
    diff_hash: Digest
    applied_at: Millis | None
    rolled_back_at: Millis | None
    created_at: Millis
