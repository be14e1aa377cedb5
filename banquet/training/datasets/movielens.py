"""MovieLens in all its editions: the original files; of 100K and 1M also parquet, which for 1M has ranks in place of times."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from banquet.training.datasets import columns
from banquet.training.datasets.clock import times_from_ranks
from banquet.training.datasets.files import read_csv, read_parquet, read_separated, renamed
from banquet.training.datasets.lists import split
from banquet.training.datasets.source import Raw, Source, TextFormat
from banquet.training.datasets.times import times

if TYPE_CHECKING:
    from pathlib import Path

GENRES_100K = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
AGES_1M = {"1": "under 18", "18": "18-24", "25": "25-34", "35": "35-44", "45": "45-49", "50": "50-55", "56": "56 and over"}
OCCUPATIONS_1M = (
    "other", "educator", "artist", "clerical", "student", "customer service", "doctor", "executive", "farmer", "homemaker",
    "K-12 student", "lawyer", "programmer", "retired", "sales", "scientist", "self-employed", "engineer", "craftsman",
    "unemployed", "writer",
)  # fmt: skip
NO_GENRES = "(no genres listed)"
RATING = ("user_id", "item_id", "rating", "timestamp")


def read_ml_100k(folder: Path) -> Raw:
    """The original files u.data, u.user and u.item."""
    ratings = read_separated(folder / "u.data", RATING, "\t")
    users = read_separated(folder / "u.user", ("user_id", "age", "gender", "occupation", "zip_code"), "|")
    items = read_separated(folder / "u.item", ("item_id", "title", "release_date", "video_date", "url", *GENRES_100K), "|")
    chosen = [pc.if_else(pc.equal(items.table[genre], "1"), f"{genre}|", "") for genre in GENRES_100K]
    genres = pc.utf8_rtrim(pc.binary_join_element_wise(*chosen, ""), "|")
    items = items.holding(items.table.append_column("genres", genres))
    return Raw("ml-100k", _ratings(ratings), _users_100k(users), _movies(items))


def read_ml_100k_parquet(folder: Path) -> Raw:
    """ratings.parquet (user_id, item_id, rating, timestamp), users.parquet and items.parquet (genres joined by '|')."""
    ratings, users, items = (read_parquet(folder / f"{name}.parquet") for name in ("ratings", "users", "items"))
    return Raw("ml-100k", _ratings(ratings), _users_100k(users), _movies(items))


def read_ml_1m(folder: Path) -> Raw:
    """The original files ratings.dat, users.dat and movies.dat."""
    users = read_separated(folder / "users.dat", ("user_id", "gender", "age", "occupation", "zip_code"), "::")
    return replace(read_ml_10m(folder), name="ml-1m", users=users_1m(users))


def read_ml_10m(folder: Path) -> Raw:
    """The original files ratings.dat and movies.dat; this edition says nothing of its users."""
    ratings = read_separated(folder / "ratings.dat", RATING, "::")
    movies = read_separated(folder / "movies.dat", ("item_id", "title", "genres"), "::")
    return Raw("ml-10m", _ratings(ratings), items=_movies(movies))


def read_ml_csv(folder: Path) -> Raw:
    """The files ratings.csv and movies.csv, as all editions since 20M have them; tags and links are left."""
    ratings = renamed(read_csv(folder / "ratings.csv", TextFormat()), {"user_id": "userId", "item_id": "movieId"})
    movies = renamed(read_csv(folder / "movies.csv", TextFormat()), {"item_id": "movieId"})
    return Raw(folder.resolve().name, _ratings(ratings), items=_movies(movies))


def read_ml_1m_parquet(folder: Path) -> Raw:
    """ratings.parquet (user_id, movie_id, rating, time_rank), users.parquet (with last_timestamp) and movies.parquet.

    The order is real, the times are not: a user's ratings stand a minute apart and end with the user's last.
    """
    ratings = read_parquet(folder / "ratings.parquet", {"item_id": "movie_id"})
    ratings.require("user_id", "item_id", "rating", "time_rank")
    users = read_parquet(folder / "users.parquet")
    users.require("user_id", "last_timestamp")
    known, last_s = columns.ids(users, "user_id"), columns.integers(users, "last_timestamp")
    seconds = times_from_ranks(columns.ids(ratings, "user_id"), columns.integers(ratings, "time_rank"), known, last_s)
    ratings = ratings.holding(ratings.table.append_column("timestamp", seconds))
    return Raw("ml-1m", _ratings(ratings), users_1m(users), movies_1m(folder), time_is_real=False)


def movies_1m(folder: Path) -> Source:
    """The movies of a folder with movies.parquet."""
    return _movies(read_parquet(folder / "movies.parquet", {"item_id": "movie_id"}))


def users_1m(users: Source) -> Source:
    """Age and occupation as names, since their codes are no quantities."""
    users.require("user_id", "gender", "age", "occupation", "zip_code")
    ages, occupations = (columns.ids(users, name) for name in ("age", "occupation"))
    codes = [str(code) for code in range(len(OCCUPATIONS_1M))]
    features = {
        "gender": columns.ids(users, "gender"),
        "age": _renamed(ages, list(AGES_1M), list(AGES_1M.values())),
        "occupation": _renamed(occupations, codes, list(OCCUPATIONS_1M)),
        "zip_area": _zip_area(users),
    }
    return users.holding(pa.table({"user_id": columns.ids(users, "user_id"), **features}))


def _users_100k(users: Source) -> Source:
    users.require("user_id", "age", "gender", "occupation", "zip_code")
    features = {
        "age": columns.numbers(users, "age"),
        "gender": columns.ids(users, "gender"),
        "occupation": columns.ids(users, "occupation"),
        "zip_area": _zip_area(users),
    }
    return users.holding(pa.table({"user_id": columns.ids(users, "user_id"), **features}))


def _ratings(ratings: Source) -> Source:
    ratings.require(*RATING)
    event_type = pa.chunked_array([pa.repeat("rating", ratings.table.num_rows)])
    table = {
        "user_id": columns.ids(ratings, "user_id"),
        "item_id": columns.ids(ratings, "item_id"),
        "event_type": event_type,
        "value": columns.numbers(ratings, "rating"),
        "event_time": times(ratings, "timestamp"),
    }
    own = {**ratings.names, "value": "rating", "event_time": "timestamp"}
    return replace(ratings, table=pa.table(table), names=own)


def _movies(items: Source) -> Source:
    items.require("item_id", "title", "genres")
    titles = items.table["title"].cast(pa.string())
    genres = pc.replace_substring(items.table["genres"].cast(pa.string()), NO_GENRES, "")
    year = pc.struct_field(pc.extract_regex(titles, r"\((?P<year>\d{4})\)\s*$"), "year").cast(pa.float32())
    table = {
        "item_id": columns.ids(items, "item_id"),
        "title": titles,
        "genres": split(genres, "|"),
        "year": year,
    }
    return items.holding(pa.table(table))


def _zip_area(users: Source) -> pa.ChunkedArray:
    """The first character: a region of the country, where the whole code is nearly an id of its user."""
    return pc.utf8_slice_codeunits(columns.ids(users, "zip_code"), 0, 1)


def _renamed(column: pa.ChunkedArray, codes: list[str], names: list[str]) -> pa.ChunkedArray:
    """Codes as their names; an unknown code stays as it is."""
    named = pa.array(names).take(pc.index_in(column, pa.array(codes)))
    return pc.coalesce(named, column)
