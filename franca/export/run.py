"""Export weights: write a folder, read it back, compare, and publish it only if it is right."""

import tempfile
from pathlib import Path

from franca.api import Backbone, load, read_map
from franca.export import FormatName
from franca.export.card import write_card
from franca.export.format import Format, plain_model
from franca.export.huggingface_format import HUGGINGFACE
from franca.export.onnx_format import ONNX
from franca.export.parity import measure, probe_sizes
from franca.export.safetensors_format import SAFETENSORS
from franca.export.timm_format import TIMM
from franca.rasa.linear_map import LinearMap, save_map
from franca.train.checkpoint import file_sha256

FORMATS: dict[FormatName, Format] = {
    "safetensors": SAFETENSORS,
    "timm": TIMM,
    "huggingface": HUGGINGFACE,
    "onnx": ONNX,
}
MAP = "rasa_map.safetensors"


def run(*, format_name: FormatName, weights: Path, rasa: Path | None, output: Path) -> list[str]:
    """Write the folder `output`; return what there is to say about it, a line each.

    Args:
        format_name: row of `FORMATS`.
        weights: whatever `franca.load` reads.
        rasa: whatever `franca.load` takes as a map. Where the format cannot hold it, it is written
            beside the weights, and a line says so.
        output: folder that is not there yet.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if the folder exists, a file cannot be read, a package of the extra `export` is
            missing, or what was written does not give the features of the backbone.
    """
    if output.exists():
        raise ValueError(f"{output}: is there already; name a new folder, or delete it")
    form = FORMATS[format_name]
    backbone = load(weights, rasa=rasa if form.holds_map else None).float()
    beside = _map_beside(form, backbone, weights=weights, rasa=rasa)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=output.parent) as staging:
        folder = Path(staging) / output.name
        folder.mkdir()
        form.write(backbone, folder)
        lines = _compare(form, backbone, folder)
        if beside is not None:
            save_map(beside, folder / MAP)
            lines.append(
                f"{form.title} has one final norm for CLS and patches and cannot hold the map of "
                f"RASA: patches leave uncorrected, and {MAP} beside them has the map"
            )
        files = [path for path in (weights, rasa) if path is not None]
        card = write_card(
            backbone,
            form,
            source={path.name: file_sha256(path) for path in files},
            findings=lines,
            map_beside=beside is not None,
        )
        (folder / "README.md").write_text(card, encoding="utf-8")
        folder.rename(output)
    return [*lines, f"{output}: written, and README.md in it says how to load it"]


def _map_beside(
    form: Format, backbone: Backbone, *, weights: Path, rasa: Path | None
) -> LinearMap | None:
    """Return the map if the format cannot hold it.

    Raises:
        ValueError: if it is folded into the weights already, or belongs to another backbone.
    """
    if form.holds_map:
        return None
    if backbone.model is not plain_model(backbone):
        raise ValueError(
            f"{weights}: RASA is folded into it, which {form.title} cannot hold: "
            "give the checkpoint itself, and the map with --rasa"
        )
    if rasa is None:
        return None
    linear_map = read_map(rasa)
    if linear_map.dim != backbone.embed_dim:
        raise ValueError(
            f"{rasa}: takes {linear_map.dim} channels and {weights} has {backbone.embed_dim}: "
            "give the map that was fitted on this backbone"
        )
    return linear_map


def _compare(form: Format, backbone: Backbone, folder: Path) -> list[str]:
    """Compare at the native size and at another; return what was found, a line each.

    Raises:
        ValueError: if the features differ where they should not.
    """
    model, read = plain_model(backbone), form.open(folder)
    native_size, other_size = probe_sizes(backbone)
    native = measure(backbone, read, size=native_size, batch=1)
    other = measure(backbone, read, size=other_size, batch=2)
    same_law = form.interpolation(model) == model.interpolation
    for difference in (native, other) if same_law else (native,):
        if not difference.tolerated:
            raise ValueError(f"{form.title}: {difference}, so that nothing was written")
    if same_law:
        return [str(native), str(other)]
    height, width = other_size
    caveat = (
        f"max difference {other.largest:.1e} at {height}x{width} pixels: away from its native size "
        f"{form.title} interpolates positions by a law of its own"
    )
    return [str(native), caveat]
