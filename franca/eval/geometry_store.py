"""From images with depth and views with cameras to what benchmarks of geometry see."""

import torch

from franca.eval.geometry import (
    GeometryInputs,
    LayerFeatures,
    PosedView,
    SceneInputs,
    ViewPair,
    ViewPairInputs,
)
from franca.eval.inputs.geometry import GeometryImages
from franca.eval.inputs.rendered_views import RenderedViews
from franca.eval.inputs.views import Views
from franca.eval.layers import NUM_LAYERS, StreamedLayers, extract_layers
from franca.eval.lazy import Lazy
from franca.eval.native import CentrePad, TokenKind
from franca.eval.store import FeatureStore
from franca.eval.transforms import to_pixels


def centred(store: FeatureStore) -> CentrePad:
    """Return how images with geometry enter the model."""
    return CentrePad(store.model.patch_size)


def layer_bytes(store: FeatureStore, images: GeometryImages) -> int:
    """Return what the tokens of four layers of images of one size take, in bytes."""
    height, width = centred(store).input_size(images.size(0))
    patches = height * width // store.model.patch_size**2
    return store.patch_bytes(NUM_LAYERS * len(images) * (patches + 1))


def geometry(store: FeatureStore, train: GeometryImages, test: GeometryImages) -> GeometryInputs:
    """Return the features of four blocks and the geometry of both splits."""
    return GeometryInputs(train=_layers(store, train), test=_layers(store, test))


def _layers(store: FeatureStore, images: GeometryImages) -> LayerFeatures:
    streamed = StreamedLayers(
        model=store.model,
        images=images,
        dtype=store.patch_dtype,
        batch_size=store.batch_size,
        device=store.device,
    )
    size = layer_bytes(store, images)
    return LayerFeatures(
        tokens=extract_layers(streamed, weights_digest=store.weights_digest, folder=store.folder)
        if store.keeps(size, images=len(images))
        else streamed,
        grid=streamed.grid,
        geometry=Lazy(len(images), images.geometry),
        groups=images.groups,
    )


def view_pairs(store: FeatureStore, views: Views) -> ViewPairInputs:
    """Return pairs of views with tokens before the final norm."""
    posed = _posed(store, views, kind="raw")

    def pair(index: int) -> ViewPair:
        first, second = views.pairs[index]
        return ViewPair(posed[first], posed[second], group=views.groups[first])

    return ViewPairInputs(Lazy(len(views.pairs), pair))


def scenes(store: FeatureStore, views: RenderedViews) -> SceneInputs:
    """Return all views of each scene with tokens after the final norm."""
    posed = _posed(store, views, kind="patches")
    ranges = views.scenes
    return SceneInputs(Lazy(len(ranges), lambda i: [posed[index] for index in ranges[i]]))


def _posed(store: FeatureStore, views: Views, *, kind: TokenKind) -> Lazy[PosedView]:
    tokens = store.native_tokens(views, centred(store), kind=kind)

    def posed(index: int) -> PosedView:
        shot = views.shot(index)
        pixels = torch.from_numpy(to_pixels(views.image(index)))
        return PosedView(
            tokens=tokens.rows(index, index + 1),
            grid=tokens.grids[index],
            pixels=pixels.permute(2, 0, 1).float() / 255,
            points=shot.points,
            intrinsics=shot.intrinsics,
            pose=shot.pose,
        )

    return Lazy(len(views), posed)
