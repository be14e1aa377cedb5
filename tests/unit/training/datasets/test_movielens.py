from __future__ import annotations

import codecs
import gzip
import zipfile
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from banquet.core.errors import BadData, BadSettings
from banquet.training.datasets.detect import detect
from banquet.training.datasets.importing import Reading, import_data
from banquet.training.datasets.tabular import Naming

if TYPE_CHECKING:
    from pathlib import Path

FLAGS = "0|0|0|0|0|1|0|0|1|0|0|0|0|0|0|0|0|0|0"  # Comedy, Drama
ML_100K = {
    "u.data": "1\t2\t3\t881250949\n1\t1\t5\t881250948\n",
    "u.user": "1|24|M|technician|85711\n",
    "u.item": f"1|Café (1995)|01-Jan-1995||http://x|{FLAGS}\n2|unknown|||http://y|{FLAGS.replace('1', '0')}\n",
}
ML_1M = {
    "ratings.dat": "1::1193::5::978300760\n1::661::3::978300700\n",
    "users.dat": "1::F::1::10::48067\n",
    "movies.dat": "661::James (1996)::Animation|Children's\n1193::Café (1975)::Drama\n",
}


def write(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="latin-1")
    return folder


def test_the_original_100k_is_read(tmp_path: Path) -> None:
    """Latin-1 titles, genre flags as lists, the year out of the title, ratings in time order."""
    made = import_data(write(tmp_path / "anything", ML_100K))
    assert made.name == "ml-100k"
    assert [(row["item_id"], row["value"]) for row in made.interactions.to_pylist()] == [("1", 5.0), ("2", 3.0)]
    assert made.items.to_pylist() == [
        {"item_id": "1", "title": "Café (1995)", "genres": ["Comedy", "Drama"], "year": 1995.0, "available": True},
        {"item_id": "2", "title": "unknown", "genres": [], "year": None, "available": True},
    ]
    assert made.users.to_pylist() == [{"user_id": "1", "age": 24.0, "gender": "M", "occupation": "technician", "zip_area": "8"}]


def test_the_original_1m_is_read_out_of_its_zip(tmp_path: Path) -> None:
    """An archive with one folder inside is the folder; codes are categories by name."""
    with zipfile.ZipFile(tmp_path / "ml-1m.zip", "w") as file:
        for name, text in ML_1M.items():
            file.writestr(f"ml-1m/{name}", text.encode("latin-1"))
    made = import_data(tmp_path / "ml-1m.zip")
    assert made.interactions["item_id"].to_pylist() == ["661", "1193"]
    assert made.items["title"].to_pylist() == ["James (1996)", "Café (1975)"]
    assert made.users.to_pylist() == [
        {"user_id": "1", "gender": "F", "age": "under 18", "occupation": "K-12 student", "zip_area": "4"}
    ]


@pytest.mark.parametrize(("mark", "encoding"), [(b"", "utf-8"), (codecs.BOM_UTF8, "utf-8"), (b"", "latin-1")])
def test_dat_files_are_read_in_either_encoding(tmp_path: Path, mark: bytes, encoding: str) -> None:
    """Some copies are in UTF-8, or have its mark: titles are right, and no user is there twice."""
    folder = write(tmp_path / "m", {})
    for name, text in ML_1M.items():
        (folder / name).write_bytes(mark + text.encode(encoding))
    made = import_data(folder)
    assert made.items["title"].to_pylist() == ["James (1996)", "Café (1975)"]
    assert made.users["user_id"].to_pylist() == ["1"]


def test_the_10m_edition_has_no_users(tmp_path: Path) -> None:
    """The same files but for users.dat, half stars, and tags that are left."""
    files = {**ML_1M, "ratings.dat": ML_1M["ratings.dat"].replace("::3::", "::3.5::"), "tags.dat": "1::661::odd::978300760\n"}
    made = import_data(write(tmp_path / "m", {name: text for name, text in files.items() if name != "users.dat"}))
    assert (made.name, made.interactions["value"].to_pylist(), made.user_features) == ("ml-10m", [3.5, 5.0], ())


@pytest.mark.parametrize("zipped", [True, False])
def test_the_present_form_is_read(tmp_path: Path, zipped: bool) -> None:
    """As of ml-latest, 20M, 25M and 32M: CSV with commas in titles, CRLF, half stars, films without genres, tags and links."""
    files = {
        "movies.csv": 'movieId,title,genres\r\n1,"Odd, The (1971)",(no genres listed)\r\n02,Café (1980),Drama|War\r\n',
        "ratings.csv": "userId,movieId,rating,timestamp\r\n1,02,0.5,1600000060\r\n1,1,4.5,1600000000\r\n",
        "tags.csv": "userId,movieId,tag,timestamp\r\n1,1,odd,1600000000\r\n",
        "links.csv": "movieId,imdbId,tmdbId\r\n1,01,1\r\n",
        "README.txt": "readme",
    }
    path = tmp_path / "ml-latest-small"
    if zipped:
        path = tmp_path / "ml-latest-small.zip"
        with zipfile.ZipFile(path, "w") as file:
            for name, text in files.items():
                file.writestr(f"ml-latest-small/{name}", text)
    else:
        path.mkdir()
        for name, text in files.items():
            (path / name).write_bytes(text.encode())
    made = import_data(path)
    assert (made.name, made.time_is_real, made.interactions["value"].to_pylist()) == ("ml-latest-small", True, [4.5, 0.5])
    assert made.items.to_pylist() == [
        {"item_id": "1", "title": "Odd, The (1971)", "genres": [], "year": 1971.0, "available": True},
        {"item_id": "02", "title": "Café (1980)", "genres": ["Drama", "War"], "year": 1980.0, "available": True},
    ]


def write_1m_parquet(folder: Path) -> Path:
    folder.mkdir()
    ranks = {"user_id": [1, 1, 2, 1], "movie_id": [10, 20, 10, 30], "rating": [5, 4, 3, 1], "time_rank": [2, 0, 0, 1]}
    users = {"user_id": [1, 2], "gender": ["F", "M"], "age": [1, 25], "occupation": [0, 20], "zip_code": ["1", "2"]}
    pq.write_table(pa.table(ranks), folder / "ratings.parquet")
    pq.write_table(pa.table({**users, "last_timestamp": [1_000_000, 2_000_000]}), folder / "users.parquet")
    movies = {"movie_id": [10, 20, 30], "title": ["A (1990)", "B", "C (2000)"], "genres": ["Drama", "War|Drama", ""]}
    pq.write_table(pa.table(movies), folder / "movies.parquet")
    return folder


def test_ranks_become_a_clock_that_says_it_is_made_up(tmp_path: Path) -> None:
    """A user's ratings are a minute apart in the order of their ranks and end with the user's last time."""
    made = import_data(write_1m_parquet(tmp_path / "m"))
    seen = [(row["user_id"], row["item_id"], row["event_time"].timestamp()) for row in made.interactions.to_pylist()]
    assert seen == [("1", "20", 999_880.0), ("1", "30", 999_940.0), ("1", "10", 1_000_000.0), ("2", "10", 2_000_000.0)]
    assert not made.time_is_real


def test_sequences_keep_the_files_order_and_find_their_metadata(tmp_path: Path) -> None:
    """One line is one event; titles and users come through the mapping files."""
    write_1m_parquet(tmp_path / "m")
    folder = tmp_path / "sas"
    folder.mkdir()
    (folder / "m.txt.gz").write_bytes(gzip.compress(b"1 1\n1 2\n2 2\n2 1\n"))
    (folder / "m_sas_to_original_items.txt.gz").write_bytes(gzip.compress(b"1 30\n2 10\n"))
    (folder / "m_sas_to_original_users.txt.gz").write_bytes(gzip.compress(b"1 2\n2 1\n"))
    made = import_data(folder / "m.txt.gz")
    rows = made.interactions.to_pylist()
    assert [[row["item_id"] for row in rows if row["user_id"] == user] for user in "12"] == [["1", "2"], ["2", "1"]]
    assert made.items["title"].to_pylist() == ["C (2000)", "A (1990)"]
    assert made.users["gender"].to_pylist() == ["M", "F"]


def test_sequences_need_no_metadata(tmp_path: Path) -> None:
    """Without the mapping files users and items are their ids alone; a line with a third field is named."""
    (tmp_path / "s.txt").write_text("1 7\n1 8\n")
    assert import_data(tmp_path / "s.txt").items["item_id"].to_pylist() == ["7", "8"]
    (tmp_path / "s.txt").write_text("1 7\n1 8 9\n")
    with pytest.raises(BadData, match=r"s\.txt: not 2 columns, user_id, item_id .*#2"):
        import_data(tmp_path / "s.txt")


def test_a_bad_line_of_an_original_file_is_named(tmp_path: Path) -> None:
    """Rows of the owner's files are counted as lines, columns by the owner's names."""
    broken = {**ML_1M, "ratings.dat": ML_1M["ratings.dat"] + "1::661::five::978300800\n"}
    with pytest.raises(BadData, match=r"ratings\.dat, line 3, column 'rating': 'five' is not a number"):
        import_data(write(tmp_path / "a", broken))
    unknown = {**ML_1M, "ratings.dat": ML_1M["ratings.dat"] + "1::9::5::978300800\n"}
    with pytest.raises(BadData, match=r"ratings\.dat, line 3, column 'item_id': item '9' is not in .*movies\.dat"):
        import_data(write(tmp_path / "b", unknown))


def test_what_is_not_known_is_said_with_what_would_be(tmp_path: Path) -> None:
    """No such path, an odd file, an empty folder, and a mapping for data that needs none."""
    for path, message in ((tmp_path / "no", "no such file or folder"), (tmp_path, "no known data; .*ratings.dat")):
        with pytest.raises(BadData, match=message):
            detect(path)
    (tmp_path / "x.docx").write_text("x")
    with pytest.raises(BadData, match="unknown kind of file; known are"):
        detect(tmp_path / "x.docx")
    with pytest.raises(BadSettings, match="is ml-1m, whose form is known"):
        import_data(write(tmp_path / "m", ML_1M), reading=Reading(Naming({"user_id": "visitor"})))
