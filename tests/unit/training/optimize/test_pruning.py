"""Units are really taken out, and nothing else changes."""

from dataclasses import replace

import pytest
import torch

from banquet.core.errors import BadSettings
from banquet.training.optimize.pruning import most_important, pruned
from banquet.training.optimize.shapes import dense_parameters, pruned_shape, student_shape
from banquet.training.optimize.units import axes_of, groups_of, weights_of_units
from tests.unit.training.optimize.conftest import SHAPE, answers, make_ranker


def masked(ranker, shape):
    """The ranker at its full size, with zeros wherever a unit goes that `pruned` takes out."""
    weights, axes = ranker.state_dict(), axes_of(ranker.shape)
    wanted = groups_of(shape)
    kept = {group: most_important(weights_of_units(group, weights, axes), wanted[group]) for group in groups_of(ranker.shape)}
    for name, weight in weights.items():
        for dimension, axis in enumerate(axes.get(name, ())):
            start = 0
            for group, size in axis:
                gone = sorted(set(range(size)) - set(range(size) if group is None else kept[group].tolist()))
                weight.index_fill_(dimension, start + torch.tensor(gone, dtype=torch.int64), 0.0)
                start += size
    return ranker


def test_what_is_left_computes_as_if_the_rest_were_zero(ranker, half) -> None:
    """In every group at once: item and user columns, attention, ranks of crosses, neurons."""
    smaller = pruned(ranker, half)
    torch.testing.assert_close(answers(smaller), answers(masked(make_ranker(), half)), rtol=1e-4, atol=1e-4)


def test_it_is_really_smaller(ranker, half) -> None:
    """In numbers held, not in zeros; the original is left alone."""
    before = {name: weight.clone() for name, weight in ranker.state_dict().items()}
    smaller = pruned(ranker, half)
    assert dense_parameters(smaller) < 0.35 * dense_parameters(ranker)
    assert all(weight.count_nonzero() > 0 for name, weight in smaller.state_dict().items() if name.startswith("deep"))
    assert all(torch.equal(weight, before[name]) for name, weight in ranker.state_dict().items())


def test_a_unit_without_weight_goes_first(ranker, half) -> None:
    """So that it costs nothing when exactly the idle units go."""
    with torch.no_grad():
        for weight in (ranker.deep[1].weight, ranker.deep[1].bias):
            weight[[1, 5, 8]] = 0.0
        ranker.heads.weight[:, [-12 + place for place in (1, 5, 8)]] = 0.0
    smaller = pruned(ranker, replace(SHAPE, hidden=(24, 9)))
    torch.testing.assert_close(answers(smaller), answers(ranker))


def test_whole_layers_go_from_the_last_on(ranker) -> None:
    """Fewer crosses, and no attention: what is kept is as it was."""
    smaller = pruned(ranker, replace(SHAPE, cross_layers=1, attention_dim=0))
    assert torch.equal(smaller.crosses[0].down.weight, ranker.crosses[0].down.weight)
    assert not [name for name in smaller.state_dict() if name.startswith(("crosses.1", "pooling"))]
    assert torch.isfinite(answers(smaller)).all()


@pytest.mark.parametrize("shape", [SHAPE, replace(SHAPE, attention_dim=0, cross_layers=0)])
def test_every_weight_is_told_apart(shape) -> None:
    """Each dimension of each weight is accounted for, to the last number."""
    axes = axes_of(shape)
    single = {"score_mean", "score_scale", "click_weight", "like_weight"}
    weights = make_ranker(shape).state_dict()
    assert set(weights) - single == set(axes) & set(weights)
    for name in set(weights) - single:
        assert tuple(sum(size for _, size in axis) for axis in axes[name]) == tuple(weights[name].shape), name


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7])
def test_at_least_the_share_goes(share) -> None:
    """And no step further than it must: the shape before had lost less."""
    whole, left = dense_parameters(make_ranker()), dense_parameters(make_ranker(pruned_shape(SHAPE, share)))
    assert left <= (1 - share) * whole
    assert left > (1 - share) * whole * 0.6


def test_more_than_there_is_cannot_go() -> None:
    """The inputs' own widths stay."""
    with pytest.raises(BadSettings, match="ask for less"):
        pruned_shape(SHAPE, 0.99)


def test_a_student_is_a_fraction_of_its_teacher() -> None:
    """In what it holds and in how many layers it has; its inputs are the same."""
    student = student_shape(SHAPE)
    assert dense_parameters(make_ranker(student)) < 0.2 * dense_parameters(make_ranker())
    assert (student.items, student.activity, student.user_categories) == (SHAPE.items, SHAPE.activity, SHAPE.user_categories)
    assert answers(make_ranker(student)).shape == answers(make_ranker()).shape
