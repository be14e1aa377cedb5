"""`recommend`, `rank`, `similar` and `status`."""

import json

from grpc import StatusCode


def test_recommend_prints_a_table_with_titles(run, gateway):
    """A person sees items, titles as they are, and what was left out."""
    result = run("recommend", "--user", "u7")
    assert result.exit_code == 0
    for text in ("For u7 at home", "i1", "Heat", "[Rec]", "Amélie", "3.0000", "request r1", "left out: similar (unavailable)"):
        assert text in result.stdout
    assert "ranking score" not in result.stdout


def test_recommend_passes_on_what_it_was_told(run, gateway):
    """Limits, exclusions with commas and repeated filters all reach the gateway."""
    told = ["--placement", "detail", "--item", "i9", "--limit", "2", "--exclude", "a,b", "--exclude", "c"]
    assert run("recommend", "--user", "u7", *told, "--filter", "genres=Comedy,Drama", "--filter", "decade=1990").exit_code == 0
    (request,) = gateway.requests
    assert (request.placement, request.context.item_id, request.limit) == ("detail", "i9", 2)
    assert list(request.exclude_item_ids) == ["a", "b", "c"]
    assert {f.attribute: list(f.values) for f in request.filters} == {"genres": ["Comedy", "Drama"], "decade": ["1990"]}


def test_explain_adds_a_line_per_item(run, gateway):
    """Below the table, by place: scores and the attributes that have values."""
    gateway.attributes = {"rating": "4.6", "clicks_1h": ""}
    result = run("similar", "--item", "i1", "--explain")
    assert "1 i2: source score 0.2500, ranking score 0.5000, genres=Crime, rating=4.6" in result.stdout
    assert "clicks_1h" not in result.stdout


def test_explanations_fit_a_narrow_terminal(run, gateway):
    """Whatever the number of attributes, lines end at 80 columns and no value is lost or broken into a column."""
    gateway.attributes = {f"attribute_number_{number}": f"value {number}" for number in range(40)}
    for words in (["recommend", "--user", "u7"], ["rank", "--user", "u7", "--items", "i1,i2"], ["similar", "--item", "i1"]):
        shown = run(*words, "--explain", columns=80).stdout
        assert all(len(line) <= 80 for line in shown.splitlines())
        told = " ".join(shown.split())
        assert all(f"attribute_number_{number}=value {number}" in told for number in range(40))
        assert shown.count("\n") < 80


def test_items_without_an_explanation_say_so(run, gateway):
    """An item that the catalogue does not know has scores alone; the place and the id stand there all the same."""
    assert "1 unknown: source score 0.2500" in run("rank", "--user", "u7", "--items", "unknown", "--explain").stdout


def test_json_is_one_object_without_explanations(run, gateway):
    """A program parses standard output whole, and gets explanations only when it asks."""
    result = run("recommend", "--user", "u7", "--json")
    answer = json.loads(result.stdout)
    assert [item["item_id"] for item in answer["items"]] == ["i1", "i2", "i3"]
    assert answer["items"][0]["explanation"] is None
    assert answer["degradations"] == [{"stage": "similar", "reason": "unavailable"}]
    explained = json.loads(run("recommend", "--user", "u7", "--json", "--explain").stdout)
    assert explained["items"][0]["explanation"]["attributes"]["title"] == "Heat"


def test_rank_takes_items_with_commas(run, gateway):
    """The items reach the gateway one by one, and come back ranked."""
    answer = json.loads(run("rank", "--user", "u7", "--items", "i1,i2", "--items", "i3", "--json").stdout)
    assert [item["item_id"] for item in answer["items"]] == ["i3", "i2", "i1"]


def test_an_item_without_a_title_is_still_shown(run, gateway):
    """Titles are a courtesy: without one, the id stands alone."""
    result = run("rank", "--user", "u7", "--items", "unknown")
    assert result.exit_code == 0
    assert "unknown" in result.stdout
    assert "title" not in result.stdout


def test_status_prints_every_part(run, gateway):
    """Parts, models, catalogue and placements are on one screen."""
    result = run("status")
    assert result.exit_code == 0
    for text in ("ready", "torchserve", "release abc", "onnxruntime", "catalogue c1", "genres, available", "home", "top_k"):
        assert text in result.stdout


def test_status_of_a_gateway_that_is_not_ready_exits_with_1(run, gateway):
    """A script can wait for readiness, and a person reads why."""
    gateway.ready = False
    result = run("status")
    assert result.exit_code == 1
    assert "no worker" in result.stdout
    assert json.loads(run("status", "--json").stdout)["ready"] is False


def test_a_refused_request_is_one_line_and_exit_code_2(run, gateway):
    """The server's message is the user's message."""
    gateway.failures.append((StatusCode.INVALID_ARGUMENT, "placement 'hom': unknown;\nconfigured: detail, home"))
    result = run("recommend", "--user", "u7", "--placement", "hom")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == "error: placement 'hom': unknown; configured: detail, home\n"


def test_a_gateway_that_is_not_there_is_one_line_and_exit_code_1(run):
    """Nobody listening is told from bad input."""
    result = run("status", "--address", "127.0.0.1:1", "--timeout-ms", "100")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: 127.0.0.1:1 is unavailable")
    assert "start it with `banquet up`" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_slow_gateway_is_one_line_and_exit_code_1(run, gateway):
    """The timeout given is the timeout kept."""
    gateway.delay_s = 5
    result = run("recommend", "--user", "u7", "--timeout-ms", "100")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: no answer from")


def test_forgetting_shows_every_place(run, gateway):
    """A table for people, JSON for programs."""
    assert "events" in run("forget", "u7").stdout
    assert gateway.requests[-1].user_id == "u7"
    assert json.loads(run("forget", "u7", "--json").stdout)["places"] == [{"place": "events", "removed": 7, "left": 0}]


def test_an_erasure_that_goes_on_is_exit_code_1(run, gateway):
    """With what is in the way, and how to ask again."""
    gateway.ready = False
    result = run("forget", "u7")
    assert result.exit_code == 1
    assert "not done yet (no store)" in result.stdout
    assert "banquet forget --id e1" in result.stdout
    assert run("forget", "--id", "e1").exit_code == 1
    assert gateway.requests[-1].erasure_id == "e1"


def test_forgetting_needs_somebody(run):
    """Neither nobody nor a user and an erasure at once."""
    assert run("forget").exit_code == run("forget", "u7", "--id", "e1").exit_code == 2
