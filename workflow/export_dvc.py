"""Generate dvc.yaml from the stage table: `python -m workflow.export_dvc [--check]`.

Snakemake executes; DVC is the ledger. Each DVC stage asks Snakemake for that stage's target and
allows it that stage's rules only, so that everything upstream is a leaf. A stage of its own writes
the resolved parameters, one file a stage, so that an edit of params.yaml reruns what depends on it
and nothing else: DVC cannot name an overlay's key that may or may not be there.
"""

import difflib
import sys
from pathlib import Path
from typing import Any

import yaml

from workflow.stages import STAGES, Stage, artifact_folder, params_file, receipt_file

FILE = Path("dvc.yaml")
_HEADER = "# Generated from workflow/stages.py by `python -m workflow.export_dvc`; do not edit.\n"
_SELECTED = {"scale": "${scale}", "variant": "${variant}"}


def _rules(stage: Stage) -> str:
    return f"{stage.name} {stage.name}_{stage.fan_out}" if stage.fan_out else stage.name


def _entry(stage: Stage) -> dict[str, Any]:
    target = receipt_file(stage, **_SELECTED).as_posix()
    command = (
        f"snakemake --cores all --rerun-incomplete --allowed-rules {_rules(stage)} "
        f"--config scale=${{scale}} variant=${{variant}} -- {target}"
    )
    upstream = [other for other in STAGES if other.name in stage.needs]
    deps = [params_file(stage, **_SELECTED), *(receipt_file(up, **_SELECTED) for up in upstream)]
    return {
        "desc": stage.summary,
        "cmd": command,
        "deps": [dep.as_posix() for dep in deps],
        "outs": [artifact_folder(stage, **_SELECTED).as_posix()],
    }


def render() -> str:
    """Return the text of dvc.yaml."""
    parameters = {
        "desc": "Check params.yaml and resolve the overlays: one file a stage.",
        "cmd": "franca params --scale ${scale} --variant ${variant}",
        "params": ["scale", "variant", "base", "scales", "variants"],
        "outs": [params_file(stage, **_SELECTED).as_posix() for stage in STAGES],
    }
    stages = {"params": parameters, **{stage.name: _entry(stage) for stage in STAGES}}
    return _HEADER + yaml.safe_dump({"stages": stages}, sort_keys=False, width=1000)


def main() -> int:
    """Write dvc.yaml, or with --check say how it differs and fail."""
    text = render()
    if "--check" not in sys.argv[1:]:
        FILE.write_text(text, encoding="utf-8")
        return 0
    found = FILE.read_text(encoding="utf-8") if FILE.is_file() else ""
    sys.stdout.writelines(
        difflib.unified_diff(
            found.splitlines(keepends=True), text.splitlines(keepends=True), "dvc.yaml", "generated"
        )
    )
    if found != text:
        sys.stderr.write("dvc.yaml is stale: run `python -m workflow.export_dvc`\n")
    return int(found != text)


if __name__ == "__main__":
    sys.exit(main())
