import dataclasses

import torch

from franca.export.parity import TOLERANCE, Difference, measure, probe_sizes
from tests.franca.export.conftest import backbone_of


def test_probes_the_native_size_and_another_grid_in_both_directions():
    assert probe_sizes(backbone_of()) == ((24, 24), (32, 12))


def test_measures_the_worst_feature_of_cls_and_patches():
    backbone = backbone_of()

    def read(images):
        features = backbone.forward_features(images)
        patches = features.patches.clone()
        patches[1, 3, 5] += 0.5
        return features.cls - 0.25, patches

    found = measure(backbone, read, size=(24, 24), batch=2)
    assert abs(found.largest - 0.5) < 1e-5
    assert found.size == (24, 24)
    assert str(found).startswith("max difference 5.0e-01 at 24x24 pixels (tolerance ")


def test_tolerance_is_relative_to_the_features():
    edge = Difference(size=(8, 8), largest=TOLERANCE * 50, scale=50.0)
    assert edge.tolerated
    assert not dataclasses.replace(edge, scale=49.0).tolerated


def test_features_that_are_not_numbers_are_never_tolerated():
    backbone = backbone_of()

    def read(images):
        features = backbone.forward_features(images)
        return features.cls, torch.full_like(features.patches, torch.nan)

    assert not measure(backbone, read, size=(24, 24), batch=1).tolerated
