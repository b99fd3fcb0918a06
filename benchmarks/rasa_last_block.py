"""Where the map can be folded, and how wrong it is to fold it into the last block.

    python benchmarks/rasa_last_block.py

Exact features z' = z L + c are compared with those of four folds. Error is |fold - z'| / |z - z'|:
0 is exact, 1 is as far from z' as having done nothing. R^2 is that of position, held out.

    norm affine        the final norm's affine made dense, for patches (franca.rasa.fold)
    last block         L into the output weights of the last block's attention and feed-forward
    residual stream    L applied to all that enters the final norm, as if every weight that writes
                       to the stream had been folded and nothing before the norm had changed
    nothing            the untouched backbone

Exits with 1 unless the norm affine is exact to 1e-5 and the others are not to 1e-2.
"""

import copy
import sys

import numpy as np
import torch
from rasa_images import SIDE, VIEWS, build_backbone, draw_images
from torch import Tensor, nn

from franca.models.vit import VisionTransformer
from franca.rasa.batches import iterate
from franca.rasa.closed_form import fit_sal
from franca.rasa.diagnostics import linear_probe
from franca.rasa.features import ViewBatches
from franca.rasa.fold import FoldedBackbone
from franca.rasa.linear_map import LinearMap
from franca.rasa.moments import moments_of, sum_moments
from franca.rasa.targets import position
from franca.rasa.views import normalise

IMAGES = 256


def fold_into_last_block(model: VisionTransformer, linear_map: LinearMap) -> VisionTransformer:
    """Return a copy in which both writers of the last block write x L in place of x."""
    folded = copy.deepcopy(model)
    last, L = folded.blocks[-1], linear_map.matrix().float()
    with torch.no_grad():
        for writer in (last.get_submodule("attn.proj"), last.get_submodule("mlp.w3")):
            assert isinstance(writer, nn.Linear)
            writer.weight.copy_(L.T @ writer.weight)
            writer.bias.copy_(writer.bias @ L)
    return folded


def patches_of(model: VisionTransformer | FoldedBackbone, images: Tensor) -> Tensor:
    """Return patch tokens [images, patches, channels]."""
    return torch.cat([model.forward_features(batch).patches for batch in images.split(32)])


def stream_times(model: VisionTransformer, images: Tensor, linear_map: LinearMap) -> Tensor:
    """Multiply the residual stream by L, then take the final norm."""
    streams = [
        model.forward_intermediate(batch, 1, norm=False)[0].patches for batch in images.split(32)
    ]
    tokens: Tensor = model.norm(torch.cat(streams) @ linear_map.matrix().float())
    return tokens


def held_out_r2(features: Tensor) -> float:
    """Return the mean R^2 of row and column, half of the images against the other."""
    side = int(features.shape[1] ** 0.5)
    targets = position((side, side)).repeat(len(features) // 2, 1)
    train, test = (moments_of(half.flatten(0, 1), targets) for half in features.chunk(2))
    return sum(linear_probe(train, test).r2) / 2


@torch.no_grad()
def main() -> int:
    """Print a table; return the exit status."""
    model = build_backbone(seed=0)
    batches = ViewBatches(
        draw_images(IMAGES, seed=1),
        range(IMAGES),
        model=model,
        target=lambda _, grid: position(grid),
        views=VIEWS,
        side=SIDE,
        batch_size=32,
        shuffle=False,
        seed=0,
        purpose="fit",
        cache_bytes=0,
    )
    linear_map = fit_sal(sum_moments(iterate(batches, epochs=2)), metadata={})
    pixels = np.stack([np.asarray(image) for image in draw_images(IMAGES, seed=2)])
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    images = normalise(images, std=VIEWS.normalise_std)
    plain = patches_of(model, images)
    exact = linear_map(plain)
    folds = {
        "norm affine": patches_of(FoldedBackbone(model, linear_map), images),
        "last block": patches_of(fold_into_last_block(model, linear_map), images),
        "residual stream": stream_times(model, images, linear_map),
        "nothing": plain,
    }
    print(f"{'fold':16} {'error':>10} {'max |diff|':>11} {'R^2 left':>9}")
    errors = {}
    for name, features in folds.items():
        errors[name] = ((features - exact).norm() / (plain - exact).norm()).item()
        difference = (features - exact).abs().max().item()
        print(f"{name:16} {errors[name]:10.1e} {difference:11.1e} {held_out_r2(features):9.4f}")
    print(f"{'exact':16} {0:10.1e} {0:11.1e} {held_out_r2(exact):9.4f}")
    exactly = (folds["norm affine"] - exact).abs().max() <= 1e-5
    passed = exactly and min(errors["last block"], errors["residual stream"]) > 1e-2
    print("pass" if passed else "FAIL")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
