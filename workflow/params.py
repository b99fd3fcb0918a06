"""From params.yaml to each stage's resolved parameters.

base <- scales[scale] <- variants[variant]: mappings are merged, everything else is replaced.
"""

import difflib
import functools
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

import data_filters.config
import franca.config
from data_filters.groups import group_names
from workflow.stages import STAGES, Stage, params_file, receipt_file

DEFAULT_FILE = Path("params.yaml")
_TOP_LEVEL = ("scale", "variant", "base", "scales", "variants")
_LONG_AGO = 946684800  # the year 2000, in seconds
_LIBRARY = {"data_filters": data_filters.config, "franca": franca.config}


class ParameterError(ValueError):
    """A mistake in the parameters, told in one line that names the key and the remedy."""


class _Refusing(yaml.SafeLoader):
    """YAML in which a repeated key is an error instead of a silent replacement."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key in keys:
            if keys.count(key) > 1:
                raise ParameterError(
                    f"{node.start_mark.name}: key '{key}' appears twice in the mapping at line "
                    f"{node.start_mark.line + 1}: keep one"
                )
        return super().construct_mapping(node, deep)


@functools.cache
def parameters_class() -> type[BaseModel]:
    """One pydantic class for everything a run may set: `seed`, shared sections, a stage each."""
    sections: dict[str, Any] = {
        stage.name: (getattr(_LIBRARY[stage.package], stage.class_name), ...) for stage in STAGES
    }
    seed = (int, Field(ge=0, description="Every random number of the run derives from it."))
    sets = (
        dict[str, franca.config.EvaluationSet],
        Field(description="Data sets to evaluate on; also removed from the training data."),
    )
    return create_model(
        "Parameters",
        __config__=ConfigDict(extra="forbid", frozen=True),
        seed=seed,
        evaluation_sets=sets,
        **sections,
    )


def read(file: Path = DEFAULT_FILE) -> dict[str, Any]:
    """Read the parameter file and check its outer shape.

    Raises:
        ParameterError: Not there, not YAML, or a top-level key that does not belong.
    """
    try:
        with file.open(encoding="utf-8") as stream:
            tree = yaml.load(stream, _Refusing)  # noqa: S506  a SafeLoader
    except FileNotFoundError:
        raise ParameterError(
            f"{file}: not found; run from the project's root or give --params FILE"
        ) from None
    except yaml.YAMLError as error:
        raise ParameterError(f"{file}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise ParameterError(f"{file}: expected a mapping with the keys {', '.join(_TOP_LEVEL)}")
    for key in tree:
        if key not in _TOP_LEVEL:
            raise ParameterError(f"{file}: unknown key '{key}'{_suggest(key, _TOP_LEVEL)}")
    for key in _TOP_LEVEL:
        if key not in tree:
            raise ParameterError(f"{file}: the key '{key}' is missing; add it")
    return tree


def merge(below: Any, above: Any) -> Any:
    """Lay one overlay over another: mappings are merged, everything else is replaced."""
    if not (isinstance(below, Mapping) and isinstance(above, Mapping)):
        return above
    merged = dict(below)
    for key, value in above.items():
        merged[key] = merge(below[key], value) if key in below else value
    return merged


def select(tree: Mapping[str, Any], *, scale: str | None, variant: str | None) -> tuple[str, str]:
    """Return the scale and variant to run: the arguments, or what the file selects.

    Raises:
        ParameterError: The file defines no such scale or variant.
    """
    chosen = (scale or tree["scale"], variant or tree["variant"])
    for kind, name in zip(("scale", "variant"), chosen, strict=True):
        if name not in tree[f"{kind}s"]:
            raise ParameterError(
                f"params.yaml: no {kind} '{name}'{_suggest(name, list(tree[f'{kind}s']))}"
            )
    return chosen


def resolve(
    tree: Mapping[str, Any], *, scale: str, variant: str, settings: Sequence[str] = ()
) -> BaseModel:
    """Lay the overlays over one another and validate the result.

    Args:
        tree: What `read` returned.
        scale: A key of `scales`.
        variant: A key of `variants`.
        settings: `key.path=value` strings laid on top, values in YAML.

    Raises:
        ParameterError: An unknown key, a wrong type or an impossible value.
    """
    layers = [
        ("base", tree["base"]),
        (f"scales.{scale}", tree["scales"][scale] or {}),
        (f"variants.{variant}", tree["variants"][variant] or {}),
        ("--set", _parse_settings(settings)),
    ]
    merged: Any = functools.reduce(merge, (layer for _, layer in layers))
    try:
        parameters = parameters_class()(**merged)
    except ValidationError as error:
        raise ParameterError(_explain(error, layers)) from None
    _check_image_set(parameters)
    return parameters


class Selection(NamedTuple):
    """Resolved parameters, an instance of `parameters_class()`, and what they were resolved for."""

    parameters: Any
    scale: str
    variant: str


def load(
    file: Path = DEFAULT_FILE,
    *,
    scale: str | None = None,
    variant: str | None = None,
    settings: Sequence[str] | None = None,
) -> Selection:
    """Read a file, select and resolve; raises what `read`, `select` and `resolve` raise."""
    tree = read(file)
    scale, variant = select(tree, scale=scale, variant=variant)
    parameters = resolve(tree, scale=scale, variant=variant, settings=settings or ())
    return Selection(parameters, scale, variant)


def _check_image_set(parameters: Any) -> None:
    """What one half of the code trains on must be among what the other half packs."""
    name, packed = parameters.rasa.image_set, parameters.pack_highres.sets
    if name is not None and name not in packed:
        raise ParameterError(
            f"params.yaml: rasa.image_set: {name!r} is not among pack_highres.sets"
            f"{_suggest(name, list(packed)) if packed else ', which has none: set it to null'}"
        )


def _parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for setting in settings:
        path, separator, value = setting.partition("=")
        if not separator:
            raise ParameterError(f"--set {setting}: expected key.path=value")
        leaf: Any = yaml.load(value, _Refusing)  # noqa: S506  a SafeLoader
        for key in reversed(path.split(".")):
            leaf = {key: leaf}
        tree = merge(tree, leaf)
    return tree


def _explain(error: ValidationError, layers: Sequence[tuple[str, Any]]) -> str:
    """Rewrite pydantic's first complaint as one line that names the key, its layer and a remedy."""
    first = error.errors(include_url=False)[0]
    path = [str(part) for part in first["loc"]]
    origin = next((name for name, tree in reversed(layers) if _has(tree, path)), "base")
    key = ".".join([origin, *path]) if origin != "--set" else f"--set {'.'.join(path)}"
    others = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        return f"params.yaml: unknown key '{key}'{_suggest(path[-1], _siblings(path))}{others}"
    if first["type"] == "missing":
        return f"params.yaml: '{'.'.join(path)}' is missing: set it under base{others}"
    message = first["msg"].removeprefix("Value error, ")
    given = "" if isinstance(first["input"], Mapping) else f", not {first['input']!r}"
    return f"params.yaml: {key}: {message[0].lower() + message[1:]}{given}{others}"


def _has(tree: Any, path: Sequence[str]) -> bool:
    for key in path:
        if not (isinstance(tree, Mapping) and key in tree):
            return False
        tree = tree[key]
    return True


def _siblings(path: Sequence[str]) -> list[str]:
    """Names that would have been allowed where the last part of the path stands."""
    model: Any = parameters_class()
    for part in path[:-1]:
        field = getattr(model, "model_fields", {}).get(part)
        model = field.annotation if field else None
    return list(getattr(model, "model_fields", {}))


def _suggest(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known: {', '.join(sorted(known))}" if known else "; remove it"


def stage_parameters(parameters: BaseModel, stage: Stage) -> dict[str, Any]:
    """What the stage's result depends on, as plain JSON: seed, shared sections, own section."""
    keys = ("seed", *stage.shared, stage.name)
    dumped = parameters.model_dump(mode="json", include=set(keys))
    return {"version": stage.version, **{key: dumped[key] for key in keys}}


def write_resolved(parameters: BaseModel, *, scale: str, variant: str) -> None:
    """Write each stage's resolved parameters, touching only the files whose content changes.

    DVC deletes its outputs before it makes them again, these files among them, and Snakemake goes
    by modification times. So a file that says what the stage's receipt says is dated back.
    """
    for stage in STAGES:
        file = params_file(stage, scale=scale, variant=variant)
        content = stage_parameters(parameters, stage)
        text = json.dumps(content, indent=1) + "\n"
        if file.is_file() and file.read_text(encoding="utf-8") == text:
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(".draft")
        draft.write_text(text, encoding="utf-8")
        receipt = receipt_file(stage, scale=scale, variant=variant)
        if receipt.is_file() and json.loads(receipt.read_bytes())["parameters"] == content:
            os.utime(draft, (_LONG_AGO, _LONG_AGO))
        draft.replace(file)


def checkpoint_names(parameters: Any) -> list[str]:
    """Names that `evaluate` fans out over, known before anything has run."""
    return [*(f"step-{step:07d}" for step in parameters.pretrain.kept_steps), "highres", "rasa"]


def part_names(stage: Stage, parameters: Any) -> list[str]:
    """Names that a stage fans out over; none for a stage that does not."""
    if stage.fan_out == "checkpoint":
        return checkpoint_names(parameters)
    return group_names(parameters.fetch_metadata.groups) if stage.fan_out else []
