"""Machines of e2b: hosted, and asked for with a key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine.ports.sbx.hosted import Machine
from engine.ports.supervisor.streams import Stream

SPARE_S = 60  # beyond the command's wall time the machine ends by itself


@dataclass(frozen=True, slots=True, kw_only=True)
class E2b:
    """The provider e2b. Where its API is, is told to its SDK by its own variables."""

    key: str | None = field(repr=False)
    template: str | None
    wall_ms: int
    net: bool

    name = "e2b"

    def lacks(self) -> str | None:
        """The key."""
        return None if self.key else "E2B_API_KEY is not set"

    async def machine(self, sdk: Any) -> Machine:
        """A machine of the template. Raises whatever the SDK does."""
        sandbox = await sdk.AsyncSandbox.create(
            template=self.template,
            timeout=self.wall_ms // 1000 + SPARE_S,
            allow_internet_access=self.net,
            api_key=self.key,
        )
        return E2bMachine(sdk, sandbox, self.wall_ms / 1000)


@dataclass(frozen=True, slots=True)
class E2bMachine:
    """One sandbox of e2b."""

    sdk: Any
    sandbox: Any
    wall_s: float

    async def shell(self, cmd: str, env: dict[str, str], out: Stream, err: Stream) -> int:
        """The exit code. Raises TimeoutError at its wall time."""
        try:
            ended = await self.sandbox.commands.run(
                cmd,
                envs=env,
                timeout=self.wall_s,
                on_stdout=lambda text: out.take(text.encode()),
                on_stderr=lambda text: err.take(text.encode()),
                retain_output=False,
            )
        except self.sdk.CommandExitException as failed:
            return int(failed.exit_code)
        except self.sdk.TimeoutException as error:
            raise TimeoutError(str(error)) from error
        return int(ended.exit_code)

    async def end(self) -> None:
        """There is no such machine any more."""
        await self.sandbox.kill()
