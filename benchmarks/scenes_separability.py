"""Does the embedded world reward learning? Pixels, an untrained ViT and a supervised one, compared.

    python benchmarks/scenes_separability.py WORLD [--steps 1500]

WORLD is a folder written by the stage `scenes`. The same small ViT (width 96, depth 3, patch 8) is
measured as initialised and after training on the labels of the two training splits; beside them
stands a random projection of raw pixels. Prints a Markdown table, each value with its standard
error (binomial, or bootstrap over images). A world is fit for use when supervised is five standard
errors above the two others on the headline rows.
"""

# mypy: disable-error-code="no-any-return"
# NumPy types arithmetic on arrays of any dtype as Any.

import argparse
import io
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image
from sklearn.cluster import MiniBatchKMeans
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional

from franca.models.vit import VisionTransformer, build_vit
from franca.randomness import generator

PATCH, WIDTH = 8, 96  # of the architecture vit_tiny
NUM_RESAMPLES = 200
SPLITS = ("train", "val")
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])

Array = np.ndarray
Score = tuple[float, float]  # a value and its standard error


@dataclass(frozen=True)
class Features:
    """An image feature [n, d] and a map of patch features [n, h, w, d]."""

    image: Array
    patches: Array


@dataclass(frozen=True)
class LabelledScenes:
    """Images [n, 3, height, width], masks [n, height, width], depth and normals of a split."""

    images: Tensor
    masks: Array
    depth: Array
    normals: Array
    num_classes: int


Encoder = Callable[[Tensor], Features]


def to_tensor(image: Image.Image) -> Tensor:
    """Normalise an image as ImageNet's models expect."""
    pixels = torch.from_numpy(np.array(image.convert("RGB"))).float() / 255
    return ((pixels - MEAN) / STD).permute(2, 0, 1)


def load_objects(path: Path) -> tuple[Tensor, Array]:
    """Read images and labels of a classification split."""
    table = pq.read_table(path).to_pydict()
    images = [to_tensor(Image.open(io.BytesIO(row["bytes"]))) for row in table["image"]]
    return torch.stack(images), np.array(table["label"])


def load_segmentation(root: Path, split: str) -> LabelledScenes:
    """Read images, masks, depth and normals of a split."""
    names = (root / "ImageSets" / "Segmentation" / f"{split}.txt").read_text().split()

    def read(folder: str) -> Array:
        return np.stack([np.load(root / folder / f"{name}.npy") for name in names]).astype(float)

    images = [to_tensor(Image.open(root / "JPEGImages" / f"{name}.jpg")) for name in names]
    masks = [np.array(Image.open(root / "SegmentationClass" / f"{name}.png")) for name in names]
    num_classes = len((root / "classes.txt").read_text().split())
    truths = np.stack(masks), read("Depth"), read("Normals")
    return LabelledScenes(torch.stack(images), *truths, num_classes)


def per_patch(values: Array) -> Array:
    """Average maps [n, height, width, ...] over patches."""
    count, height, width = values.shape[:3]
    grid = values.reshape(count, height // PATCH, PATCH, width // PATCH, PATCH, -1)
    return grid.mean((2, 4))


def one_hot(masks: Array, num_classes: int) -> Array:
    """Turn masks into class indicators; void has none."""
    return masks[..., None] == np.arange(num_classes)


def pixel_encoder(image_size: int, *, seed: int) -> Encoder:
    """Return random projections of whole images and of patches."""
    rng = np.random.default_rng(seed)
    whole = rng.standard_normal((3 * image_size**2, WIDTH)) / image_size
    patch = rng.standard_normal((3 * PATCH**2, WIDTH)) / PATCH

    def encode(images: Tensor) -> Features:
        count, _, height, width = images.shape
        cells = functional.unfold(images, PATCH, stride=PATCH).transpose(1, 2).numpy()
        maps = (cells @ patch).reshape(count, height // PATCH, width // PATCH, WIDTH)
        shrunk = functional.interpolate(images, size=(image_size, image_size), mode="area")
        return Features(shrunk.flatten(1).numpy() @ whole, maps)

    return encode


def vit_encoder(model: VisionTransformer) -> Encoder:
    """Return final CLS and patch tokens."""

    @torch.inference_mode()
    def encode(images: Tensor) -> Features:
        model.eval()
        parts = [model.forward_features(batch) for batch in images.split(128)]
        patches = torch.cat([part.patches for part in parts]).unflatten(1, parts[0].grid)
        return Features(torch.cat([part.cls for part in parts]).numpy(), patches.numpy())

    return encode


def train_supervised(
    model: VisionTransformer,
    objects: tuple[Tensor, Array],
    scenes: LabelledScenes,
    *,
    steps: int,
) -> None:
    """Teach CLS the object's class and every patch its mixture of classes, depth and normal."""
    num_classes = scenes.num_classes
    images, labels = objects[0], torch.from_numpy(objects[1])
    mixture = torch.from_numpy(per_patch(one_hot(scenes.masks, num_classes))).float()
    shape = np.concatenate([scenes.depth[..., None], scenes.normals], axis=-1)
    geometry = torch.from_numpy(per_patch(shape)).float()
    heads = nn.ModuleList([nn.Linear(WIDTH, n) for n in (num_classes - 1, num_classes, 4)])
    parameters = [*model.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps)
    draw = generator(0, "separability/batches")
    model.train()
    for _ in range(steps):
        some = torch.randint(len(images), (32,), generator=draw)
        whole = torch.randint(len(mixture), (24,), generator=draw)
        batch = torch.cat([images[some], scenes.images[whole]])
        tokens = model.forward_features(_recolor(batch, draw))
        loss = functional.cross_entropy(heads[0](tokens.cls[: len(some)]), labels[some])
        patches = tokens.patches[len(some) :]
        target = mixture[whole].flatten(1, 2)
        loss = loss - (target * heads[1](patches).log_softmax(-1)).sum(-1).mean()
        loss = loss + 0.3 * functional.mse_loss(heads[2](patches), geometry[whole].flatten(1, 2))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


def _recolor(images: Tensor, draw: torch.Generator) -> Tensor:
    """Permute the channels and scale them, so that colours teach nothing."""
    order = torch.randperm(3, generator=draw)
    gain = 0.7 + 0.6 * torch.rand(len(images), 3, 1, 1, generator=draw)
    return images[:, order] * gain


def unit(vectors: Array) -> Array:
    """Scale vectors to length one."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def bootstrap(values: Array, statistic: Callable[[Array], float] = np.mean) -> Score:
    """Return a statistic of rows (images, videos, pairs) and its standard error."""
    rng = np.random.default_rng(0)
    drawn = [
        statistic(values[rng.integers(len(values), size=len(values))]) for _ in range(NUM_RESAMPLES)
    ]
    return float(statistic(values)), float(np.std(drawn))


def root_mean(squares: Array) -> float:
    """Return the root of the mean of squared errors."""
    return float(np.sqrt(squares.mean()))


def nearest_neighbors(train: Array, labels: Array, val: Array, truth: Array) -> Score:
    """Accuracy of the vote of 20 neighbours, by cosine."""
    near = np.argsort(-unit(val) @ unit(train).T, axis=1)[:, :20]
    votes = (labels[near][..., None] == np.arange(labels.max() + 1)).sum(1)
    return bootstrap(votes.argmax(1) == truth)


def logistic(train: Array, labels: Array, val: Array, truth: Array) -> Score:
    """Accuracy of a logistic regression on standardised features."""
    mean, spread = train.mean(0), train.std(0) + 1e-8
    model = LogisticRegression(C=0.1, max_iter=1000).fit((train - mean) / spread, labels)
    return bootstrap(model.predict((val - mean) / spread) == truth)


def confusions(prediction: Array, masks: Array, num_classes: int) -> Array:
    """Count (truth, prediction) pairs of each image; predictions are per patch."""
    full = prediction.repeat(PATCH, axis=1).repeat(PATCH, axis=2)
    counts = []
    for truth, guess in zip(masks, full, strict=True):
        valid = truth < num_classes
        joint = truth[valid].astype(int) * num_classes + guess[valid]
        counts.append(np.bincount(joint, minlength=num_classes**2))
    return np.stack(counts).reshape(-1, num_classes, num_classes)


def mean_iou(counts: Array) -> float:
    """Mean intersection over union over the classes that occur."""
    total = counts.sum(0)
    hit = np.diag(total)
    union = total.sum(0) + total.sum(1) - hit
    return float((hit / np.maximum(union, 1))[total.sum(1) > 0].mean())


def in_context(bank: Array, labels: Array, queries: Array, *, neighbors: int = 30) -> Array:
    """Label patches by the softly weighted labels of the nearest patches of the training set."""
    bank = unit(bank).astype(np.float32)
    found = []
    for rows in np.array_split(unit(queries).astype(np.float32), max(1, len(queries) // 512)):
        similarity = rows @ bank.T
        near = np.argpartition(-similarity, neighbors, axis=1)[:, :neighbors]
        weight = np.exp(np.take_along_axis(similarity, near, 1) / 0.02)
        found.append((labels[near] * (weight / weight.sum(1, keepdims=True))[..., None]).sum(1))
    return np.concatenate(found)


def ridge(train: Array, target: Array, val: Array) -> Array:
    """Predict targets linearly from standardised features."""
    mean, spread = train.mean(0), train.std(0) + 1e-8
    inputs = np.c_[(train - mean) / spread, np.ones(len(train))].astype(float)
    gram = inputs.T @ inputs + 1e-3 * len(train) * np.eye(inputs.shape[1])
    weights = np.linalg.solve(gram, inputs.T @ target)
    return np.c_[(val - mean) / spread, np.ones(len(val))] @ weights


def dense_rows(encode: Encoder, train: LabelledScenes, val: LabelledScenes) -> dict[str, Score]:
    """Measure what patches know: classes, clusters, depth, normals."""
    num_classes = train.num_classes
    bank, queries = encode(train.images).patches, encode(val.images).patches
    grid = queries.shape[:3]
    flat_bank, flat_queries = bank.reshape(-1, WIDTH), queries.reshape(-1, WIDTH)
    histogram = per_patch(one_hot(train.masks, num_classes)).reshape(-1, num_classes)

    def score(predicted: Array) -> Score:
        counts = confusions(predicted.reshape(grid), val.masks, num_classes)
        return bootstrap(counts, mean_iou)

    rows = {
        "in-context mIoU": score(in_context(flat_bank, histogram, flat_queries).argmax(1)),
        "linear segmentation mIoU": score(ridge(flat_bank, histogram, flat_queries).argmax(1)),
    }
    clusters = MiniBatchKMeans(50, n_init=3, random_state=0).fit_predict(unit(flat_queries))
    truth = per_patch(one_hot(val.masks, num_classes)).reshape(-1, num_classes)
    majority = np.stack([truth[clusters == k].sum(0) for k in range(50)]).argmax(1)
    rows["overclustering K=50 mIoU"] = score(majority[clusters])
    depth = per_patch(val.depth)[..., 0]
    guess = ridge(flat_bank, per_patch(train.depth).reshape(-1, 1), flat_queries)
    error = (guess.reshape(grid) - depth) ** 2
    rows["depth ridge RMSE (m)"] = bootstrap(error, root_mean)
    guess = ridge(flat_bank, per_patch(train.normals).reshape(-1, 3), flat_queries)
    cosine = (unit(guess).reshape(*grid, 3) * unit(per_patch(val.normals))).sum(-1)
    angle = np.degrees(np.arccos(np.clip(cosine, -1, 1))) ** 2
    rows["normals ridge RMSE (°)"] = bootstrap(angle, root_mean)
    return rows


def propagate(encode: Encoder, root: Path) -> Score:
    """Mean region similarity J of masks carried from the first frame by patch similarity."""
    scores = []
    for name in (root / "ImageSets" / "2017" / "val.txt").read_text().split():
        frames = sorted((root / "JPEGImages" / "480p" / name).iterdir())
        masks = [
            np.array(Image.open(root / "Annotations" / "480p" / name / f"{frame.stem}.png"))
            for frame in frames
        ]
        maps = unit(encode(torch.stack([to_tensor(Image.open(f)) for f in frames])).patches)
        num_ids = int(masks[0].max()) + 1
        carried = [per_patch(one_hot(masks[0][None], num_ids))[0].reshape(-1, num_ids)]
        flat = maps.reshape(len(frames), -1, WIDTH)
        video = []
        for number in range(1, len(frames)):
            context = [0, *range(max(1, number - 3), number)]
            bank = np.concatenate([flat[i] for i in context])
            labels = np.concatenate([carried[i] for i in context])
            carried.append(in_context(bank, labels, flat[number], neighbors=5))
            soft = torch.from_numpy(carried[-1].reshape(1, *maps.shape[1:3], num_ids))
            large = functional.interpolate(
                soft.permute(0, 3, 1, 2), size=masks[0].shape, mode="bilinear"
            )
            upsampled = large[0].argmax(0).numpy()
            for identity in range(1, num_ids):
                guess, truth = upsampled == identity, masks[number] == identity
                union = (guess | truth).sum()
                video.append((guess & truth).sum() / union if union else 1.0)
        scores.append(np.mean(video))
    return bootstrap(np.array(scores))


def keypoints(encode: Encoder, root: Path, kind: str) -> Score:
    """Share of points found within a tenth of the target's box, plus half a patch."""
    scores = []
    for row in json.loads((root / "pairs.json").read_text()):
        if row["kind"] != kind:
            continue
        points = np.load(root / row["points"], allow_pickle=False)
        images = [to_tensor(Image.open(root / row[side])) for side in ("source", "target")]
        maps = torch.from_numpy(encode(torch.stack(images)).patches).float()
        height, width = images[0].shape[-2:]
        where = torch.from_numpy(points["source"]) / torch.tensor([width, height]) * 2 - 1
        wanted = functional.grid_sample(
            maps[:1].permute(0, 3, 1, 2), where[None, :, None], align_corners=False
        )[0, :, :, 0].T
        target = functional.normalize(maps[1].reshape(-1, WIDTH), dim=1)
        best = (functional.normalize(wanted, dim=1) @ target.T).argmax(1).numpy()
        columns = maps.shape[2]
        found = np.stack([best % columns, best // columns], axis=1) * PATCH + PATCH / 2
        box = points["target_box"]
        reach = 0.1 * max(box[2] - box[0], box[3] - box[1]) + PATCH / 2
        scores.append((np.linalg.norm(found - points["target"], axis=1) < reach).mean())
    return bootstrap(np.array(scores))


def novelty(train: Array, val: Array, novel: Array) -> Score:
    """AUROC of telling unseen classes from known ones by the distance to ten neighbours."""
    bank = unit(train)
    score = -np.sort(unit(np.concatenate([val, novel])) @ bank.T, axis=1)[:, -10]
    truth = np.r_[np.zeros(len(val)), np.ones(len(novel))]
    return bootstrap(
        np.stack([score, truth], axis=1), lambda rows: float(roc_auc_score(rows[:, 1], rows[:, 0]))
    )


def measure(encode: Encoder, world: Path) -> dict[str, Score]:
    """Measure an encoder on every set of a world."""
    objects = {s: load_objects(world / "objects" / f"{s}-00000-of-00001.parquet") for s in SPLITS}
    scenes = {split: load_segmentation(world / "segmentation", split) for split in SPLITS}
    files = (world / "novel" / f"{group}-00000-of-00001.parquet" for group in ("near", "far"))
    novel = torch.cat([load_objects(file)[0] for file in files])
    train, val = (encode(objects[split][0]).image for split in SPLITS)
    labels, truth = (objects[split][1] for split in SPLITS)
    return {
        "k-NN (20) top-1": nearest_neighbors(train, labels, val, truth),
        "logistic regression top-1": logistic(train, labels, val, truth),
        **dense_rows(encode, scenes["train"], scenes["val"]),
        "video J": propagate(encode, world / "videos"),
        "semantic PCK": keypoints(encode, world / "pairs", "semantic"),
        "geometric PCK": keypoints(encode, world / "pairs", "geometric"),
        "novelty AUROC": novelty(train, val, encode(novel).image),
    }


def main() -> None:
    """Compare the three encoders and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("world", type=Path)
    parser.add_argument("--steps", type=int, default=1500)
    options = parser.parse_args()
    torch.set_num_threads(1)
    objects = load_objects(options.world / "objects" / "train-00000-of-00001.parquet")
    image_size = objects[0].shape[-1]
    draw = generator(0, "separability/vit")
    vit = build_vit(
        "vit_tiny", patch_size=PATCH, image_size=image_size, layer_scale=1.0, generator=draw
    )
    columns = {
        "pixels": measure(pixel_encoder(image_size, seed=0), options.world),
        "untrained": measure(vit_encoder(vit), options.world),
    }
    began = time.process_time()
    scenes = load_segmentation(options.world / "segmentation", "train")
    train_supervised(vit, objects, scenes, steps=options.steps)
    print(f"supervised: {options.steps} steps, {time.process_time() - began:.0f} CPU-s\n")
    columns["supervised"] = measure(vit_encoder(vit), options.world)
    print("| metric |", " | ".join(columns), "| gap to untrained, standard errors |")
    print("|---|" + "---|" * (len(columns) + 1))
    for metric in columns["pixels"]:
        cells = [f"{columns[c][metric][0]:.3f} ± {columns[c][metric][1]:.3f}" for c in columns]
        (low, low_error), (high, high_error) = (columns[c][metric] for c in list(columns)[1:])
        gap = abs(high - low) / np.hypot(low_error, high_error)
        print(f"| {metric} |", " | ".join(cells), f"| {gap:.1f} |")


if __name__ == "__main__":
    main()
