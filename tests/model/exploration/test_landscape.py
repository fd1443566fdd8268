"""The surfaces are the losses of networks whose weights really are moved and thinned."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from model import (
    Landscape,
    LandscapeOptions,
    Predictor,
    Table,
    TrainOptions,
    landscape,
    load,
    train,
)
from model.data import encode_table, encode_target
from model.exploration.landscape import DOTS, FRAMES, roughness
from model.exploration.landscape_planes import coordinates, mask_space, random_directions
from model.exploration.landscape_weights import Weights, losses, outputs
from model.passes import MLP, MLPConfig, Norm, draw_noise
from model.tasks import TASKS

FEW = LandscapeOptions(points=5, masks=6, rows=60, seed=3)
NETWORKS = {
    "plain": MLPConfig(5, (7, 6), 2, (0.0, 0.2, 0.4)),
    "input dropout": MLPConfig(5, (7,), 2, (0.3, 0.2), activation="tanh"),
    "input noise": MLPConfig(5, (7, 4), 2, (0.3, 0.2, 0.1), input_noise=0.5),
    "deep": MLPConfig(3, (8, 8, 8, 8, 8), 3, (0.1,) * 6, activation="gelu"),
    "norms": MLPConfig(
        4,
        (9, 6),
        3,
        (0.1, 0.3, 0.2),
        before=(Norm("layer"), Norm("affine")),
        after=(None, Norm("layer")),
    ),
}


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> MLP:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return MLP(NETWORKS[request.param]).requires_grad_(False)


@pytest.fixture
def x(network: MLP) -> Tensor:
    return torch.randn(11, network.config.inputs, generator=torch.Generator().manual_seed(1))


def squares(outputs: Tensor) -> Tensor:
    """A loss of outputs [G, B, O]: their mean square."""
    return outputs.square().mean(-1)


@pytest.fixture(scope="module")
def squared(houses: Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose loss is a squared error."""
    return fitted(houses, "price", tmp_path_factory.mktemp("squared") / "model")


def fitted(houses: Table, target: str, folder: Path, **options: Any) -> Path:
    """The folder of a small model of the target."""
    others = [name for name in ("price", "rent", "dear", "worth") if name != target]
    usual: dict[str, Any] = {"members": 1, "dropout": (0.2,), "epochs": 30}
    usual |= {"noise": "homoscedastic", "number_encoding": "raw"}
    train(houses, target, folder, drop=others, options=TrainOptions(**usual | options))
    return folder


def encoded(predictor: Predictor, table: Table) -> tuple[np.ndarray, np.ndarray]:
    card = predictor.card
    return encode_table(table, card.schema_of_rows), encode_target(table, card.target_of_rows)


def directly(predictor: Predictor, outputs: np.ndarray, y: np.ndarray) -> float:
    """The loss of outputs [B, O] in torch's own words."""
    found, true = torch.from_numpy(outputs).double(), torch.from_numpy(y)
    if predictor.card.target.classes:
        return float(F.cross_entropy(found, true))
    if predictor.card.tuning.noise == "homoscedastic":
        return float(F.mse_loss(found, true.double()))
    mean, log_variance = found.chunk(2, dim=-1)
    return float(F.gaussian_nll_loss(mean, true.double(), log_variance.exp(), eps=0.0))


def passes_of(predictor: Predictor, x: np.ndarray, *, passes: int, seed: int) -> np.ndarray:
    """The outputs of the passes that `predict` with that seed takes, [P, B, O]."""
    values = predictor.values(x, passes=passes, seed=seed)
    if not predictor.card.target.classes:
        return values
    return np.log(values[..., :-1]) * predictor.card.tuning.temperature


def centre(found: Landscape, name: str) -> list[float]:
    """The loss of the trained weights in each plane."""
    planes = (plane.surfaces[name] for plane in found.planes)
    return [float(z[len(z) // 2, len(z) // 2]) for z in planes]


def test_a_pass_is_the_network_with_other_weights(network: MLP, x: Tensor) -> None:
    noise = draw_noise(network.config, 5, range(9))
    found = outputs(network, Weights.of(network).thinned(noise), x)
    torch.testing.assert_close(found, network(x, noise), rtol=1e-4, atol=1e-5)


def test_at_the_centre_dropout_off_is_the_loss_of_the_plain_torch_layers(
    artifact: Path, sold: Table
) -> None:
    predictor = load(artifact)
    x, y = encoded(predictor, sold)
    options = LandscapeOptions(points=5, masks=2, rows=1000)
    expected = directly(predictor, predictor.module()(torch.from_numpy(x)).detach().numpy(), y)
    found = centre(landscape(predictor, sold, options), "deterministic")
    assert found == pytest.approx([expected] * 2, rel=1e-5)


def test_at_the_centre_a_mask_has_the_loss_of_that_pass_of_predict(
    artifact: Path, sold: Table
) -> None:
    predictor, options = load(artifact), LandscapeOptions(points=5, masks=6, rows=1000, seed=3)
    x, y = encoded(predictor, sold)
    passes = passes_of(predictor, x, passes=6, seed=3)
    expected = [directly(predictor, each, y) for each in passes]
    found = landscape(predictor, sold, options)
    for at, loss in enumerate(expected, 1):
        assert centre(found, f"mask {at}") == pytest.approx([loss] * 2, rel=1e-4)
        assert found.planes[1].dots[at - 1].loss == pytest.approx(loss, rel=1e-4)
    assert centre(found, "average") == pytest.approx([np.mean(expected)] * 2, rel=1e-4)


def test_the_average_exceeds_the_loss_of_the_mean_by_the_variance_across_the_passes(
    squared: Path, sold: Table
) -> None:
    """For a squared error; the mean over masks is not the loss of what is served."""
    predictor, options = load(squared), LandscapeOptions(points=5, masks=40, rows=1000)
    x, y = encoded(predictor, sold)
    passes = predictor.values(x, passes=40, seed=options.seed)
    served = np.mean((passes.mean(0) - y) ** 2)
    found = centre(landscape(predictor, sold, options), "average")[0]
    assert found == pytest.approx(served + passes.var(0).mean(), rel=1e-5)


def test_rows_of_a_surface_are_steps_up_and_columns_are_steps_across(
    regression_artifact: Path, sold: Table
) -> None:
    """Moves the weights of a copy by hand."""
    predictor, options = load(regression_artifact), LandscapeOptions(points=5, masks=1, rows=1000)
    x, y = encoded(predictor, sold)
    plane = landscape(predictor, sold, options).planes[0]
    directions = random_directions(predictor.networks.members[0], options.seed)
    for i, j in ((0, 4), (3, 1), (2, 4)):
        moved = copy.deepcopy(predictor.networks.members[0])
        for linear, along in zip(moved.linears(), directions.layers, strict=True):
            assert along is not None
            linear.weight += plane.axis[j] * along[0] + plane.axis[i] * along[1]
        expected = directly(predictor, moved(torch.from_numpy(x)).numpy(), y)
        assert plane.surfaces["deterministic"][i, j] == pytest.approx(expected, rel=1e-4)


def test_random_directions_have_the_norms_of_the_filters_and_leave_biases_out(
    network: MLP,
) -> None:
    directions = random_directions(network, 4)
    for linear, along in zip(network.linears(), directions.layers, strict=True):
        assert along is not None
        torch.testing.assert_close(along.norm(dim=-1), linear.weight.norm(dim=-1).expand(2, -1))
        assert not torch.allclose(along[0], along[1])
    assert set(directions.biases) == {None}


def displacements(network: MLP, passes: int) -> Tensor:
    """What passes add to all weights and first biases, [P, weights], from their own definition."""
    noise = draw_noise(network.config, 5, range(passes))
    own, thinned = Weights.of(network), Weights.of(network).thinned(noise)
    parts = [
        (there - here).flatten(1).double().expand(passes, -1)
        for here, there in zip(
            (*own.layers, *own.biases), (*thinned.layers, *thinned.biases), strict=True
        )
    ]
    return torch.cat(parts, dim=1)


def test_coordinates_keep_the_lengths_and_angles_of_displacements(network: MLP) -> None:
    whole = displacements(network, 20)
    found = coordinates(network, draw_noise(network.config, 5, range(20)))
    torch.testing.assert_close(found @ found.T, whole @ whole.T, rtol=1e-4, atol=1e-5)


def test_the_plane_of_masks_is_that_of_the_singular_vectors_of_all_weights(network: MLP) -> None:
    whole = displacements(network, 20)
    sizes = torch.linalg.svdvals(whole).square()
    noise = draw_noise(network.config, 5, range(20))
    space = mask_space(network, noise)
    assert space is not None
    assert space.share() == pytest.approx(float(sizes[:2].sum() / sizes.sum()), rel=1e-4)
    places, distances = space.place(network, noise)
    lengths = places.square().sum(1) + distances.square()
    torch.testing.assert_close(lengths * space.total, whole.square().sum(1), rtol=1e-4, atol=1e-5)
    assert float(lengths.mean()) == pytest.approx(1)
    assert float(places.square().sum(1).mean()) == pytest.approx(space.share())


def test_with_all_principal_directions_a_thinned_network_is_in_its_place(
    network: MLP, x: Tensor
) -> None:
    """With fewer, it is nearer to its place the more there are."""
    noise, own = draw_noise(network.config, 5, range(20)), Weights.of(network)
    space = mask_space(network, noise, None)
    assert space is not None
    true = losses(network, own.thinned(noise), x, squares)
    count, far = len(space.basis), []
    for kept in (2, count // 2, count):
        places, distances = space.place(network, noise, kept)
        by = torch.zeros(20, count)
        by[:, :kept] = places.float()
        there = losses(network, own.moved(space.directions, by), x, squares)
        far.append((float(distances.mean()), float((there - true).abs().mean())))
    assert far[0][0] > far[1][0] > far[2][0]
    assert far[2][0] < 1e-3
    torch.testing.assert_close(there, true, rtol=1e-4, atol=1e-5)
    assert far[0][1] > 10 * far[2][1]


def test_a_dot_differs_from_the_surface_below_it_by_at_most_slope_times_distance(
    network: MLP, x: Tensor
) -> None:
    """The mean value theorem, on the way from its place in the plane to the thinned network.

    The way is along the weights that the plane leaves out, `distance` long.
    """
    noise, own = draw_noise(network.config, 5, range(12)), Weights.of(network)
    space = mask_space(network, noise)
    assert space is not None
    places, distances = space.place(network, noise)
    start, end = own.moved(space.directions, places.float()), own.thinned(noise)
    steepest = torch.zeros(12, dtype=torch.float64)
    for part in torch.linspace(0, 1, 101):
        arrays = [
            torch.lerp(*torch.broadcast_tensors(a, b), part).expand(12, *a.shape[1:]).clone()
            for a, b in zip((*start.layers, *start.biases), (*end.layers, *end.biases), strict=True)
        ]
        for array in arrays:
            array.requires_grad_()
        count = len(start.layers)
        weights = Weights(tuple(arrays[:count]), tuple(arrays[count:]))
        losses(network, weights, x, squares).sum().backward()
        slope = sum(
            a.grad.flatten(1).double().square().sum(1) for a in arrays if a.grad is not None
        )
        steepest = torch.maximum(steepest, torch.as_tensor(slope).sqrt())
    gap = losses(network, end, x, squares) - losses(network, start, x, squares)
    assert (gap.abs() <= 1.02 * steepest * distances * space.total**0.5 + 1e-6).all()
    assert (gap.abs() > 0).any()


def test_the_dots_say_where_thinned_networks_are(regression_artifact: Path, sold: Table) -> None:
    plane = landscape(load(regression_artifact), sold, FEW).planes[1]
    assert len(plane.dots) == DOTS
    squares = [dot.x**2 + dot.y**2 for dot in plane.dots]
    assert plane.explained == pytest.approx(np.mean(squares))
    assert np.mean([dot.distance**2 for dot in plane.dots]) == pytest.approx(1 - np.mean(squares))
    assert 0 < (plane.explained_new or 0) < (plane.explained or 0) < 1
    assert max(max(abs(dot.x), abs(dot.y)) for dot in plane.dots) < plane.axis[-1]


@pytest.mark.parametrize(
    ("target", "seed", "hidden"),
    [("price", 11, (16, 16)), ("dear", 12, (12, 12, 12)), ("rent", 13, (30, 20))],
)
def test_the_average_over_masks_is_smoother_than_single_masks(
    houses: Table, tmp_path: Path, target: str, seed: int, hidden: tuple[int, ...]
) -> None:
    """Of models and seeds on which the measure was not chosen.

    In the plane of masks it is clearly so, for the masks move the kinks of the layers behind them.
    """
    folder = fitted(houses, target, tmp_path / "model", hidden=hidden, seed=seed)
    found = landscape(load(folder), houses, LandscapeOptions(points=41, seed=seed, rows=100))
    random, masks = (plane.roughness for plane in found.planes)
    assert random["average"] < random["single"]
    assert masks["average"] < 0.75 * masks["single"]


def test_roughness_counts_kinks_and_not_valleys() -> None:
    x = np.linspace(-1, 1, 41)
    valley = x[:, None] ** 3 + 2 * x**2
    kink = np.abs(x[:, None] - 0.1) + x
    assert roughness(valley) < 1e-12
    assert roughness(kink) > 1e-3
    assert roughness(7 - 3 * kink) == pytest.approx(3 * roughness(kink))
    assert roughness((kink + kink[::-1]) / 2) < 0.8 * roughness(kink)


def test_more_points_and_other_chunks_do_not_change_a_loss(
    multiclass_artifact: Path, sold: Table
) -> None:
    predictor = load(multiclass_artifact)
    few, many = (
        landscape(predictor, sold, LandscapeOptions(points=points, masks=3, rows=50))
        for points in (5, 17)
    )
    for one, other in zip(few.planes, many.planes, strict=True):
        for name, z in one.surfaces.items():
            np.testing.assert_allclose(other.surfaces[name][::4, ::4], z, rtol=1e-4)


def test_a_network_without_dropout_has_the_plane_of_random_directions_alone(
    houses: Table, tmp_path: Path
) -> None:
    folder = fitted(houses, "price", tmp_path / "still", dropout=(0.0,), epochs=5)
    found = landscape(load(folder), houses, FEW)
    (plane,) = found.planes
    assert list(plane.surfaces) == ["deterministic"]
    assert "no dropout" in found.summary
    assert found.record().masks == 0


def test_heteroscedastic_noise_and_input_noise_have_their_own_loss(
    houses: Table, tmp_path: Path
) -> None:
    options = {"input_noise": 0.3, "noise": "heteroscedastic", "epochs": 10}
    predictor = load(fitted(houses, "price", tmp_path / "noisy", **options))
    found = landscape(predictor, houses, LandscapeOptions(points=5, masks=3, rows=1000))
    assert "likelihood" in found.loss
    x, y = encoded(predictor, houses)
    values = predictor.values(x, passes=3, seed=1)  # [P, B, 2]
    normal = values[..., 1:] + (y - values[..., :1]) ** 2 / np.exp(values[..., 1:])
    assert centre(found, "average") == pytest.approx([0.5 * normal.mean()] * 2, rel=1e-4)


def test_the_loss_of_each_row_averages_to_the_training_loss(artifact: Path, sold: Table) -> None:
    predictor = load(artifact)
    card = predictor.card
    task = TASKS[card.task](card.target_of_rows, *card.fitted)
    x, y = encoded(predictor, sold)
    found, true = predictor.networks.members[0](torch.from_numpy(x)), torch.from_numpy(y)
    true = true.float() if true.is_floating_point() else true
    assert float(task.losses(found, true).mean()) == pytest.approx(float(task.loss(found, true)))


def test_a_surface_is_kept_of_the_first_masks_only(regression_artifact: Path, sold: Table) -> None:
    options = LandscapeOptions(points=5, masks=FRAMES + 3, rows=20)
    for plane in landscape(load(regression_artifact), sold, options).planes:
        assert list(plane.surfaces) == [
            "deterministic",
            "average",
            *(f"mask {at}" for at in range(1, FRAMES + 1)),
        ]


def test_a_long_table_is_measured_on_random_rows_that_the_seed_decides(
    regression_artifact: Path, sold: Table
) -> None:
    predictor = load(regression_artifact)
    one, again, other = (
        landscape(predictor, sold, LandscapeOptions(points=5, masks=1, rows=20, seed=seed))
        for seed in (1, 1, 2)
    )
    assert one.rows == 20
    assert centre(one, "deterministic") == centre(again, "deterministic")
    assert centre(one, "deterministic") != centre(other, "deterministic")
