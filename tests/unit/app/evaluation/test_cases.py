"""The questions that a dataset can be asked, and who would answer them how."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from banquet.app.evaluation.answering import Baselines, answers
from banquet.app.evaluation.cases import FEWEST_USERS, Cases
from banquet.app.evaluation.judging import gains, judged
from banquet.app.evaluation.tables import evaluation_table, warnings_of
from banquet.app.tables import show
from banquet.core.errors import BadData, BadSettings
from banquet.training.datasets.dataset import Dataset
from banquet.training.datasets.synthetic import synthesize
from banquet.training.questions import OTHERS


@pytest.fixture(scope="module")
def cases() -> Cases:
    return Cases(synthesize(users=60, items=130, events=2_000, seed=3), 40, 5, placement="home", page_placement="detail")


def by_name(cases: Cases):
    return {question.name: question for question in cases.questions()}


def test_every_way_of_asking_is_there(cases) -> None:
    """One question each, and none but the strangers' without a history."""
    questions = by_name(cases)
    assert list(questions) == ["catalogue", "slate", "filtered", "category", "page", "similar", "no_history"]
    assert all(
        case.history and case.taken not in case.history for name in ("catalogue", "page") for case in questions[name].cases
    )
    assert not any(case.history for case in questions["no_history"].cases)


def test_a_callers_list_holds_the_item_taken_and_nothing_had(cases) -> None:
    """99 others that the user has not had, all different, in no order that tells."""
    places = []
    for case in by_name(cases)["slate"].cases:
        assert len(set(case.item_ids)) == len(case.item_ids) <= OTHERS + 1
        assert not set(case.item_ids) & set(case.history)
        places.append(case.item_ids.index(case.taken))
    assert len(set(places)) > 5


def test_a_filter_is_one_of_the_items_own_categories(cases) -> None:
    """The rarest of them, or any; its holders are who may be answered."""
    items = cases.dataset.items
    genres = dict(zip(items["item_id"].to_pylist(), items["genres"].to_pylist(), strict=True))
    questions = by_name(cases)
    for name in ("filtered", "category"):
        for case in questions[name].cases:
            assert case.filter_value in genres[case.taken]
            assert {cases.item_ids[row] for row in case.allowed} == {
                item for item, own in genres.items() if case.filter_value in own
            }
    rarest = {case.target: len(case.allowed) for case in questions["filtered"].cases}
    assert all(rarest[case.target] <= len(case.allowed) for case in questions["category"].cases)


def with_column(dataset, name: str, values: list) -> Dataset:
    items = dataset.items.select(["item_id", "available"])
    return replace(dataset, items=items.append_column(name, pa.array(values)))


def test_a_filter_is_by_what_several_items_share(cases) -> None:
    """By no text that is another one for each item; values that are missing, or are missing in a list, are none."""
    n = len(cases.item_ids)

    def filtered_by(name: str, values: list) -> set[str]:
        asked = Cases(with_column(cases.dataset, name, values), 40, 5, placement="home", page_placement="detail")
        return {case.filter_value for question in asked.questions() if question.filter_by == name for case in question.cases}

    assert not filtered_by("sku", [f"no. {number}" for number in range(n)])
    assert filtered_by("brand", [("ours", "theirs", "", None)[number % 4] for number in range(n)]) == {"ours", "theirs"}
    assert filtered_by("tags", [(["a", None, ""], [], None)[number % 3] for number in range(n)]) == {"a"}


def test_popularity_answers_under_the_same_rules(cases) -> None:
    """What was had is not shown, a filter and a list hold, and the most taken come first."""
    baselines, questions = Baselines(cases), by_name(cases)
    counts = dict(zip(cases.item_ids, cases.counts, strict=True))
    for name in ("catalogue", "slate", "filtered"):
        for case, items in zip(questions[name].cases, baselines.popularity(questions[name]), strict=True):
            assert not set(items) & set(case.history)
            assert not case.item_ids or set(items) <= set(case.item_ids)
            assert [counts[item] for item in items] == sorted((counts[item] for item in items), reverse=True)


def test_popularity_answers_a_callers_list_whole(cases) -> None:
    """As `RankItems` does: also with items that are not available, which `Recommend` never shows."""
    items = cases.dataset.items
    column = items.column_names.index("available")
    withdrawn = replace(cases.dataset, items=items.set_column(column, "available", pa.array([False] * len(items))))
    asked = Cases(withdrawn, 40, 5, placement="home", page_placement="detail")
    questions = by_name(asked)
    assert Baselines(asked).popularity(questions["slate"]) == Baselines(cases).popularity(questions["slate"])
    assert not any(Baselines(asked).popularity(questions["catalogue"]))


def test_markov_knows_what_followed_in_training_alone(cases) -> None:
    """Never the pair that is asked for."""
    log, follows = cases.log, Baselines(cases)._follows
    for target in cases.targets.tolist():
        pairs = [(log.item[p - 1], log.item[p]) for p in range(1, target - 1) if log.user[p - 1] == log.user[p]]
        if (log.item[target - 1], log.item[target]) not in pairs:
            earlier = follows[log.item[target - 1], log.item[target]]
            others = sum(
                log.item[p - 1] == log.item[target - 1] and log.item[p] == log.item[target] and log.user[p - 1] == log.user[p]
                for p in range(1, len(log))
                if p < cases.split.train_end[log.user[p]]
            )
            assert earlier == others


class Knowing:
    """Puts the item taken at a place."""

    def __init__(self, place: int) -> None:
        self._place = place

    async def answer(self, question, case):
        others = ["other"] * 12
        return [*others[: self._place - 1], case.taken, *others]


async def test_gains_are_those_of_the_place(cases) -> None:
    """1 for the first, 1 / log2(11) for the tenth, nothing beyond."""
    question = by_name(cases)["catalogue"]
    for place, expected in ((1, 1.0), (10, 1 / np.log2(11)), (11, 0.0)):
        np.testing.assert_allclose(gains(question, await answers(Knowing(place), question)), expected)


async def test_a_release_behind_popularity_is_warned_of(cases, capsys, monkeypatch) -> None:
    """By name and numbers, in a table that fits 80 columns; one that is better is not, and segments alone do not warn."""
    monkeypatch.setenv("COLUMNS", "80")
    question = by_name(cases)["slate"]
    missed, found = await answers(Knowing(11), question), await answers(Knowing(1), question)
    perfect = judged(question, dict.fromkeys(("banquet", "popularity", "markov", "retrieval"), found))
    body = {"release": "0123456789ab", "how": "in process", "users": 40, "dataset": "shop"}
    lists = {"popularity": await answers(Knowing(5), question), "markov": missed, "retrieval": None}
    worse = {**body, "questions": judged(question, {"banquet": missed, **lists})}
    assert [line.split(":")[0] for line in warnings_of(worse)] == ["worse than popularity"]
    assert not list(warnings_of({**body, "questions": judged(question, {"banquet": found, **lists})}))
    show(
        evaluation_table({**body, "questions": judged(by_name(cases)["catalogue"], {"banquet": missed, **lists})}, segments=True)
    )
    show(evaluation_table({**body, "questions": perfect}, segments=True))
    printed = capsys.readouterr().out
    assert "…" not in printed
    assert "short histories" in printed or len(cases.targets) < 80


async def test_a_table_fits_where_everybody_is_answered_rightly(cases, capsys, monkeypatch) -> None:
    """As with few items: 1.000 is a character longer than .999."""
    monkeypatch.setenv("COLUMNS", "80")
    question = by_name(cases)["filtered"]
    right = await answers(Knowing(1), question)
    lists = dict.fromkeys(("banquet", "retrieval", "popularity", "markov"), right)
    body = {"users": 40, "dataset": "d", "release": "r", "how": "in process", "questions": judged(question, lists)}
    show(evaluation_table(body, segments=False))
    printed = capsys.readouterr().out
    assert "1.00/1.00 1.00/1.00" in printed
    assert "…" not in printed


async def test_a_few_users_condemn_no_release(cases) -> None:
    """What one user took, or nineteen, proves nothing, though all of their differences may be the same."""
    question = by_name(cases)["catalogue"]
    for users, is_worse in ((1, False), (FEWEST_USERS - 1, False), (FEWEST_USERS, True)):
        asked = replace(question, cases=question.cases[:users], segments={})
        lists = {"banquet": await answers(Knowing(11), asked), "popularity": await answers(Knowing(1), asked)}
        (entry,) = judged(asked, {**lists, "markov": None, "retrieval": None})
        assert entry["worse_than_popularity"] is is_worse


def test_without_users_to_ask_about_nothing_is_evaluated() -> None:
    """One line says what is missing; so does one about a column that cannot be filtered by."""
    with pytest.raises(BadData, match="no user has 4 interactions"):
        Cases(synthesize(users=30, items=40, events=30, seed=1), 10, 5, placement="home", page_placement="detail")
    with pytest.raises(BadSettings, match=r"--category 'shape' is no item feature of texts .* it has: genres"):
        Cases(synthesize(users=60, items=40, events=900, seed=1), 10, 5, placement="", page_placement="", category="shape")
