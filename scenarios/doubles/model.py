"""A model by the OpenAI chat protocol, as `python -m scenarios.doubles.model`.

It hands in the plan or the build that the schema asks for. Words of the prompt make it do else:
``MODEL-CALLS-bash`` calls that tool first, ``MODEL-HANGS`` never answers.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

from typing_extensions import override

from scenarios.doubles import serving
from scenarios.doubles.answers import BUILD, PLAN

HANGS = "MODEL-HANGS"
CALLS_BASH = "MODEL-CALLS-bash"
HAND_IN = "StructuredOutput"
MODEL = "double-1"


class Model(serving.Handler):
    """One completion, streamed."""

    @override
    def handle_request(self, method: str) -> None:
        """``POST /v1/chat/completions``."""
        asked = self.body()
        said = json.dumps(asked["messages"])
        if HANGS in said:
            threading.Event().wait()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for chunk in chunks(asked, said):
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True


def chunks(asked: dict[str, Any], said: str) -> Iterator[dict[str, Any]]:
    """The pieces of the answer: one delta, then why it ended."""
    schemas = {
        tool["function"]["name"]: tool["function"]["parameters"] for tool in asked.get("tools", [])
    }
    if CALLS_BASH in said and "call_bash" not in said:
        delta, why = call("bash", {"command": "true", "description": "does nothing"}), "tool_calls"
    elif HAND_IN in schemas:
        wanted = PLAN if "design" in schemas[HAND_IN]["properties"] else BUILD
        delta, why = call(HAND_IN, wanted), "tool_calls"
    else:
        delta, why = {"role": "assistant", "content": "a title"}, "stop"
    yield piece(delta, None)
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    yield piece({}, why) | {"usage": usage}


def call(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The delta that calls a tool."""
    function = {"name": tool, "arguments": json.dumps(arguments)}
    made = {"index": 0, "id": f"call_{tool}", "type": "function", "function": function}
    return {"role": "assistant", "tool_calls": [made]}


def piece(delta: dict[str, Any], why: str | None) -> dict[str, Any]:
    """One chunk of the stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": why}
    about = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    return about | {"choices": [choice]}


if __name__ == "__main__":
    serving.serve(Model)
