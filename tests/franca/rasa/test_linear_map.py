import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from franca.rasa.head import plane_of
from franca.rasa.linear_map import (
    LinearMap,
    compose_planes,
    identity_map,
    load_map,
    save_map,
)
from tests.reference import rasa as reference


def random_map(dim=7, rank=3):
    draw = torch.Generator().manual_seed(0)
    return LinearMap(
        torch.randn(dim, rank, generator=draw),
        torch.randn(rank, dim, generator=draw),
        torch.randn(dim, generator=draw),
        metadata={"method": "test"},
    )


def test_run_time_form_equals_the_loops_and_the_matrix():
    given = random_map()
    tokens = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(1))
    mapped = given(tokens)
    loops = reference.apply_map(
        tokens.flatten(0, 1).numpy(), given.A.numpy(), given.B.numpy(), given.mean.numpy()
    )
    np.testing.assert_allclose(mapped.flatten(0, 1).numpy(), loops, atol=1e-5)
    dense = tokens.double() @ given.matrix() + given.offset()
    np.testing.assert_allclose(mapped.numpy(), dense.numpy(), atol=1e-5)


def test_mean_is_a_fixed_point():
    given = random_map()
    torch.testing.assert_close(given(given.mean), given.mean)


def test_half_precision_tokens_keep_their_type():
    assert random_map()(torch.zeros(4, 7, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_identity_map_changes_nothing():
    tokens = torch.randn(3, 7, generator=torch.Generator().manual_seed(0))
    assert torch.equal(identity_map(7)(tokens), tokens)


def test_saved_bytes_repeat_and_load_again(tmp_path):
    save_map(random_map(), tmp_path / "a.safetensors")
    save_map(load_map(tmp_path / "a.safetensors"), tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    loaded = load_map(tmp_path / "b.safetensors")
    assert torch.equal(loaded.A, random_map().A)
    assert loaded.metadata == {"method": "test"}


def test_composed_planes_have_the_rank_asked_for():
    draw = torch.Generator().manual_seed(0)
    planes = [plane_of(torch.randn(2, 16, generator=draw)) for _ in range(3)]
    composed = compose_planes(planes, metadata={})
    assert composed.rank == 6
    # overlapping planes: only the last is nulled, so the matrix loses 2 dimensions and not 6
    assert torch.linalg.matrix_rank(composed.matrix(), tol=1e-5) == 14


@pytest.mark.parametrize(("dim", "rounds"), [(384, 1), (384, 8), (768, 8), (1024, 22)])
def test_planes_beside_each_other_compose_to_an_exact_projector(dim, rounds):
    """At the widths of real backbones, saved as float32: symmetric, idempotent, rank as asked."""
    draw = torch.Generator().manual_seed(0)
    planes = []
    for _ in range(rounds):
        beside = torch.cat(planes) if planes else None
        planes.append(plane_of(torch.randn(2, dim, generator=draw), beside=beside))
    composed = compose_planes(planes, metadata={})
    L = composed.matrix()
    assert composed.rank == 2 * rounds
    torch.testing.assert_close(L @ L, L, atol=1e-6, rtol=0)
    torch.testing.assert_close(L, L.T, atol=1e-6, rtol=0)
    kept = torch.linalg.eigvalsh((L + L.T) / 2)
    assert kept[: 2 * rounds].abs().max() < 1e-6
    torch.testing.assert_close(kept[2 * rounds :], torch.ones(dim - 2 * rounds).double())


def test_pinned_numbers_of_the_published_head():
    """Output of the released class on RandomState(0), evaluation notes of the project's spec."""
    random = np.random.RandomState(0)
    weights = [torch.from_numpy(random.randn(2, 16).astype(np.float32)) for _ in range(3)]
    tokens = torch.from_numpy(random.randn(2, 9, 16).astype(np.float32))
    composed = compose_planes([plane_of(weight) for weight in weights], metadata={})
    assert composed(tokens).norm().item() == pytest.approx(13.892950, abs=1e-4)
    assert composed(tokens).sum().item() == pytest.approx(6.641760, abs=1e-4)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"A": torch.zeros(4, 2)}, "A, B, mean"),
        ({"A": torch.zeros(4, 2), "B": torch.zeros(3, 4), "mean": torch.zeros(4)}, "does not go"),
        (
            {"A": torch.full((4, 2), torch.nan), "B": torch.zeros(2, 4), "mean": torch.zeros(4)},
            "NaN",
        ),
        ({"A": torch.zeros(2, 3), "B": torch.zeros(3, 2), "mean": torch.zeros(2)}, "3 directions"),
    ],
)
def test_files_that_are_no_map_are_refused(tmp_path, tensors, message):
    save_file(tensors, tmp_path / "map.safetensors", metadata={"franca": json.dumps({})})
    with pytest.raises(ValueError, match=message):
        load_map(tmp_path / "map.safetensors")


def test_damaged_and_missing_files_are_named(tmp_path):
    (tmp_path / "map.safetensors").write_bytes(b"not a tensor file")
    with pytest.raises(ValueError, match=r"map\.safetensors is not a safetensors file"):
        load_map(tmp_path / "map.safetensors")
    with pytest.raises(FileNotFoundError, match="run the stage rasa"):
        load_map(tmp_path / "none.safetensors")


def test_features_of_another_backbone_are_refused():
    with pytest.raises(ValueError, match="5 channels and the map takes 7"):
        random_map()(torch.zeros(2, 5))


def test_more_directions_than_dimensions_are_refused():
    plane = torch.eye(3)[:2]
    with pytest.raises(ValueError, match="cannot take 4 directions out of 3"):
        compose_planes([plane, plane], metadata={})
    with pytest.raises(ValueError, match="rounds >= 1"):
        compose_planes([], metadata={})
