"""A small finished run on disk, in the layouts that the stages publish, for the report to read.

Numbers are made up but behave: losses fall, benchmarks rise, intervals have the width that their
counts imply. Nothing of it enters the project's own results.
"""

import hashlib
import io
import json
import math
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

STEPS = (0, 50, 100, 200, 400)
CHECKPOINTS = (*(f"step-{step:07d}" for step in STEPS), "highres", "rasa")
NEEDS = {
    "scenes": (),
    "fetch_metadata": ("scenes",),
    "filter_metadata": ("fetch_metadata",),
    "download_images": ("filter_metadata", "scenes"),
    "filter_images": ("download_images",),
    "deduplicate": ("filter_images", "download_images", "scenes"),
    "pack_shards": (
        "deduplicate", "filter_images", "download_images", "filter_metadata", "fetch_metadata",
    ),
    "pack_highres": ("deduplicate", "scenes"),
    "pretrain": ("pack_shards",),
    "finetune_highres": ("pretrain", "pack_shards", "pack_highres"),
    "rasa": ("finetune_highres", "pack_shards", "pack_highres"),
    "evaluate": ("pretrain", "finetune_highres", "rasa", "scenes"),
}  # fmt: skip
GROUPS = ("group-000", "group-001")
PARTS = {
    "filter_metadata": GROUPS, "download_images": GROUPS, "filter_images": GROUPS,
    "evaluate": ("highres", "rasa"),
}  # fmt: skip
PER_VARIANT = ("pretrain", "finetune_highres", "rasa", "evaluate")
FUNNEL = (
    ("filter_metadata", "duplicate_url", {"repeated": 37}),
    ("filter_metadata", "resolution", {"too_small": 212, "unknown_size": 18}),
    ("filter_metadata", "aspect_ratio", {"too_elongated": 41}),
    ("filter_metadata", "unsafe", {"punsafe": 66}),
    ("filter_metadata", "watermark", {"pwatermark": 88}),
    ("download_images", "download", {"http_404": 61, "timeout": 17, "not_an_image": 12}),
    ("filter_images", "decodes", {"truncated": 6}),
    ("filter_images", "flat", {"one_colour": 9}),
    ("deduplicate", "exact", {"same_bytes": 24}),
    ("deduplicate", "near", {"near_duplicate": 58}),
    ("deduplicate", "leakage", {"in_evaluation_set": 11}),
)
# benchmark, metric, direction, unit, values by checkpoint
MEASURES = (
    ("knn", "top1@k10", "higher", "fraction", (0.18, 0.21, 0.24, 0.29, 0.33, 0.34, 0.34)),
    ("knn", "top1@k20", "higher", "fraction", (0.19, 0.22, 0.25, 0.30, 0.34, 0.36, 0.36)),
    ("knn", "top1@d/2", "higher", "fraction", (0.19, 0.21, 0.24, 0.29, 0.33, 0.35, 0.35)),
    ("knn", "top1@d/4", "higher", "fraction", (0.18, 0.20, 0.22, 0.27, 0.31, 0.33, 0.33)),
    ("knn", "top1@d/8", "higher", "fraction", (0.17, 0.19, 0.20, 0.24, 0.28, 0.29, 0.29)),
    ("logreg", "top1", "higher", "fraction", (0.24, 0.27, 0.31, 0.36, 0.40, 0.42, 0.42)),
    ("in_context", "miou", "higher", "fraction", (0.16, 0.17, 0.19, 0.22, 0.25, 0.27, 0.28)),
    ("depth", "rmse", "lower", "m", (1.65, 1.41, 1.22, 1.05, 0.94, 0.90, 0.91)),
    ("normals", "rmse", "lower", "degree", (37.6, 33.1, 29.8, 27.0, 25.2, 24.8, 24.9)),
    ("position", "r2", "lower", "1", (0.02, 0.20, 0.31, 0.38, 0.41, 0.43, 0.04)),
    ("overclustering", "miou", "higher", "fraction", (0.11, 0.11, 0.11, 0.12, 0.12, 0.12, 0.13)),
)
ABLATION = {  # of filters of the metadata alone, repeated URLs apart
    "rows": 1000,
    "filters": [
        {"filter": "resolution", "alone": 240, "in_sequence": 230, "only": 200},
        {"filter": "aspect_ratio", "alone": 60, "in_sequence": 41, "only": 30},
        {"filter": "unsafe", "alone": 80, "in_sequence": 66, "only": 60},
        {"filter": "watermark", "alone": 100, "in_sequence": 88, "only": 80},
    ],
    "overlap": [[240, 19, 9, 12], [19, 60, 7, 4], [9, 7, 80, 4], [12, 4, 4, 100]],
    "rules": [{"filter": "resolution", "reason": "too_small", "rows": 222}],
}
DATASETS = {"knn": "objects", "logreg": "objects"}
COUNT = 400
MASKING = {
    "kind": "cyclic", "probability": 0.5, "ratio": [0.1, 0.65], "counts": "uniform",
    "min_aspect": 0.3, "padded": False,
}  # fmt: skip
AUGMENT = {
    "global_crops": {"size": 64, "scale": [0.48, 1.0]},
    "local_crops": {"size": 32, "scale": [0.1, 0.48], "count": 6},
    "flip": 0.5,
    "jitter": {
        "probability": 0.8, "brightness": 0.4, "contrast": 0.4, "saturation": 0.2, "hue": 0.1,
    },
    "grayscale": 0.2,
    "blur": {
        "kernel_size": 3, "sigma": [0.1, 2.0], "first_global": 1.0, "second_global": 0.1,
        "local": 0.5, "legacy": True,
    },
    "solarize": {"probability": 0.2, "threshold": 128},
    "backend": "torchvision",
    "approximate_colour": False,
}  # fmt: skip
DIM, GRID = 24, 8


def make_run(root: Path, *, variant: str = "franca") -> dict[str, Path]:
    """Write a whole run under `root` and return the published folder of every stage."""
    inputs = {
        stage: root / "tiny" / (f"{variant}/{stage}" if stage in PER_VARIANT else stage)
        for stage in NEEDS
    }
    for folder in inputs.values():
        folder.mkdir(parents=True, exist_ok=True)
    _write_shards(inputs["pack_shards"])
    _write_dropped(inputs["pack_shards"], inputs["download_images"] / "group-000" / "raw")
    _write_json(inputs["filter_metadata"] / "ablation.json", ABLATION)
    _write_json(inputs["rasa"] / "diagnostics.json", _diagnostics())
    _write_json(inputs["pack_shards"] / "funnel.json", _funnel())
    _write_log(inputs["pretrain"], first=0, steps=400)
    _write_log(inputs["finetune_highres"], first=400, steps=60)
    _write_json(inputs["evaluate"] / "results.json", make_results(variant))
    for name in ("step-0000000", "highres", "rasa"):
        _write_samples(inputs["evaluate"] / name)
    write_receipts(inputs)
    return inputs


def make_results(variant: str = "franca") -> list[dict]:
    """Make up the content of results.json; `dinov2` is a little worse than `franca`."""
    penalty = {"franca": 1.0, "dinov2": 0.9}[variant]
    rows = []
    for place, checkpoint in enumerate(CHECKPOINTS):
        for benchmark, metric, direction, unit, values in MEASURES:
            start, gain = values[0], (values[place] - values[0]) * penalty
            value = start + gain
            spread = math.sqrt(value * (1 - value)) if unit == "fraction" else 0.4 * abs(value)
            half = 1.96 * max(spread, 0.05) / math.sqrt(COUNT)
            rows.append({
                "checkpoint": checkpoint, "benchmark": benchmark, "metric": metric,
                "dataset": DATASETS.get(benchmark, "rooms"), "value": round(value, 6),
                "ci95": [round(value - half, 6), round(value + half, 6)], "n": COUNT,
                "direction": direction, "protocol": f"how {benchmark} is done", "version": "1.0",
                "unit": unit,
            })  # fmt: skip
    return rows


def picture(index: int, side: int = 64) -> Image.Image:
    """Draw a coloured shape on a coloured ground."""
    rng = np.random.default_rng(index)
    ground, ink = (tuple(int(v) for v in rng.integers(30, 226, 3)) for _ in range(2))
    image = Image.new("RGB", (side, side), ground)
    draw = ImageDraw.Draw(image)
    x, y, r = (float(v) for v in rng.uniform([0.35, 0.35, 0.15], [0.65, 0.65, 0.32]) * side)
    box = (x - r, y - r, x + r, y + r)
    (draw.ellipse, draw.rectangle, draw.rounded_rectangle)[index % 3](box, fill=ink)
    return image


def write_receipts(inputs: dict[str, Path]) -> None:
    """Give every folder a receipt that lists its files and the receipts it read."""
    parameters = {
        "pretrain": {
            "model": {"arch": "vit_tiny"}, "steps": 400, "global_batch_size": 32,
            "augment": AUGMENT,
            "masking": MASKING,
        },
    }  # fmt: skip
    for stage, needs in NEEDS.items():
        section = {"version": 1, "seed": 0, stage: parameters.get(stage, {"workers": 2})}
        read = {name: inputs[name] for name in needs}
        # A stage that fans out: each part reads stages, or the like part of a stage that fans out
        # into the same parts; the whole reads its parts.
        parts = {name: inputs[stage] / name for name in PARTS.get(stage, ())}
        for name, part in parts.items():
            part.mkdir(exist_ok=True)
            _write_receipt(part, stage, section, {
                need: folder / name if PARTS.get(need) == PARTS[stage] else folder
                for need, folder in read.items()
            })  # fmt: skip
        _write_receipt(inputs[stage], stage, section, parts or read)


def _write_receipt(folder: Path, stage: str, parameters: dict, inputs: dict[str, Path]) -> None:
    inside = [path.parent for path in folder.glob("*/receipt.json")]
    files = sorted(
        path for path in folder.rglob("*")
        if path.is_file() and path.name != "receipt.json" and path.parent not in inside
    )  # fmt: skip
    content = {
        "stage": stage,
        "parameters": parameters,
        "inputs": {name: _digest(path / "receipt.json") for name, path in inputs.items()},
        "outputs": {
            "files": len(files),
            "bytes": sum(path.stat().st_size for path in files),
            "sha256": hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest(),
        },
        "summary": {"files": len(files)},
    }
    _write_json(folder / "receipt.json", content)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _funnel() -> list[dict]:
    entered, accounts = 1000, []
    for stage, name, reasons in FUNNEL:
        dropped = sum(reasons.values())
        accounts.append({
            "stage": stage, "filter": name, "in": entered, "kept": entered - dropped,
            "dropped": dropped, "reasons": reasons,
        })  # fmt: skip
        entered -= dropped
    return accounts


def _write_shards(folder: Path, *, count: int = 30) -> None:
    index, manifest = [], []
    for shard in range(2):
        with tarfile.open(
            folder / f"shard-{shard:06d}.tar", "w", format=tarfile.USTAR_FORMAT
        ) as tar:
            for number in range(shard, count, 2):
                key = hashlib.sha256(str(number).encode()).hexdigest()[:32]
                data, text = _encode(number), f"a shape, number {number}"
                row = {"key": key, "shard": shard, "sha256": hashlib.sha256(data).hexdigest(),
                       "width": 64, "height": 64}  # fmt: skip
                index.append(row | _add(tar, f"{key}.jpg", data))
                manifest.append(row | {"url": f"http://example.org/{key}.jpg", "caption": text})
    index.sort(key=lambda row: (row["shard"], row["offset"]))
    pq.write_table(pa.Table.from_pylist(index), folder / "index.parquet")
    pq.write_table(pa.Table.from_pylist(manifest), folder / "manifest.parquet")


def _write_dropped(packed: Path, raw: Path) -> None:
    """A ledger of all dropped rows, and the images of those that were ever downloaded."""
    raw.mkdir(parents=True)
    ledger, stored = [], []
    with tarfile.open(raw / "shard-000000.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for account in _funnel():
            for reason, number in account["reasons"].items():
                for copy in range(number):
                    name = f"{account['filter']}-{reason}-{copy}"
                    twin = f"{account['filter']}-{reason}-{0 if copy else 1}"
                    twin = twin if reason == "same_bytes" else None
                    row = {"row_id": name, "url": f"http://example.org/{name}", "shard": None,
                           "stage": account["stage"], "verdict": "dropped", "detail": twin,
                           "filter": account["filter"], "reason": reason}  # fmt: skip
                    ledger.append(row)
                    if account["stage"] in ("filter_images", "deduplicate"):
                        data = _encode(len(ledger))[: 200 if reason == "truncated" else None]
                        stored.append({"row_id": name, "kept": True, "shard": 0}
                                      | _add(tar, f"{name}.jpg", data))  # fmt: skip
    pq.write_table(pa.Table.from_pylist(ledger), packed / "ledger.parquet", row_group_size=100)
    pq.write_table(pa.Table.from_pylist(stored), raw / "shard-000000.parquet")


def _encode(number: int) -> bytes:
    buffer = io.BytesIO()
    picture(number).save(buffer, format="JPEG", quality=90)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> dict:
    header = tarfile.TarInfo(name)
    header.size = len(data)
    offset = tar.offset + tarfile.BLOCKSIZE
    tar.addfile(header, io.BytesIO(data))
    return {"offset": offset, "size": len(data)}


def _diagnostics() -> dict:
    """What the stage rasa writes for the published method."""

    def probe(level: float) -> dict:
        return {"r2": [level, 0.9 * level], "mse": [0.1 * (1 - level)] * 2, "chance_mse": [0.1] * 2}

    rounds = [probe(level) for level in (0.31, 0.18, 0.12, 0.07, 0.05, 0.03, 0.02, 0.01)]
    return {
        "method": "rasa", "preset": "embedded", "target": "linear", "rank": 16,
        "images": {"fit": 300, "probe": 20}, "energy_removed": 0.083,
        "before": {"linear": probe(0.46), "mlp": probe(0.58)},
        "after": {"linear": probe(0.01), "mlp": probe(0.22)},
        "after_round": rounds,
    }  # fmt: skip


def _write_log(folder: Path, *, first: int, steps: int) -> None:
    rng = np.random.default_rng(first)
    lines = []
    for step in range(first, first + steps):
        done = (step - first + 1) / steps
        row = {"step": step, "loss": 21 - 6 * done + float(rng.normal(0, 0.2))}
        for term in ("dino_global", "dino_local", "ibot"):
            for level, start in (("d/4", 3.6), ("d/2", 4.2), ("d", 4.8)):
                row[f"{term}/{level}"] = start - 1.2 * done + float(rng.normal(0, 0.06))
        row |= {
            "koleo": -0.4 - 0.2 * done,
            "gradient_norm_backbone": 1.5 - done,
            "learning_rate": 1e-3 * math.cos(done * math.pi / 2),
            "weight_decay": 0.04 + 0.36 * done,
            "momentum": 0.992 + 0.008 * done,
            "teacher_temperature": 0.04 + 0.03 * min(1, 3 * done),
        }
        lines.append(json.dumps(row))
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_samples(folder: Path, *, count: int = 6) -> None:
    """Features that know the colour of their patch and, before RASA, its place."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    mix, place_mix = rng.normal(size=(3, DIM)), rng.normal(size=(2, DIM))
    images = np.stack([np.asarray(picture(number)) for number in range(count)])
    patch = 64 // GRID
    means = images.reshape(count, GRID, patch, GRID, patch, 3).mean((2, 4)) / 255
    place = np.stack(np.meshgrid(*[np.linspace(-1, 1, GRID)] * 2, indexing="ij"), -1)
    strength = 1.0 if folder.name == "highres" else 0.0
    masks = (np.abs(images.astype(int) - images[:, :1, :1]).sum(-1) > 60).astype(np.uint8)
    patches = (
        means @ mix + strength * (place @ place_mix) + rng.normal(0, 0.05, (count, GRID, GRID, DIM))
    )
    np.savez_compressed(
        folder / "samples.npz",
        images=images,
        patches=patches.reshape(count, -1, DIM).astype(np.float16),
        grid=np.array([GRID, GRID]),
        masks=masks,
        segmented=np.roll(masks, 2, axis=1),
        clustered=masks[:, ::patch, ::patch],
        attention=np.stack([means[..., 0], means[..., 2]], 1).reshape(count, 2, -1),
        norms=means.sum(-1).reshape(count, -1).astype(np.float32),
    )
