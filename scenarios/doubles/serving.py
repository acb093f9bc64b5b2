"""How a double serves HTTP: JSON in, JSON out, on a free port of loopback that it prints."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from typing_extensions import override


class Handler(BaseHTTPRequestHandler):
    """One request at a time of one connection, and no word on standard error."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:  # the name that the base looks for
        """A GET."""
        self.handle_request("GET")

    def do_POST(self) -> None:  # the name that the base looks for
        """A POST."""
        self.handle_request("POST")

    def handle_request(self, method: str) -> None:
        """The request, answered."""
        raise NotImplementedError(method)

    @override
    def log_message(self, format: str, *args: Any) -> None:  # its name in the base
        """Nothing: what matters is written down where a test reads it."""

    def body(self) -> Any:
        """The JSON that was sent; None for nothing."""
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        return json.loads(raw) if raw else None

    def answer(
        self, status: int, kind: str, content: bytes, headers: Mapping[str, str] | None = None
    ) -> None:
        """The whole answer."""
        self.send_response(status)
        for name, value in {"content-type": kind, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def answer_json(self, value: Any, status: int = 200) -> None:
        """The whole answer, as JSON."""
        self.answer(status, "application/json", json.dumps(value).encode())


def serve(handler: type[Handler]) -> None:
    """Until the process is ended; the ready line names the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    sys.stdout.write(f"double listening on http://127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
