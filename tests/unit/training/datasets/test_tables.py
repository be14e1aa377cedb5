"""Kinds of tables: files with any ending, folders of part files, JSON lines, lists, types of events."""

from __future__ import annotations

import gzip
import zipfile
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from banquet.core.declared import VIEWS
from banquet.core.errors import BadData, BadSettings
from banquet.training.datasets.dropping import Dropping
from banquet.training.datasets.importing import Reading, import_data
from banquet.training.datasets.source import TextFormat
from banquet.training.datasets.tabular import Naming, parse_event_types

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "user_id,item_id,event_time\n"


def write_parts(folder: Path, *contents: str, ending: str = ".csv") -> Path:
    """A folder as Spark leaves it."""
    folder.mkdir(parents=True)
    (folder / "_SUCCESS").touch()
    for number, content in enumerate(contents):
        (folder / f"part-0000{number}-6a1b-c000{ending}").write_text(content)
        (folder / f".part-0000{number}-6a1b-c000{ending}.crc").write_bytes(b"crc")
    return folder


def test_a_folder_of_csv_parts_is_one_table(tmp_path: Path) -> None:
    """With a header in each, and parts without rows or bytes; types are those of all parts together."""
    shop = tmp_path / "shop"
    write_parts(shop / "interactions", f"{HEADER}a,x,2024-05-01\n", "", HEADER, f"{HEADER}b,y,2024-05-02\n")
    write_parts(shop / "users.csv", "user_id,zip\na,1\n", "user_id,zip\nb,07\n")
    made = import_data(shop)
    assert (made.name, made.interactions["user_id"].to_pylist()) == ("shop", ["a", "b"])
    assert made.users["zip"].to_pylist() == ["1", "07"]


def test_an_error_in_a_part_names_the_part(tmp_path: Path) -> None:
    """And the line in it; parts are read in the order of their names."""
    folder = write_parts(tmp_path / "events", f"{HEADER}a,x,2024-05-01\n", f"{HEADER}b,y,2024-05-02\n,y,2024-05-02\n")
    with pytest.raises(BadData, match=r"events, line 3 of part-00001-6a1b-c000\.csv, column 'user_id': the id is missing"):
        import_data(folder)


def test_parquet_parts_with_partitions_are_one_table(tmp_path: Path) -> None:
    """A folder `event_type=click` stands for a column; escaped values are what they were."""
    for kind, user in (("click", "a"), ("purchase", "b")):
        folder = tmp_path / "events.parquet" / f"event_type={kind}" / "day=2024-05-01%2010%3A00"
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"user_id": [user], "item_id": ["x"]}), folder / "part-0.snappy.parquet")
    made = import_data(tmp_path / "events.parquet", reading=Reading(Naming({"event_time": "day"})))
    rows = made.interactions.to_pylist()
    assert [(row["user_id"], row["event_type"], row["event_time"].hour) for row in rows] == [
        ("a", "click", 10),
        ("b", "purchase", 10),
    ]


def test_parts_of_different_types_are_one_line(tmp_path: Path) -> None:
    """As is a folder with parts of different kinds, and one without any."""
    folder = tmp_path / "events"
    folder.mkdir()
    pq.write_table(pa.table({"user_id": ["a"], "item_id": ["x"], "event_time": [1]}), folder / "part-0.parquet")
    pq.write_table(pa.table({"user_id": [["a"]], "item_id": ["x"], "event_time": [1]}), folder / "part-1.parquet")
    with pytest.raises(BadData, match="events: its part files have columns of different types"):
        import_data(folder)
    (folder / "part-1.parquet").unlink()
    (folder / "part-1.csv").write_text(f"{HEADER}a,x,1\n")
    with pytest.raises(BadData, match="events: has part files of different kinds"):
        import_data(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadData, match="empty: a folder without part files"):
        import_data(folder / "part-1.csv", users=tmp_path / "empty")


@pytest.mark.parametrize("ending", [".jsonl", ".ndjson", ".JSONL"])
def test_json_lines_are_a_table(tmp_path: Path, ending: str) -> None:
    """Texts, numbers, lists and flags as they are; U+2028 ends no line, nor does a mark harm."""
    (tmp_path / f"interactions{ending}").write_text(
        '\ufeff{"user_id":7,"item_id":"00\u20287","event_time":"2024-05-01T10:00:00.123Z"}\n'
    )
    items = '{"item_id":"00\u20287","tags":["a","b"],"price":2.5,"new":true}\n'
    (tmp_path / f"items{ending}").write_text(items)
    made = import_data(tmp_path)
    assert made.interactions["user_id"].to_pylist() == ["7"]
    assert made.items.to_pylist() == [{"item_id": "00\u20287", "tags": ["a", "b"], "price": 2.5, "new": True, "available": True}]


@pytest.mark.parametrize(
    "line",
    ["{", "[1]", '{"user_id": {"a": 1}, "item_id": "x", "event_time": 1}', '{"user_id": "b", "item_id": 5, "event_time": 2}'],
)
def test_json_that_is_no_table_is_one_line(tmp_path: Path, line: str) -> None:
    """Broken, no object, an object for an id, a number among texts."""
    (tmp_path / "e.jsonl").write_text('{"user_id": "a", "item_id": "x", "event_time": 1}\n' + line)
    with pytest.raises(BadData, match=r"e\.jsonl") as caught:
        import_data(tmp_path / "e.jsonl")
    assert "\n" not in str(caught.value)


def test_parts_of_json_may_be_called_json(tmp_path: Path) -> None:
    """Spark does."""
    write_parts(tmp_path / "e", '{"user_id":"a","item_id":"x","event_time":1}\n', ending=".json")
    (tmp_path / "e" / "part-00001.json.gz").write_bytes(gzip.compress(b'{"user_id":"b","item_id":"x","event_time":1}\n'))
    assert import_data(tmp_path / "e").interactions.num_rows == 2


@pytest.mark.parametrize(
    ("written", "separator"),
    [
        ("Drama|War", "|"),
        ("Drama||War", "||"),
        ("Drama||War", "|"),
        (" Drama | War |", "|"),
        ("Drama; War", ";"),
        ('["Drama","War"]', "|"),
        ("['Drama', 'War']", "|"),
    ],
)
def test_lists_are_read_however_they_are_joined(tmp_path: Path, written: str, separator: str) -> None:
    """By a separator, as JSON, as Python prints them; blanks and empty entries go."""
    items = pa.table({"item_id": ["x", "y", "z"], "genres": [written, "", None]})
    pq.write_table(items, tmp_path / "items.parquet")
    pq.write_table(pa.table({"user_id": ["a"], "item_id": ["x"], "event_time": [1]}), tmp_path / "interactions.parquet")
    reading = Reading(Naming(lists=("genres",)), TextFormat(list_separator=separator))
    assert import_data(tmp_path, reading=reading).items["genres"].to_pylist() == [["Drama", "War"], [], None]


def test_a_list_that_is_broken_is_named(tmp_path: Path) -> None:
    """Where all are written in brackets; one title in brackets is a text like any other."""
    events = tmp_path / "e.csv"
    events.write_text(f"{HEADER}a,x,2024-05-01\n")
    items = tmp_path / "items.csv"
    items.write_text('item_id,tags\nx,"[""a""]"\ny,"[a,"",]"\n')
    with pytest.raises(BadData, match=r"items\.csv, line 3, column 'tags': '\[a,\",\]' is not a list such as"):
        import_data(events, items=items, reading=Reading(Naming(lists=("tags",))))
    items.write_text("item_id,tags\nx,[live]\ny,a|b\n")
    made = import_data(events, items=items, reading=Reading(Naming(lists=("tags",))))
    assert made.items["tags"].to_pylist() == [["[live]"], ["a", "b"]]


def test_types_of_events_are_what_one_says(tmp_path: Path) -> None:
    """Other words, in any case, and types that mean nothing here; rows keep their numbers in errors."""
    file = tmp_path / "e.csv"
    kinds = ("view", "Click", "cart", "refund", "PURCHASE")
    rows = [f"a,i{k},2024-05-0{k + 1},{kind}\n" for k, kind in enumerate(kinds)]
    file.write_text("user_id,item_id,event_time,event_type\n" + "".join(rows))
    with pytest.raises(
        BadData, match=r"line 2, .*: unknown type 'view'; use one of .* --event-types view=click \(or view=ignore\)"
    ):
        import_data(file)
    said: list[str] = []
    reading = Reading(Naming(event_types=parse_event_types(["view=impression,cart=click", "refund=ignore"])))
    made = import_data(file, reading=reading, say=said.append)
    assert made.interactions["event_type"].to_pylist() == ["impression", "click", "click", "purchase"]
    assert said == [f"{file}: 1 of 5 events have types that --event-types ignores; left out, the first is in line 5"]
    file.write_text(file.read_text() + rows[4])
    with pytest.raises(BadData, match=r"line 7, .* is in line 6 already"):
        import_data(file, reading=reading)


@pytest.mark.parametrize("text", ["view", "=click", "view=buy", "view="])
def test_a_mapping_of_types_that_says_nothing_is_refused(text: str) -> None:
    """The part is quoted, beside what may stand there."""
    with pytest.raises(
        BadSettings, match=f"--event-types '{text}': write it as yours=ours, .* impression, click, rating, purchase, ignore"
    ):
        parse_event_types([text])


def test_events_that_would_be_errors_can_be_left_out(shop) -> None:
    """Exact duplicates, whatever their ids, and events of unknown items; how many and where the first was is said."""
    rows = ["a,x,2024-05-01,5,e1", "a,x,2024-05-01,5,e2", "b,z,2024-05-02,4,e3", "b,x,2024-05-02,4,e4", "b,x,2024-05-02,4,e5"]
    folder = shop("user_id,item_id,event_time,value,event_id\n" + "\n".join(rows) + "\n")
    with pytest.raises(BadData, match="--drop-duplicates"):
        import_data(folder)
    with pytest.raises(BadData, match=r"line 4, .* item 'z' is not in .*--drop-unknown-items"):
        import_data(folder, reading=Reading(dropping=Dropping(duplicates=True)))
    said: list[str] = []
    made = import_data(folder, reading=Reading(dropping=Dropping(duplicates=True, unknown_items=True)), say=said.append)
    assert made.interactions["event_id"].to_pylist() == ["e1", "e4"]
    assert [note.split("csv: ", 1)[1] for note in said] == [
        "2 of 5 events are exact duplicates; left out, the first is in line 3",
        f"1 of 3 events have items that {folder / 'items.csv'} lacks; left out, the first is in line 4",
    ]


def test_two_ratings_at_once_are_no_duplicates(shop) -> None:
    """They contradict each other, which a person must decide."""
    folder = shop("user_id,item_id,event_time,value\na,x,2024-05-01,5\na,x,2024-05-01,4\n")
    with pytest.raises(BadData, match=r"line 3, .* is in line 2 already; keep one"):
        import_data(folder, reading=Reading(dropping=Dropping(duplicates=True)))


@pytest.mark.parametrize(
    "name", sorted({feature.name for view in VIEWS.values() for feature in view} | {"event_timestamp", "created"})
)
def test_names_of_banquets_own_views_are_refused(shop, name: str) -> None:
    """Before anything is trained, with the option that leaves them out; for users as for items."""
    for tables in ({"users": f"user_id,{name}\na,1\nb,2\n"}, {"items": f"item_id,{name}\nx,1\ny,2\n"}):
        with pytest.raises(BadData, match=f"columns '{name}' have names that Banquet's own tables use; .* --leave-out {name}"):
            import_data(shop(**tables))


def test_errors_and_notes_on_an_archive_name_the_archive(tmp_path: Path) -> None:
    """Not the folder that it was unpacked to, which is gone."""
    archive = tmp_path / "shop.ZIP"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("shop/interactions.csv", f"{HEADER}a,x,2024-05-01\n,y,2024-05-01\n")
        file.writestr("shop/items.csv", "item_id,brand\nx,007\n")
    said: list[str] = []
    with pytest.raises(BadData) as caught:
        import_data(archive, say=said.append)
    assert str(caught.value).startswith(f"{archive}/shop/interactions.csv, line 3, column 'user_id'")
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("shop/interactions.csv", f"{HEADER}a,x,2024-05-01\n")
        file.writestr("shop/items.csv", "item_id,brand\nx,007\n")
    import_data(archive, say=said.append)
    assert said[0].startswith(f"{archive}/shop/items.csv: column 'brand' is taken as text")
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.doc", "x")
        file.writestr("b.doc", "x")
    with pytest.raises(BadData) as caught:
        import_data(archive)
    assert str(caught.value).startswith(f"{archive}: no known data")
