"""Label propagation against the reference."""

import json

import numpy as np
import pytest
import torch

from franca.eval.propagation import label_map, propagate, window

CPU = torch.device("cpu")


def run(features, first, grid, **changes):
    settings = {"context": 4, "radius": 3, "neighbours": 5, "temperature": 0.1} | changes
    return list(propagate(features, first, grid=grid, device=CPU, **settings))


@pytest.mark.parametrize("case", ["main", "two_frames"])
def test_matches_the_reference(oracle, case):
    arrays = oracle("davis")
    settings = json.loads(str(arrays["meta"]))["settings"]["propagation"][case]
    grid = tuple(settings["grid"])
    mask = torch.from_numpy(arrays[f"in/propagation/{case}/first_mask"]).long()
    labels = run(
        torch.from_numpy(arrays[f"in/propagation/{case}/features"]),
        torch.nn.functional.one_hot(mask.flatten(), settings["C"]).float(),
        grid,
        context=settings["n_last"],
        radius=settings["radius"],
        neighbours=settings["topk"],
    )
    soft = torch.stack(labels).transpose(1, 2).unflatten(2, grid)
    np.testing.assert_allclose(soft, arrays[f"out/propagation/{case}/soft_labels"], atol=1e-5)
    maps = torch.stack([label_map(one, grid=grid, patch_size=settings["patch"]) for one in labels])
    differing = maps.numpy() != arrays[f"out/propagation/{case}/label_map"]
    assert differing.mean() <= 1e-3


def test_window_is_a_square_and_zero_means_anywhere():
    near = window((4, 5), radius=1)
    assert near[0].view(4, 5).nonzero().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert window((4, 5), radius=0).all()


def test_constant_features_blur_labels_and_give_no_nan():
    first = torch.eye(2)[torch.arange(20) % 2]
    labels = run(torch.ones(3, 20, 4), first, (4, 5), radius=0)
    for one in labels:  # every patch takes the same mixture
        torch.testing.assert_close(one, torch.full((20, 2), 0.5))
    assert label_map(labels[0], grid=(4, 5), patch_size=2).unique().tolist() == [0]


def test_rotation_changes_nothing():
    source = torch.Generator().manual_seed(0)
    features = torch.randn(4, 20, 6, generator=source, dtype=torch.float64)
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=source, dtype=torch.float64)).Q
    first = torch.eye(3)[torch.randint(3, (20,), generator=source)]
    plain, turned = (run(each, first, (4, 5)) for each in (features, features @ rotation))
    torch.testing.assert_close(torch.stack(plain), torch.stack(turned), atol=1e-4, rtol=0)
