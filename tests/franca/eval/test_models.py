"""Contracts are kept in full, or a model is refused before any work."""

import pytest

from franca.eval.models import FeatureModel, shows_attention, shows_blocks, shows_keys
from franca.models.vit import build_vit
from tests.franca.eval.worlds import PixelModel


class Shown(PixelModel):
    """Keeps the contract of blocks."""

    depth = 2

    def forward_intermediate(self, images, blocks, *, norm=True):
        raise NotImplementedError


class WithoutDepth(PixelModel):
    def forward_intermediate(self, images, blocks, *, norm=True):
        raise NotImplementedError


class NormedOnly(PixelModel):
    depth = 2

    def forward_intermediate(self, images, blocks):
        raise NotImplementedError


class AsksForMore(PixelModel):
    depth = 2

    def forward_intermediate(self, images, blocks, masks, *, norm):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("model", "kept"),
    [(Shown(), True), (WithoutDepth(), False), (NormedOnly(), False), (AsksForMore(), False)],
)
def test_names_and_parameters_are_both_looked_at(model, kept):
    assert shows_blocks(model) == kept


def test_what_a_small_and_a_whole_model_show():
    whole = build_vit("vit_tiny", image_size=16, patch_size=4)
    for shown in (shows_blocks, shows_keys, shows_attention):
        assert shown(whole)
        assert not shown(PixelModel())
    assert isinstance(PixelModel(), FeatureModel)
