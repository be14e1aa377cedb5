"""Over a real gRPC channel: events are durable when acknowledged, and bad ones refused with field, value and remedy."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from banquet.api.admission import Admission
from banquet.api.feedback import Feedback
from banquet.api.limits import MIN_PING_INTERVAL_MS, SERVER_OPTIONS
from banquet.api.status import Guard, Methods
from banquet.feedback.event_log import FileEventLog
from banquet.feedback.events import decode
from banquet.v1 import feedback_pb2 as pb
from banquet.v1 import feedback_pb2_grpc as rpc

KEEPALIVE_MS = MIN_PING_INTERVAL_MS + 100
KEEPALIVE = (
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_permit_without_calls", 1),
    # Otherwise a client holds its pings back.
    ("grpc.http2.max_pings_without_data", 0),
)


@pytest.fixture
async def stub(tmp_path: Path) -> AsyncIterator[rpc.FeedbackServiceStub]:
    log = FileEventLog(tmp_path)
    server = grpc.aio.server(options=SERVER_OPTIONS)
    rpc.add_FeedbackServiceServicer_to_server(
        Feedback(log), Methods(server, Guard(Admission(8, "calls"), Admission(1, "streams")))
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=KEEPALIVE) as channel:
        yield rpc.FeedbackServiceStub(channel)
    await server.stop(None)
    await log.close()


def make_event(**fields: object) -> pb.Event:
    event = pb.Event(event_id="e1", type=pb.EVENT_TYPE_CLICK, user_id="u1", item_id="i1")
    event.time.GetCurrentTime()
    for name, value in fields.items():
        setattr(event, name, value)
    return event


def written(folder: Path) -> list[str]:
    return [event.event_id for path in folder.iterdir() if path.is_file() for event in decode(path.read_bytes()).events]


async def test_events_are_counted_once(tmp_path: Path) -> None:
    """For click-through; a batch that repeats something counts for nothing, since which of it is new is not said."""
    log, counted = FileEventLog(tmp_path), []
    feedback = Feedback(log, counted.extend)
    for ids in (["e1", "e2"], ["e2", "e3"], ["e4"]):
        await feedback.RecordEvents(pb.RecordEventsRequest(events=[make_event(event_id=one) for one in ids]), None)
    assert [event.event_id for event in counted] == ["e1", "e2", "e4"]
    await log.close()


async def test_an_acknowledged_event_is_on_disk(stub: rpc.FeedbackServiceStub, tmp_path: Path) -> None:
    """The answer comes after the write, and a repeated id counts once."""
    answer = await stub.RecordEvents(pb.RecordEventsRequest(events=[make_event(), make_event(event_id="e2")]))
    assert (answer.recorded, answer.duplicates) == (2, 0)
    assert written(tmp_path) == ["e1", "e2"]
    again = await stub.RecordEvents(pb.RecordEventsRequest(events=[make_event()]))
    assert (again.recorded, again.duplicates) == (0, 1)


async def test_a_stream_is_acknowledged_batch_by_batch(stub: rpc.FeedbackServiceStub, tmp_path: Path) -> None:
    """Each answer stands for one batch, in order."""
    call = stub.StreamEvents()
    for event_id in ["e1", "e2"]:
        await call.write(pb.StreamEventsRequest(events=[make_event(event_id=event_id)]))
        assert (await call.read()).recorded == 1
        assert written(tmp_path)[-1] == event_id
    await call.done_writing()


def late() -> pb.Event:
    event = make_event()
    event.time.FromSeconds(int(time.time()) + 3600)
    return event


def timeless() -> pb.Event:
    event = make_event()
    event.ClearField("time")
    return event


BAD = {
    "no events": ([], "number of events is 0; allowed: 1 to 1000"),
    "too many": ([make_event(event_id=str(k)) for k in range(1001)], "number of events is 1001; allowed: 1 to 1000"),
    "no type": ([make_event(type=pb.EVENT_TYPE_UNSPECIFIED)], "events[0].type is 0; allowed: EVENT_TYPE_IMPRESSION"),
    "unheard type": ([make_event(type=99)], "events[0].type is 99; allowed: EVENT_TYPE_IMPRESSION"),
    "no id": ([make_event(event_id="")], "events[0].event_id '' has 0 bytes; allowed: 1 to 128 bytes"),
    "no user": ([make_event(), make_event(user_id="")], "events[1].user_id '' has 0 bytes"),
    "long item": ([make_event(item_id="i" * 10_000)], "has 10000 bytes; allowed: 1 to 256 bytes"),
    "future": ([late()], "ahead of the server's clock"),
    "no time": ([timeless()], "events[0].time is missing"),
    "no rating": ([make_event(type=pb.EVENT_TYPE_RATING)], "events[0].value is missing; a rating needs one"),
    "nan": ([make_event(type=pb.EVENT_TYPE_RATING, value=float("nan"))], "events[0].value is nan"),
    "position": ([make_event(position=2**31)], "events[0].position is 2147483648; allowed: 0 to 100000"),
}


@pytest.mark.parametrize(("events", "message"), BAD.values(), ids=BAD.keys())
async def test_a_bad_event_refuses_its_whole_batch(
    stub: rpc.FeedbackServiceStub, tmp_path: Path, events: list[pb.Event], message: str
) -> None:
    """INVALID_ARGUMENT names the event and the field; nothing of the batch is written."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.RecordEvents(pb.RecordEventsRequest(events=events))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert message in (caught.value.details() or "")
    assert written(tmp_path) == []


async def test_a_bad_batch_ends_its_stream(stub: rpc.FeedbackServiceStub) -> None:
    """What was acknowledged before stays; the error says what was wrong."""
    call = stub.StreamEvents()
    await call.write(pb.StreamEventsRequest(events=[make_event(user_id="")]))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def one_event(event: pb.Event) -> AsyncIterator[pb.StreamEventsRequest]:
    yield pb.StreamEventsRequest(events=[event])
    await asyncio.Event().wait()


async def test_an_idle_stream_takes_no_call_its_place_and_streams_are_bounded(stub: rpc.FeedbackServiceStub) -> None:
    """With its one stream open a gateway refuses a second one, and goes on answering calls."""
    stream = stub.StreamEvents(one_event(make_event()))
    assert (await stream.read()).recorded == 1
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.StreamEvents(one_event(make_event(event_id="e2"))).read()
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "1 streams are under way, at most 1 may be" in (refused.value.details() or "")
    for number in range(10):
        assert (await stub.RecordEvents(pb.RecordEventsRequest(events=[make_event(event_id=f"c{number}")]))).recorded == 1
    stream.cancel()


async def test_a_stream_with_keepalive_may_be_idle(stub: rpc.FeedbackServiceStub) -> None:
    """Pings in a row without data between them end no stream."""
    stream = stub.StreamEvents()
    for event_id, pause_s in (("e1", 6 * KEEPALIVE_MS / 1e3), ("e2", 0)):
        await stream.write(pb.StreamEventsRequest(events=[make_event(event_id=event_id)]))
        assert (await stream.read()).recorded == 1
        await asyncio.sleep(pause_s)
    await stream.done_writing()


async def test_a_connection_with_keepalive_may_have_no_calls() -> None:
    """Pings between calls end no connection."""
    server = grpc.aio.server(options=SERVER_OPTIONS)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=KEEPALIVE) as channel:
        await channel.channel_ready()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(channel.wait_for_state_change(grpc.ChannelConnectivity.READY), 6 * KEEPALIVE_MS / 1e3)
    await server.stop(None)
