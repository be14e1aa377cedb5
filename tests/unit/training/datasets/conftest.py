from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

INTERACTIONS = """user_id,item_id,event_time,value
a,x,2024-05-01 10:00:00,5
b,x,2024-05-01 09:00:00,3
a,y,2024-05-01 08:00:00,4
"""
USERS = "user_id,age,town\na,31,Rome\nb,,Oslo\n"
ITEMS = "item_id,title,genres,price\nx,The X,Drama|War,2.5\ny,The Y,,1\n"


@pytest.fixture
def shop(tmp_path: Path) -> Callable[..., Path]:
    """Writes a folder of CSV tables; a keyword replaces one, None leaves it out."""

    def write(interactions: str | None = INTERACTIONS, users: str | None = USERS, items: str | None = ITEMS) -> Path:
        folder = tmp_path / "shop"
        folder.mkdir(exist_ok=True)
        for name, text in (("interactions", interactions), ("users", users), ("items", items)):
            if text is not None:
                (folder / f"{name}.csv").write_text(text)
        return folder

    return write


@dataclass
class Owner:
    """A real HTTP server of one file, which can cut an answer short, ignore ranges or fail, in that order of requests."""

    content: bytes
    url: str = ""
    cut_after: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    ranges: bool = True
    asked: list[str | None] = field(default_factory=list)


@pytest.fixture
def owner() -> Iterator[Owner]:
    state = Owner(bytes(range(256)) * 4096)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.asked.append(wanted)
            if state.statuses:
                self.send_error(state.statuses.pop(0))
                return
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and state.ranges else 0
            if start >= len(state.content) > 0:
                self.send_error(416)
                return
            body = state.content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: state.cut_after.pop(0)] if state.cut_after else body)

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    yield state
    server.shutdown()
    server.server_close()
    thread.join()
