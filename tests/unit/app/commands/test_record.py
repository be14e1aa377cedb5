"""`banquet record`."""

import json

import pytest
from grpc import StatusCode

CLICK = {"user_id": "u7", "item_id": "i1", "type": "click"}


def test_one_event_is_recorded_with_its_fields(run, gateway):
    """What was said on the command line is what arrives."""
    told = ["--request-id", "r1", "--position", "0", "--value", "4.5", "--event-id", "e1"]
    result = run("record", "--user", "u7", "--item", "i1", "--type", "rating", *told)
    assert result.exit_code == 0
    assert "recorded 1" in result.stdout
    event = gateway.events["e1"]
    assert (event.user_id, event.item_id, event.type, event.request_id, event.position, event.value) == (
        "u7",
        "i1",
        3,
        "r1",
        0,
        4.5,
    )


def test_a_file_is_recorded_in_batches(run, gateway, tmp_path):
    """2,500 lines are three calls, and one receipt."""
    file = tmp_path / "events.jsonl"
    file.write_text("".join(json.dumps({**CLICK, "event_id": f"e{k}"}) + "\n" for k in range(2500)))
    receipt = json.loads(run("record", "--file", str(file), "--json").stdout)
    assert receipt == {"recorded": 2500, "duplicates": 0}
    assert [len(request.events) for request in gateway.requests] == [1000, 1000, 500]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_every_json_line_is_an_event(run, gateway, tmp_path, mark, end):
    """U+2028, U+0085 and the like end no line, a mark harms nothing, and neither do blank lines or Windows' line ends."""
    items = ["sep\u2028ara", "nel\x85", "para\u2029", "form\x0c feed", "plain"]
    lines = [json.dumps({**CLICK, "item_id": item}, ensure_ascii=False) for item in items]
    file = tmp_path / "events.jsonl"
    file.write_bytes((mark + end.join([*lines[:2], "", *lines[2:]])).encode())
    result = run("record", "--file", str(file))
    assert (result.exit_code, result.stdout) == (0, "recorded 5, known already 0\n")
    assert sorted(event.item_id for event in gateway.events.values()) == sorted(items)


def test_lines_are_counted_as_the_file_has_them(run, gateway, tmp_path):
    """Also behind a text that holds a line separator, and behind blank lines."""
    file = tmp_path / "events.jsonl"
    file.write_text(json.dumps({**CLICK, "item_id": "a\u2028b"}, ensure_ascii=False) + "\n\n{\n", encoding="utf-8")
    result = run("record", "--file", str(file))
    assert f"{file}, line 3: is not JSON" in result.stderr
    assert not gateway.requests


def test_a_failure_says_how_far_the_file_came(run, gateway, tmp_path):
    """After a failure in the second batch, the first is recorded and the user knows."""
    file = tmp_path / "events.jsonl"
    file.write_text((json.dumps(CLICK) + "\n") * 1500)
    gateway.fail_when = lambda: (StatusCode.RESOURCE_EXHAUSTED, "queue full") if gateway.events else None
    result = run("record", "--file", str(file))
    assert result.exit_code == 1
    assert result.stderr == "error: queue full (the first 1000 of 1500 events are recorded)\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: is not JSON"),
        ("[1]", "line 2: [1]: must be an object"),
        ('{"user_id": "u7", "type": "click"}', "line 2: field 'item_id' is missing"),
        (json.dumps({**CLICK, "item_id": None}), "line 2: field 'item_id' is missing"),
        (json.dumps({**CLICK, "user": "u7"}), "line 2: field 'user' is unknown"),
        (json.dumps({**CLICK, "user_id": 7}), "line 2: field 'user_id' is 7: must be text"),
        (json.dumps({**CLICK, "position": True}), "line 2: field 'position' is True: must be a whole number"),
        (json.dumps({**CLICK, "position": -1}), "line 2: event position -1: must be 0 to"),
        (json.dumps({**CLICK, "value": "5"}), "line 2: field 'value' is '5': must be a number"),
        (json.dumps({**CLICK, "time": "yesterday"}), "line 2: field 'time' is 'yesterday': must be ISO 8601"),
        (json.dumps({**CLICK, "time": "2026-01-31"}), "line 2: event time 2026-01-31T00:00:00: has no time zone"),
        (
            '{"user_id": "u7", "item_id": "i1", "type": "rating", "value": NaN}',
            "line 2: field 'value' is nan: must be a finite number",
        ),
        ('{"user_id": "u7", "item_id": "i1", "type": "rating", "value": -Infinity}', "line 2: field 'value' is -inf: must be"),
        ('{"user_id": "u7", "item_id": "i1", "type": "rating", "value": 1e400}', "line 2: field 'value' is inf: must be"),
        (json.dumps({**CLICK, "item_id": "x" * 257}), "line 2: field 'item_id' has 257 bytes: must be at most 256"),
        (json.dumps({**CLICK, "event_id": "x" * 129}), "line 2: field 'event_id' has 129 bytes"),
        (json.dumps({**CLICK, "user_id": ""}), "line 2: field 'user_id' is missing"),
        (json.dumps({**CLICK, "item_id": "\ud800"}), "line 2: field 'item_id'"),
        (json.dumps(CLICK) + json.dumps(CLICK), "line 2: is not JSON"),
        ("[" * 100_000, "line 2: is not JSON"),
        (json.dumps({**CLICK, "type": "clik"}), "line 2: event type 'clik': must be one of"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_sent(run, gateway, tmp_path, line, message):
    """File, line, field and remedy in one line, before anything was recorded."""
    file = tmp_path / "events.jsonl"
    file.write_text(json.dumps(CLICK) + "\n" + line + "\n")
    result = run("record", "--file", str(file))
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {file}, {message}")
    assert result.stderr.count("\n") == 1
    assert not gateway.requests


@pytest.mark.parametrize("content", [None, b"", b"\n\n", b"\xff\xfe"])
def test_a_file_without_events_is_one_line(run, gateway, tmp_path, content):
    """Missing, empty, blank or binary: exit code 2 and the file's name."""
    file = tmp_path / "events.jsonl"
    if content is not None:
        file.write_bytes(content)
    result = run("record", "--file", str(file))
    assert result.exit_code == 2
    assert str(file) in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["--user", "u7", "--file", "x"], ["--user", "u7"], ["--item", "i1"]])
def test_either_an_event_or_a_file(run, gateway, arguments):
    """Half an event, both or neither is a usage error."""
    result = run("record", *arguments)
    assert result.exit_code == 2
    assert "--file" in result.stderr
