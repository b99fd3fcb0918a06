"""Stage rasa: from the high-resolution backbone to a linear map that forgets absolute position.

output/
  map.safetensors             A [D, k], B [k, D], mean [D]: z' = z - ((z - mean) A) B
  rounds/round-01.safetensors …  the iterative methods' regressors and planes
  diagnostics.json            what probes find before, after, and after each round
work/rounds/                  the same rounds while the fit is under way
"""

import dataclasses
import json
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from franca.config.rasa import Rasa
from franca.data.datasets import highres_images
from franca.data.shards import ShardDataset
from franca.models.weights import load_backbone
from franca.randomness import generator, numpy_generator
from franca.rasa.batches import iterate
from franca.rasa.closed_form import fit_leace, fit_sal
from franca.rasa.diagnostics import energy_removed, linear_probe, mlp_probe
from franca.rasa.features import ViewBatches
from franca.rasa.fit import fit_rounds
from franca.rasa.linear_map import LinearMap, compose_planes, identity_map, save_map
from franca.rasa.moments import sum_moments
from franca.rasa.targets import build_target
from franca.rasa.views import ViewSettings

_GIGABYTE = 10**9
_CLOSED_FORMS = {"sal": fit_sal, "leace": fit_leace}


class ShardImages:
    """The packed images, decoded."""

    def __init__(self, dataset: ShardDataset) -> None:
        self._dataset = dataset

    def __getitem__(self, index: int) -> Image.Image:
        """Return an image.

        Raises:
            ValueError: damaged bytes; pack_shards lets none through, so nothing is skipped here.
        """
        return Image.fromarray(self._dataset.read(index).decode())


def run(
    cfg: Rasa, *, seed: int, inputs: Mapping[str, Path], output: Path, work: Path
) -> dict[str, Any]:
    """Fit the map, check it on held-out images, and write both.

    Raises:
        FileNotFoundError: no backbone or no shards.
        ValueError: too few images, a rank above the backbone's width, targets that cannot be
            removed, features that are not finite.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, _ = load_backbone(inputs["finetune_highres"] / "checkpoints" / "highres.safetensors")
    dataset = highres_images(inputs["pack_highres"], inputs["pack_shards"], image_set=cfg.image_set)
    fitted, probe_train, probe_test = split_images(
        len(dataset), max_images=cfg.max_images, num_probe_images=cfg.probe.num_images, seed=seed
    )
    batches_of = partial(
        ViewBatches,
        ShardImages(dataset),
        model=model.to(device),
        target=build_target(cfg.target, fourier_order=cfg.fourier_order),
        views=ViewSettings(**cfg.fit.views.model_dump()),
        side=model.arch.image_size,
        seed=seed,
        cache_bytes=int(cfg.cache_gigabytes * _GIGABYTE),
    )
    batches = batches_of(
        fitted, batch_size=cfg.fit.batch_size, shuffle=cfg.fit.shuffle, purpose="fit"
    )
    linear_map, planes = _fit(cfg, batches, seed=seed, rounds=work / "rounds")
    held_out = [
        batches_of(
            indices,
            batch_size=min(cfg.fit.batch_size, len(indices)),
            shuffle=False,
            purpose="probe",
        )
        for indices in (probe_train, probe_test)
    ]
    diagnostics = {
        **linear_map.metadata,
        "images": {"fit": len(fitted), "probe": len(probe_train)},
        **_diagnose(cfg, linear_map, planes, held_out, seed=seed),
    }
    _publish(linear_map, diagnostics, output=output, rounds=work / "rounds" if planes else None)
    return _summary(diagnostics)


def split_images(
    num_images: int, *, max_images: int | None, num_probe_images: int, seed: int
) -> tuple[list[int], list[int], list[int]]:
    """Deal out the images: to fit the map, to fit the probes, to score them.

    Three sets and not two: on the images of its own fit a closed form is at chance by construction.

    Raises:
        ValueError: no images left to fit on.
    """
    order = numpy_generator(seed, "rasa-split").permutation(num_images).tolist()
    held_out = 2 * num_probe_images
    if num_images <= held_out:
        raise ValueError(
            f"{num_images} images leave none to fit on beside 2 x {num_probe_images} held out: "
            "lower rasa.probe.num_images, or pack more images"
        )
    end = num_images if max_images is None else held_out + max_images
    return order[held_out:end], order[:num_probe_images], order[num_probe_images:held_out]


def _fit(
    cfg: Rasa, batches: ViewBatches, *, seed: int, rounds: Path
) -> tuple[LinearMap, list[Tensor]]:
    """Return the map, and the planes that it is made of if the method is iterative."""
    metadata: dict[str, Any] = {"method": cfg.method, "preset": cfg.preset, "target": cfg.target}
    if cfg.fourier_order is not None:
        metadata["fourier_order"] = cfg.fourier_order
    if cfg.method in _CLOSED_FORMS:
        moments = sum_moments(iterate(batches, epochs=cfg.fit.epochs))
        return _CLOSED_FORMS[cfg.method](moments, metadata=metadata).to(torch.device("cpu")), []
    planes = fit_rounds(
        batches,
        orthogonal=cfg.method == "rasa_orthogonal",
        num_rounds=cfg.fit.rounds,
        epochs=cfg.fit.epochs,
        learning_rate=cfg.fit.learning_rate,
        seed=seed,
        folder=rounds,
    )
    return compose_planes(planes, metadata=metadata), planes


def _diagnose(
    cfg: Rasa,
    linear_map: LinearMap,
    planes: Sequence[Tensor],
    held_out: Sequence[ViewBatches],
    *,
    seed: int,
) -> dict[str, Any]:
    """Probe held-out tokens before, after each round, and after all."""
    train, test = (sum_moments(iterate(batches, epochs=1)) for batches in held_out)
    tokens = [_sample_tokens(b, max_tokens=cfg.probe.max_tokens, seed=seed) for b in held_out]

    def linear(candidate: LinearMap) -> dict[str, list[float]]:
        probe = linear_probe(train.mapped(candidate), test.mapped(candidate))
        return dataclasses.asdict(probe)

    def mlp(candidate: LinearMap) -> dict[str, list[float]]:
        probe = mlp_probe(
            *((candidate(features), targets) for features, targets in tokens),
            hidden=cfg.probe.hidden,
            num_steps=cfg.probe.steps,
            batch_size=cfg.probe.batch_size,
            learning_rate=cfg.probe.learning_rate,
            seed=seed,
        )
        return dataclasses.asdict(probe)

    untouched = identity_map(linear_map.dim)
    prefixes = [compose_planes(planes[: n + 1], metadata={}) for n in range(len(planes))]
    return {
        "rank": linear_map.rank,
        "energy_removed": energy_removed(test, linear_map),
        "before": {"linear": linear(untouched), "mlp": mlp(untouched)},
        "after": {"linear": linear(linear_map), "mlp": mlp(linear_map)},
        "after_round": [linear(prefix) for prefix in prefixes],
    }


def _sample_tokens(batches: ViewBatches, *, max_tokens: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw an equal number of tokens from every batch."""
    quota = -(-max_tokens // batches.num_batches)
    features, targets = [], []
    for index, (z, y) in enumerate(iterate(batches, epochs=1)):
        draw = generator(seed, "rasa-probe-tokens", index)
        chosen = torch.randperm(len(z), generator=draw)[:quota].to(z.device)
        features.append(z[chosen])
        targets.append(y[chosen])
    return torch.cat(features), torch.cat(targets)


def _publish(
    linear_map: LinearMap, diagnostics: Mapping[str, Any], *, output: Path, rounds: Path | None
) -> None:
    save_map(linear_map, output / "map.safetensors")
    if rounds is not None:
        (output / "rounds").mkdir()
        for path in sorted(rounds.glob("*.safetensors")):
            shutil.copyfile(path, output / "rounds" / path.name)
    text = json.dumps(diagnostics, indent=1, sort_keys=True)
    (output / "diagnostics.json").write_text(text + "\n", encoding="utf-8")


def _summary(diagnostics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the headline: rank, energy, and mean held-out R^2 before and after."""
    return {
        "method": diagnostics["method"],
        "target": diagnostics["target"],
        "rank": diagnostics["rank"],
        "energy_removed": diagnostics["energy_removed"],
        **{
            f"{probe}_r2_{when}": fmean(diagnostics[when][probe]["r2"])
            for probe in ("linear", "mlp")
            for when in ("before", "after")
        },
    }
