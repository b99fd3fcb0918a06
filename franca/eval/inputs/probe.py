"""What the linear probe sees: training images as a stream of features, and the images it scores."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from franca.eval.benchmark import ImageFeatures
from franca.eval.datasets import FolderImages, LabelledImages
from franca.eval.features import address_key, tokens_of
from franca.eval.inputs.contracts import ProbeInputs
from franca.eval.store import FeatureStore
from franca.eval.transforms import CentreCrop, RandomCrop, normalise, to_pixels
from franca.models.weights import save_tensors

_HEADS_VERSION = 1


class _Crops(Dataset[Tensor]):
    """Pixels of the images in the order in which the stream wants them."""

    def __init__(
        self,
        images: LabelledImages,
        rows: Sequence[int],
        crop: CentreCrop,
        augment: RandomCrop | None,
    ) -> None:
        self._images = images
        self._rows = rows
        self._crop = crop
        self._augment = augment

    def __getitem__(self, place: int) -> Tensor:
        image = self._images.image(self._rows[place])
        if self._augment is None:
            return torch.from_numpy(to_pixels(self._crop(image)))
        return torch.from_numpy(to_pixels(self._augment(image, size=self._crop.size, place=place)))


def stream_features(
    store: FeatureStore,
    images: LabelledImages,
    batches: Sequence[Int[Tensor, " _"]],
    augment: RandomCrop | None,
) -> Iterator[ImageFeatures]:
    """Run batches of images through the model one after another; nothing is stored.

    Args:
        store: the model, its input size and what it runs on.
        images: the training images.
        batches: rows of them.
        augment: a random crop of each, or None for the centre crop of stored features.
    """
    rows = torch.cat(list(batches)).tolist()
    ends = np.cumsum([len(batch) for batch in batches]).tolist()
    places = [list(range(end - len(batch), end)) for end, batch in zip(ends, batches, strict=True)]
    loader = DataLoader(
        _Crops(images, rows, store.crop, augment),
        batch_sampler=places,
        num_workers=store.num_workers,
    )
    labels = torch.from_numpy(images.labels)
    for batch, pixels in zip(batches, loader, strict=True):
        inputs = normalise(pixels.to(store.device))
        tokens = tokens_of(store.model, inputs, blocks=store.blocks)
        yield ImageFeatures(
            cls_blocks=torch.stack([block.cls for block in tokens], dim=1),
            mean_patch=tokens[-1].patches.mean(1),
            labels=labels[batch],
        )


def keep_heads(
    folder: Path,
    known: Mapping[str, Any],
    settings: Mapping[str, Any],
    make: Callable[[], dict[str, Tensor]],
) -> dict[str, Tensor]:
    """Return what `make` makes for these images, model and settings, from disk if it is there."""
    address = {"heads": _HEADS_VERSION, **known, "settings": dict(settings)}
    path = folder / address_key(address) / "heads.safetensors"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        save_tensors(make(), temporary)
        (path.parent / "address.json").write_text(json.dumps(address, indent=1, sort_keys=True))
        temporary.replace(path)
    kept: dict[str, Tensor] = load_file(path)
    return kept


def probe_inputs(
    store: FeatureStore,
    train: LabelledImages,
    validation: LabelledImages,
    scored: LabelledImages,
    *,
    accepted: list[list[int]] | None,
) -> ProbeInputs:
    """Return what the probe on `train` sees when it is scored on `scored`.

    Args:
        store: the model.
        train: the known training images.
        validation: known images to choose a head on.
        scored: images of known classes, by their names or numbers; may be `validation`.
        accepted: for each of the scored images its right known classes, at least one; or None.

    Raises:
        ValueError: a class of the scored images is not a known one.
    """
    known = {
        "weights": store.weights_digest,
        "train": train.digest,
        "validation": validation.digest,
        "crop": [store.crop.resize, store.crop.crop],
    }
    found = store.image_features(validation)
    return ProbeInputs(
        labels=torch.from_numpy(train.labels),
        num_classes=len(train.names),
        stream=partial(stream_features, store, train),
        keep=partial(keep_heads, store.folder, known),
        validation=found,
        test=found if scored is validation else store.image_features(scored),
        columns=known_classes(scored.names, train.names),
        accepted=None if accepted is None else _as_table(accepted, classes=len(train.names)),
    )


def known_classes(names: Sequence[str], known: Sequence[str]) -> Int[Tensor, " classes"]:
    """Return the number of each class among the known ones, by name, or by number (ImageNet-V2).

    Raises:
        ValueError: one is not known.
    """
    numbers = {name: number for number, name in enumerate(known)}
    numbers |= {str(number): number for number in range(len(known))} if _numeric(names) else {}
    for name in names:
        if name not in numbers:
            raise ValueError(
                f"class {name!r} of the shifted set is not among the {len(known)} of its known_set "
                f"({known[0]!r}, …): both must name classes alike; ImageNet's folders do"
            )
    return torch.tensor([numbers[name] for name in names])


def _numeric(names: Sequence[str]) -> bool:
    return all(name.isdigit() for name in names)


def _as_table(accepted: list[list[int]], *, classes: int) -> Bool[Tensor, "images classes"]:
    table = torch.zeros(len(accepted), classes, dtype=torch.bool)
    for row, right in enumerate(accepted):
        table[row, right] = True
    return table


class AcceptedLabels:
    """Images of which several classes may be right, as in ImageNet-ReaL (Beyer et al., 2020).

    Args:
        images: the split, in folders.
        file: a JSON list with a list of right classes for each image of the split, in the order of
            the files' names (`real.json` of google-research/reassessed-imagenet). Images with none
            do not count.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it does not hold a list for each image.
    """

    def __init__(self, images: FolderImages, file: Path) -> None:
        expected = f"expected {file}: a JSON list with a list of classes for each of the images"
        if not file.is_file():
            raise FileNotFoundError(f"{expected}; there is no such file")
        lists = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(lists, list) or len(lists) != len(images.every_file):
            found = len(lists) if isinstance(lists, list) else "no list"
            raise ValueError(f"{expected}, {len(images.every_file)} in all; found {found}")
        places = {name: place for place, name in enumerate(sorted(images.every_file))}
        each = [lists[places[name]] for name in images.files]
        self._images = images
        self._counted = [row for row, right in enumerate(each) if right]
        self.accepted = [each[row] for row in self._counted]
        self.names = images.names
        self.labels: NDArray[np.int64] = images.labels[self._counted]
        text = json.dumps(self.accepted)
        self.digest = f"{images.digest} {address_key({'accepted': text})}"

    def __len__(self) -> int:
        """Return the number of images that count."""
        return len(self._counted)

    def image(self, index: int) -> Any:
        """Return one RGB image."""
        return self._images.image(self._counted[index])
