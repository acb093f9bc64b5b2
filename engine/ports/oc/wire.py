"""What we read of an OpenCode server's answers; whatever else stands in them is its own business.

Measured on 1.18.33: unknown paths answer 200 with a page of HTML, so no status alone means yes.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class Part(BaseModel):
    """A piece of the daemon's JSON: open, since newer servers say more, but uncoerced."""

    model_config = ConfigDict(frozen=True, strict=True)


class Health(Part):
    """Of ``GET /global/health``. ``server`` is only said by what is no OpenCode server."""

    healthy: Literal[True]
    version: Annotated[str, Field(min_length=1, max_length=100)]
    server: Annotated[str, Field(min_length=1, max_length=100)] = "opencode"


class Agent(Part):
    """One of ``GET /agent``."""

    name: str


class Session(Part):
    """Of ``POST /session``, and each of its children."""

    id: Annotated[str, Field(pattern=r"^ses_[A-Za-z0-9_-]{1,100}$")]
    parent_id: str | None = Field(default=None, alias="parentID")


class ErrorData(Part):
    """What a named error says."""

    message: str = ""


class NamedError(Part):
    """How the daemon says no."""

    name: str
    data: ErrorData = ErrorData()

    @property
    def description(self) -> str:
        """Its name and its words."""
        return f"{self.name}: {self.data.message}" if self.data.message else self.name


class Info(Part):
    """About one message. ``structured`` is there when the model kept to the schema."""

    id: str
    role: Literal["assistant", "user"]
    structured: Any = None
    error: NamedError | None = None


class MessagePart(Part):
    """A piece of a message; of those of type ``tool`` we want to know which."""

    type: str
    tool: Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")] | None = None


class Message(Part):
    """Of ``POST /session/:id/message``, and each of ``GET /session/:id/message``."""

    info: Info
    parts: list[MessagePart]

    @property
    def tools(self) -> tuple[str, ...]:
        """The tools that it called, or tried to, in order."""
        return tuple(part.tool or "" for part in self.parts if part.type == "tool")


HEALTH = TypeAdapter(Health)
AGENTS = TypeAdapter(list[Agent])
SESSION = TypeAdapter(Session)
SESSIONS = TypeAdapter(list[Session])
MESSAGE = TypeAdapter(Message)
MESSAGES = TypeAdapter(list[Message])
REFUSAL = TypeAdapter(NamedError)
TRUTH = TypeAdapter(bool)
