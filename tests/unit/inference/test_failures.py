"""TorchServe's texts (as 0.12.0 words them) and the reasons they get."""

import pytest

from banquet.inference.failures import NotDone, failure, is_locked


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            'Model "retrieval" has no worker to serve inference request. Please use scale workers API to add workers.',
            "unavailable",
        ),
        ("Worker died.\norg.pytorch.serve.http.InternalServerException", "unavailable"),
        ("Model not found: ranking", "unavailable"),
        ("Model version: r9 does not exist for model: ranking", "unavailable"),
        ("Worker scaled down.", "unavailable"),
        ("Prediction failed\norg.pytorch.serve.http.InternalServerException", "model_error"),
        ("Out of resources", "model_error"),
        ("number of batch response mismatched", "model_error"),
        ("Token Authorization failed. Token either incorrect, expired, or not provided correctly", "unavailable"),
        ("something nobody has seen before", "unavailable"),
    ],
)
def test_every_known_failure_has_its_reason(text, reason):
    """The reason tells whether asking again can help; the detail keeps TorchServe's words on one line."""
    failed = failure(text)
    assert failed.reason == reason
    assert "\n" not in str(failed)


def test_what_nobody_knows_gets_the_reason_of_its_status():
    """A transport knows more than the text: its deadline passed, say."""
    assert failure("Deadline Exceeded", otherwise="timeout").reason == "timeout"


def test_a_refused_key_is_recognised():
    """It is the one failure that another try with a fresh key can cure."""
    assert is_locked("Token Authorization failed. Token either incorrect, expired, or not provided correctly")
    assert not is_locked("Prediction failed")


@pytest.mark.parametrize(
    ("text", "helps"),
    [
        ('Model "ranking" has no worker to serve inference request.', True),
        ("Model not found: ranking", True),
        ("Worker died.", False),
        ("Prediction failed", False),
        ("Out of resources", False),
    ],
)
def test_another_host_may_do_what_this_one_did_not_take(text, helps):
    """But not what a worker may have died of, or could not do."""
    assert isinstance(failure(text), NotDone) == helps
