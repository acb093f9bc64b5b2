"""A tap on an OpenCode server's wire, as `python -m scenarios.doubles.tap URL FILE`.

It passes each request on to the server at URL, and the answer back, both as they are. Each exchange
is one line of FILE, written before it is answered.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from typing_extensions import override

from scenarios.doubles import serving

WITHIN_S = 60.0


class Tap(serving.Handler):
    """One exchange."""

    file: Path
    tapped: str
    turn = threading.Lock()

    @override
    def handle_request(self, method: str) -> None:
        """The request goes through, and is written down with its answer."""
        sent = self.body()
        wire = http.client.HTTPConnection(self.tapped, timeout=WITHIN_S)
        try:
            body = None if sent is None else json.dumps(sent).encode()
            headers = {} if body is None else {"content-type": "application/json"}
            wire.request(method, self.path, body, headers)
            answer = wire.getresponse()
            content = answer.read()
        finally:
            wire.close()
        kind = answer.headers.get("content-type", "")
        said = json.loads(content) if kind.startswith("application/json") else content.decode()
        cursor = answer.headers.get("x-next-cursor")
        self._keep(
            {
                "method": method, "path": self.path, "sent": sent,
                "status": answer.status, "contentType": kind, "cursor": cursor, "said": said,
            }
        )  # fmt: skip
        self.answer(answer.status, kind, content, {"x-next-cursor": cursor} if cursor else {})

    def _keep(self, exchange: dict[str, Any]) -> None:
        with self.turn, self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(exchange) + "\n")


if __name__ == "__main__":
    Tap.tapped, Tap.file = urlsplit(sys.argv[1]).netloc, Path(sys.argv[2])
    serving.serve(Tap)
