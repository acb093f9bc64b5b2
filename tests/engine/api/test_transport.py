from __future__ import annotations

import asyncio

from typing_extensions import override

from engine.api.transport import JoiningTransport


class Sink(asyncio.Transport):
    """A transport that keeps what it was given, and says that nothing of it was taken."""

    def __init__(self) -> None:
        super().__init__()
        self.packets: list[bytes] = []
        self.closed = False

    @override
    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.packets.append(bytes(data))

    @override
    def close(self) -> None:
        self.closed = True

    @override
    def abort(self) -> None:
        self.closed = True

    @override
    def is_closing(self) -> bool:
        return self.closed

    @override
    def get_write_buffer_size(self) -> int:
        return sum(map(len, self.packets))


async def turn() -> None:
    """The loop has made one turn."""
    await asyncio.sleep(0)


def test_what_is_written_in_one_turn_is_one_packet() -> None:
    async def main() -> list[bytes]:
        transport = JoiningTransport(sink := Sink(), asyncio.get_running_loop())
        transport.write(b"head ")
        transport.write(b"body")
        assert (sink.packets, transport.get_write_buffer_size()) == ([], 9)
        await turn()
        transport.write(b"next")
        await turn()
        return sink.packets

    assert asyncio.run(main()) == [b"head body", b"next"]


def test_a_close_sends_what_is_held_and_an_abort_drops_it() -> None:
    async def main() -> tuple[list[bytes], list[bytes]]:
        loop = asyncio.get_running_loop()
        closing, aborting = Sink(), Sink()
        for sink, end in ((closing, "close"), (aborting, "abort")):
            transport = JoiningTransport(sink, loop)
            transport.write(b"last")
            getattr(transport, end)()
            assert sink.closed
        await turn()
        return closing.packets, aborting.packets

    assert asyncio.run(main()) == ([b"last"], [])
