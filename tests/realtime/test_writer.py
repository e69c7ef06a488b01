import asyncio
from typing import Any

from matcher.realtime.endings import BUSY, SLOW
from matcher.realtime.server_protocol import Wire
from matcher.realtime.writer import Writer


class Socket:
    """An ASGI `send`, and a wire, that can be held up or broken."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.open = asyncio.Event()
        self.open.set()
        self.broken = False
        self.written: list[bytes] = []
        self.aborted = False

    @property
    def wire(self) -> Wire:
        return Wire(write=self.write, abort=self.abort)

    def write(self, frame: bytes) -> bool:
        if self.open.is_set():
            self.written.append(frame)
        return self.open.is_set()

    def abort(self) -> None:
        self.aborted = True

    async def send(self, message: Any) -> None:
        await self.open.wait()
        if self.broken:
            raise ConnectionResetError
        self.sent.append(message.get("text", message.get("code")))


async def test_frames_leave_in_order_and_the_close_frame_last() -> None:
    socket = Socket()
    writer = Writer(socket.send, bytes_max=100)
    writer.put(b"a")
    writer.put(b"b")
    writer.close(BUSY)
    writer.put(b"after the end")
    await writer.finish(1.0)

    assert socket.sent == ["a", "b", 4003]


async def test_a_full_writer_takes_nothing_more() -> None:
    socket = Socket()
    socket.open.clear()
    writer = Writer(socket.send, bytes_max=10)

    assert writer.put(b"x" * 6)
    assert writer.room_bytes == 4
    assert not writer.put(b"y" * 5)
    assert writer.put(b"y" * 4)

    socket.open.set()
    await writer.drain()
    assert socket.sent == ["xxxxxx", "yyyy"]
    assert writer.room_bytes == 10


async def test_a_frame_above_the_bound_goes_out_alone() -> None:
    socket = Socket()
    writer = Writer(socket.send, bytes_max=10)

    assert writer.put(b"x" * 20)
    assert not writer.put(b"y")
    await writer.drain()
    assert writer.put(b"y")
    await writer.finish(1.0)
    assert socket.sent == ["x" * 20, "y"]


async def test_a_slow_reader_gets_the_close_frame_instead_of_the_rest() -> None:
    socket = Socket()
    socket.open.clear()
    writer = Writer(socket.send, bytes_max=100)
    writer.put(b"a")
    writer.put(b"b")
    await asyncio.sleep(0)  # the first frame is on its way
    writer.close(SLOW, discard=True)
    socket.open.set()
    await writer.finish(1.0)

    assert socket.sent == ["a", 4001]


async def test_finishing_gives_up_on_a_client_that_takes_nothing() -> None:
    socket = Socket()
    socket.open.clear()
    writer = Writer(socket.send, bytes_max=100)
    writer.put(b"a")
    writer.close(BUSY)
    await writer.finish(0.01)
    await asyncio.sleep(0)

    socket.open.set()
    await asyncio.sleep(0)
    assert socket.sent == []


async def test_a_client_that_has_gone_costs_nothing_more() -> None:
    socket = Socket()
    socket.broken = True
    writer = Writer(socket.send, bytes_max=5)
    writer.put(b"a")
    await writer.drain()

    assert all(writer.put(b"bbbb") for _ in range(10))
    writer.close(BUSY)
    await writer.finish(1.0)
    assert socket.sent == []


async def test_an_idle_writer_has_no_task() -> None:
    socket = Socket()
    writer = Writer(socket.send, bytes_max=100)
    writer.put(b"a")
    await writer.drain()
    before = asyncio.all_tasks()

    assert before == {asyncio.current_task()}


async def test_with_a_wire_a_frame_that_need_not_wait_is_written_at_once() -> None:
    socket = Socket()
    writer = Writer(socket.send, bytes_max=10, wire=socket.wire)

    assert writer.put(b"x" * 100)
    assert socket.written == [b"x" * 100]
    assert writer.room_bytes == 10


async def test_with_a_wire_frames_keep_their_order() -> None:
    socket = Socket()
    writer = Writer(socket.send, bytes_max=10, wire=socket.wire)
    socket.open.clear()
    writer.put(b"waits")
    socket.open.set()
    writer.put(b"too")
    await writer.drain()
    writer.put(b"later")
    writer.close(BUSY)
    await writer.finish(1.0)

    assert socket.written == [b"later"]
    assert socket.sent == ["waits", "too", 4003]
    assert not socket.aborted


async def test_with_a_wire_a_client_that_takes_nothing_is_dropped() -> None:
    socket = Socket()
    socket.open.clear()
    writer = Writer(socket.send, bytes_max=100, wire=socket.wire)
    writer.put(b"a")
    writer.close(BUSY)
    await writer.finish(0.01)

    assert socket.aborted
