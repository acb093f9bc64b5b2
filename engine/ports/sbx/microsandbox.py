"""Machines of microsandbox: small virtual ones, booted here from an image."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from engine.ports.sbx.hosted import Machine
from engine.ports.supervisor.streams import Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Microsandbox:
    """The provider microsandbox, which needs virtualisation and its image."""

    image: str
    memory_mb: int
    wall_ms: int
    net: bool

    name = "microsandbox"

    def lacks(self) -> str | None:
        """Nothing that can be seen before it is tried."""
        return None

    async def machine(self, sdk: Any) -> Machine:
        """A machine of the image. Raises whatever the SDK does."""
        sandbox = await sdk.Sandbox.create(
            f"spec11-{secrets.token_hex(8)}",
            image=self.image,
            memory=self.memory_mb,
            cpus=1,
            ephemeral=True,
            network=None if self.net else sdk.Network.none(),
        )
        return MicrosandboxMachine(sdk, sandbox, self.wall_ms / 1000)


@dataclass(frozen=True, slots=True)
class MicrosandboxMachine:
    """One virtual machine."""

    sdk: Any
    sandbox: Any
    wall_s: float

    async def shell(self, cmd: str, env: dict[str, str], out: Stream, err: Stream) -> int:
        """The exit code. Raises TimeoutError at its wall time."""
        of = {self.sdk.ExecEventType.STDOUT: out, self.sdk.ExecEventType.STDERR: err}
        try:
            handle = await self.sandbox.shell_stream(cmd, env=env, timeout=self.wall_s)
            while (event := await handle.recv()) is not None:
                if event.event_type in of:
                    of[event.event_type].take(event.data or b"")
                elif event.event_type == self.sdk.ExecEventType.EXITED:
                    return int(event.code)
        except self.sdk.ExecTimeoutError as error:
            raise TimeoutError(str(error)) from error
        raise ConnectionError("the machine told no end of the command")

    async def end(self) -> None:
        """There is no such machine any more."""
        await self.sandbox.kill()
