"""Pictures for benchmarks that run the backbone themselves, and encoders that need none."""

import numpy as np
import torch
from PIL import Image

from franca.eval.benchmark import PictureInputs
from franca.eval.crops import Picture


def blocks(count, *, seed, size=(16, 24), classes=3, block=8):
    """Pictures of blocks of one class each; the colour says which."""
    rng = np.random.default_rng(seed)
    palette = np.array([[200, 30, 30], [30, 200, 30], [30, 30, 200], [90, 90, 90]], np.uint8)
    found = []
    for _ in range(count):
        coarse = rng.integers(0, classes, (size[0] // block, size[1] // block))
        mask = coarse.repeat(block, 0).repeat(block, 1).astype(np.uint8)
        found.append(Picture(Image.fromarray(palette[mask]), mask))
    return found


def mean_colours(images, masks):
    """An encoder whose tokens are the mean colours of 4x4 patches."""
    del masks
    return torch.nn.functional.avg_pool2d(images, 4)


def constant(images, masks):
    """An encoder that sees nothing."""
    return torch.ones(len(images), 3, masks.shape[1] // 4, masks.shape[2] // 4)


def picture_inputs(train, test, *, encode=mean_colours, num_classes=3, num_workers=0):
    return PictureInputs(
        train=train,
        test=test,
        encode=encode,
        dim=3,
        patch_size=4,
        num_classes=num_classes,
        ignore_index=255,
        num_workers=num_workers,
    )


def void(pictures, rows=slice(None)):
    """The same pictures, some rows of their masks void."""
    found = []
    for picture in pictures:
        mask = picture.mask.copy()
        mask[rows] = 255
        found.append(Picture(picture.image, mask))
    return found
