"""The options of a landscape, each in its domain."""

from pathlib import Path

import pytest

from model import (
    InputError,
    LandscapeOptions,
    Table,
    landscape,
    load,
)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("points", 60, "odd"),
        ("points", 3, "odd"),
        ("points", True, "odd"),
        ("extent", 0, "above 0"),
        ("extent", float("nan"), "above 0"),
        ("masks", 0, "from 1"),
        ("rows", 0, "above 0"),
        ("seed", -1, "2^63"),
    ],
)
def test_an_option_out_of_its_domain_is_named(name: str, value: object, said: str) -> None:
    with pytest.raises(InputError) as caught:
        LandscapeOptions(**{name: value})  # type: ignore[arg-type]
    assert str(caught.value).startswith(f"{name}: must be ")
    assert said in str(caught.value)


def test_a_plane_so_wide_that_the_loss_overflows_is_refused(
    regression_artifact: Path, sold: Table
) -> None:
    predictor = load(regression_artifact)
    for linear in predictor.networks.members[0].linears():
        linear.weight *= 1e12
    with pytest.raises(InputError, match="extent: the loss is not finite"):
        landscape(predictor, sold, LandscapeOptions(points=5, masks=1, extent=1000.0))
