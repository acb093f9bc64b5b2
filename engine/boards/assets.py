"""The files that pages need. The digest in a name is that of its content, so a copy never ages."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from engine.errors import Missing

FOLDER: Final = Path(__file__).with_name("static")
TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
FOR_EVER: Final = "public, max-age=31536000, immutable"


@cache
def _load() -> dict[str, tuple[str, bytes]]:
    """Path and content of each file, by its plain name."""
    found = {}
    for file in sorted(FOLDER.iterdir()):
        if file.suffix in TYPES:
            content = file.read_bytes()
            digest = sha256(content).hexdigest()[:16]
            found[file.name] = (f"/assets/{file.stem}.{digest}{file.suffix}", content)
    return found


def locate(name: str) -> str:
    """The path of a file, with its digest."""
    return _load()[name][0]


async def serve(request: Request) -> Response:
    """``GET /assets/NAME``: a file by the name that has its digest."""
    wanted = f"/assets/{request.path_params['name']}"
    for path, content in _load().values():
        if path == wanted:
            kind = TYPES[Path(path).suffix]
            return Response(content, headers={"cache-control": FOR_EVER}, media_type=kind)
    raise Missing("not found")


async def serve_icon(request: Request) -> Response:
    """``GET /favicon.ico``."""
    del request
    _, content = _load()["favicon.svg"]
    return Response(content, headers={"cache-control": FOR_EVER}, media_type=TYPES[".svg"])
