"""The README.md of an export: what it is, where it comes from, what holds, how to load it."""

import json
from typing import Any

from franca.api import Backbone
from franca.export.format import Format, plain_model

_OWN_LICENCE = """\
Trained with the open Franca pipeline, whose code is Apache-2.0. The licence of the weights is for
those who trained them to choose, within the terms of the training data."""
_RELEASED_LICENCE = """\
Converted from weights that others released, under the licence that these came with: Franca's are
under the authors' research-only RAIL (`LICENSE_MODEL` in their repository). Convert them for
yourself; do not redistribute them."""
_MAP_BESIDE = """\
## RASA

CLS and patches share one final norm in this format, so that it cannot hold the correction: patch
tokens leave it as they are. `rasa_map.safetensors` has the map, for patch tokens and nothing else:

```python
from safetensors.torch import load_file

rasa = load_file("rasa_map.safetensors")
patches = patches - ((patches - rasa["mean"]) @ rasa["A"]) @ rasa["B"]
```

"""
_MAP_INSIDE = """\
## RASA

Patch tokens leave corrected: the map is folded into the final norm's affine, for patches only. CLS
is what it was.

"""


def write_card(
    backbone: Backbone,
    form: Format,
    *,
    source: dict[str, str],
    findings: list[str],
    map_beside: bool,
) -> str:
    """Return the text.

    Args:
        backbone: what was exported.
        form: the format.
        source: name and sha256 of the files it was made from.
        findings: what the comparison said, a line each.
        map_beside: whether the map lies in a file of its own.
    """
    folded = backbone.model is not plain_model(backbone)
    sections = [
        f"# {backbone.metadata['model']['arch']}, for {form.title}\n",
        "| | |\n|---|---|",
        *(f"| {name} | {value} |" for name, value in _architecture(backbone).items()),
        "\n## Load it\n",
        "From within this folder, on RGB images in [0, 1], less (0.485, 0.456, 0.406), over",
        "(0.229, 0.224, 0.225), whose sides are multiples of the patch size:\n",
        f"```python\n{form.usage}```\n",
        (_MAP_BESIDE if map_beside else "") + (_MAP_INSIDE if folded else "") + "## Checked\n",
        "The files were read back and compared with the backbone:\n",
        *(f"* {finding}" for finding in findings),
        "\n## Where it comes from\n",
        f"```json\n{json.dumps(_provenance(backbone, source), indent=2, sort_keys=True)}\n```\n",
        "## Licence\n",
        _RELEASED_LICENCE if "released_file" in backbone.metadata else _OWN_LICENCE,
    ]
    return "\n".join(sections) + "\n"


def _architecture(backbone: Backbone) -> dict[str, Any]:
    model = plain_model(backbone)
    arch = model.arch
    return {
        "architecture": arch.name,
        "width, depth, heads": f"{arch.width}, {arch.depth}, {arch.heads}",
        "feed-forward": arch.ffn,
        "parameters": f"{sum(parameter.numel() for parameter in model.parameters()):,}",
        "patch size": f"{arch.patch_size} pixels",
        "native image size": f"{arch.image_size} pixels",
        "registers": model.num_registers,
        "law of positions at other sizes": model.interpolation,
    }


def _provenance(backbone: Backbone, source: dict[str, str]) -> dict[str, Any]:
    facts = {key: value for key, value in backbone.metadata.items() if key != "model"}
    return {**facts, "files": source}
