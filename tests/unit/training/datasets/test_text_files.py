"""Text files as programs write them: encodings, compressions, row numbers, line ends, blanks."""

from __future__ import annotations

import bz2
import codecs
import gzip
import zlib
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from banquet.core.errors import BadData, BadSettings
from banquet.training.datasets.importing import Reading, import_data
from banquet.training.datasets.source import TextFormat

if TYPE_CHECKING:
    from pathlib import Path

    from banquet.training.datasets.dataset import Dataset

EVENTS = b"user_id,item_id,event_time\na,x,2024-05-01\nb,y,2024-05-02\n"
TITLES = "item_id,title\nx,Café Öl €\ny,Thé\n"


def zstd(content: bytes) -> bytes:
    return bytes(pa.compress(content, "zstd", asbytes=True))


def with_titles(shop, content: bytes, encoding: str | None = None) -> Dataset:
    folder: Path = shop(interactions=EVENTS.decode(), users=None, items=None)
    (folder / "items.csv").write_bytes(content)
    return import_data(folder, reading=Reading(written=TextFormat(encoding=encoding)))


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
    ],
)
def test_a_mark_tells_the_encoding(shop, mark: bytes, encoding: str) -> None:
    """As Excel and Windows write it; the mark is no part of the first column's name."""
    made = with_titles(shop, mark + TITLES.encode(encoding))
    assert made.items["title"].to_pylist() == ["Café Öl €", "Thé"]


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16-le", "utf-16", "utf-8"])
def test_an_encoding_can_be_named(shop, encoding: str) -> None:
    """Whatever Python can decode."""
    assert with_titles(shop, TITLES.encode(encoding), encoding).items["title"].to_pylist() == ["Café Öl €", "Thé"]


def test_another_encoding_is_named_with_the_option(shop) -> None:
    """File, line, byte and remedy; for an encoding that does not fit either, too."""
    with pytest.raises(BadData, match=r"items\.csv, line 2: byte 0xe9 is not UTF-8; name .* --encoding latin-1"):
        with_titles(shop, TITLES.encode("cp1252"))
    with pytest.raises(BadData, match=r"items\.csv, line 3: byte 0x81 is not CP1252"):
        with_titles(shop, b"item_id,title\nx,a\ny,\x81\n", "cp1252")
    with pytest.raises(BadData, match=r"items\.csv: has zero bytes, .* --encoding utf-16-le"):
        with_titles(
            shop,
            TITLES.encode("utf-16-le")
            .replace("é".encode("utf-16-le"), b"e\0")
            .replace(b"\xd6", b"O")
            .replace(b"\xac\x20", b"E\0"),
        )
    for encoding in ("latin-99", "hex"):
        with pytest.raises(BadSettings, match=f"--encoding '{encoding}' is unknown"):
            TextFormat(encoding=encoding).checked()


@pytest.mark.parametrize("header", ["user_id, item_id, event_time", "\tuser_id ,item_id\t, event_time"])
def test_blanks_around_names_and_values_do_no_harm(tmp_path: Path, header: str) -> None:
    """As people write them after commas."""
    (tmp_path / "e.csv").write_text(f"{header}\na, x, 2024-05-01 \n b ,y,2024-05-02\n")
    made = import_data(tmp_path / "e.csv").interactions
    assert (made["user_id"].to_pylist(), made["item_id"].to_pylist()) == (["a", "b"], ["x", "y"])


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n"])
def test_every_line_end_is_read(tmp_path: Path, end: str) -> None:
    """Windows, old Macs, and a last line without any."""
    (tmp_path / "e.csv").write_bytes(EVENTS.decode().rstrip().replace("\n", end).encode())
    assert import_data(tmp_path / "e.csv").interactions.num_rows == 2


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
def test_a_column_without_a_name_is_left_out_and_said(shop, name: str) -> None:
    """pandas writes its row numbers so, and reads them back so."""
    said: list[str] = []
    folder = shop(
        users=f"{name},user_id,town\n0,a,Rome\n1,b,Oslo\n",
        interactions=f"{name},{EVENTS.decode()}".replace("\n", "\n7,").removesuffix("7,"),
    )
    made = import_data(folder, say=said.append)
    assert made.user_features == ("town",)
    assert [note.split("/")[-1].split(" has")[0] for note in said] == [
        f"{file}.csv: column 1{' (Unnamed: 0)' if name else ''}" for file in ("interactions", "users")
    ]


def test_an_index_in_parquet_is_left_out_and_said(tmp_path: Path) -> None:
    """pandas writes one that is no range."""
    table = pa.table({"user_id": ["a"], "item_id": ["x"], "event_time": [1], "__index_level_0__": [5]})
    pq.write_table(table, tmp_path / "e.parquet")
    said: list[str] = []
    import_data(tmp_path / "e.parquet", say=said.append)
    assert "column 4 (__index_level_0__) has no name of its own" in said[0]


def test_a_name_that_is_there_twice_is_refused(shop) -> None:
    """Also where it is so after the blanks have gone."""
    for header in ("user_id,age,age", "user_id,age, age"):
        with pytest.raises(BadData, match=r"users\.csv: two columns would be named age"):
            import_data(shop(users=f"{header}\na,1,2\nb,1,2\n"))


@pytest.mark.parametrize(("ending", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".zst", zstd)])
@pytest.mark.parametrize("name", ["e.csv", "E.CSV", "e.tsv", "e.jsonl", "e.ndjson", "e.txt"])
def test_compressed_files_are_read_whatever_they_are_called(tmp_path: Path, name: str, ending: str, compress) -> None:
    """By what is in them, not by their ending: some programs unpack a file and leave its name."""
    content = EVENTS.replace(b",", b"\t") if name == "e.tsv" else EVENTS
    if "json" in name or "ndjson" in name:
        content = b'{"user_id":"a","item_id":"x","event_time":1}\n{"user_id":"b","item_id":"y","event_time":2}\n'
    if name == "e.txt":
        content = b"1 2\n2 3\n"
    for written, file in (
        (compress(content), f"{name}{ending}"),
        (compress(content), name),
        (content, f"a{name}{ending.upper()}"),
    ):
        (tmp_path / file).write_bytes(written)
        assert import_data(tmp_path / file).interactions.num_rows == 2


def test_two_archives_in_one_file_are_both_read(tmp_path: Path) -> None:
    """As `cat a.gz b.gz` makes them."""
    (tmp_path / "e.csv.gz").write_bytes(gzip.compress(EVENTS) + gzip.compress(b"c,x,2024-05-03\n"))
    assert import_data(tmp_path / "e.csv.gz").interactions.num_rows == 3


@pytest.mark.parametrize("damage", ["cut", "flipped", "checksum"])
@pytest.mark.parametrize(("ending", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_a_damaged_file_is_one_line_with_its_name(tmp_path: Path, ending: str, compress, damage: str) -> None:
    """Half of it, a byte that was changed, a wrong checksum."""
    content = bytearray(compress(EVENTS * 50))
    if damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "flipped":
        content[len(content) // 2] ^= 0xFF
    else:
        content[-6 if ending == ".gz" else -3] ^= 0xFF
    (tmp_path / f"e.csv{ending}").write_bytes(content)
    with pytest.raises(BadData, match=rf"e\.csv\{ending}: not readable \(.*\); copy or download the file again") as caught:
        import_data(tmp_path / f"e.csv{ending}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [zstd(EVENTS * 50)[:-20], zlib.compress(EVENTS), b"\x28\xb5\x2f\xfd"])
def test_what_is_no_text_is_one_line(tmp_path: Path, content: bytes) -> None:
    """A cut zstd file, a raw zlib stream, a header alone."""
    (tmp_path / "e.csv").write_bytes(content)
    with pytest.raises(BadData, match=r"e\.csv") as caught:
        import_data(tmp_path / "e.csv")
    assert "\n" not in str(caught.value)


def test_damaged_parquet_is_one_line(tmp_path: Path) -> None:
    """Cut, and changed in the middle of its data."""
    file = tmp_path / "e.parquet"
    table = pa.table({"user_id": [f"u{k}" for k in range(999)], "item_id": ["x"] * 999, "event_time": list(range(999))})
    pq.write_table(table, file, compression="zstd")
    whole = bytearray(file.read_bytes())
    broken = bytearray(whole)
    broken[40:300] = bytes(260)
    for content in (whole[: len(whole) // 2], b"PAR1", broken):
        file.write_bytes(content)
        with pytest.raises(BadData, match=r"e\.parquet: not readable as parquet") as caught:
            import_data(file)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"  \n\n", "the file is empty"),
        (b"\n" + EVENTS[:27], "the file has no rows"),
        (codecs.BOM_UTF8, "the file is empty"),
        (gzip.compress(b"", mtime=0), "the file is empty"),
        (b"user_id,item_id,event_time\n", "the file has no rows"),
    ],
)
def test_a_file_without_rows_is_said_to_be_so(tmp_path: Path, content: bytes, message: str) -> None:
    """No bytes, blanks, a mark alone, nothing compressed, a header alone."""
    (tmp_path / "e.csv").write_bytes(content)
    with pytest.raises(BadData, match=rf"e\.csv: {message}"):
        import_data(tmp_path / "e.csv")


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("a,x,2024-05-01\n,y,2024-05-02\n", "line 3"),
        ("a,x,2024-05-01\n,y,2024-05-02", "line 3"),
        ("a,x,2024-05-01\n\n,y,2024-05-02\n", "row 2"),
        ('a,"x\nx",2024-05-01\n,y,2024-05-02\n', "row 2"),
    ],
)
def test_an_error_counts_lines_where_rows_are_lines(tmp_path: Path, content: str, place: str) -> None:
    """With blank lines, or line ends within quotes, it counts rows, and says so."""
    (tmp_path / "e.csv").write_text(f"user_id,item_id,event_time\n{content}")
    with pytest.raises(BadData, match=rf"e\.csv, {place}, column 'user_id': the id is missing"):
        import_data(tmp_path / "e.csv")
