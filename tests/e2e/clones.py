"""Fresh copies of the project in which the whole pipeline runs at scale `micro`."""

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

from workflow.stages import STAGES

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "DVC_NO_ANALYTICS": "1"}


@dataclass(frozen=True)
class Clone:
    """A copy of the project in a folder of its own, as git would deliver it."""

    root: Path

    def run(self, *command, check=True):
        done = subprocess.run(
            command, cwd=self.root, capture_output=True, text=True, check=False, env=ENVIRONMENT
        )
        if check:
            assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done

    def snakemake(self, *arguments, check=True):
        return self.run("snakemake", "--cores", "2", *arguments, check=check)

    def set_parameter(self, path, value):
        """Edit one key of the `micro` overlay in params.yaml."""
        file = self.root / "params.yaml"
        tree = yaml.safe_load(file.read_text())
        section = tree["scales"]["micro"]
        *parents, leaf = path.split(".")
        for key in parents:
            section = section.setdefault(key, {})
        section[leaf] = value
        file.write_text(yaml.safe_dump(tree, sort_keys=False))

    def planned_by_snakemake(self):
        """The stages that Snakemake would run now."""
        table = re.findall(r"^(\w+) +\d+$", self.snakemake("--dry-run").stdout, re.MULTILINE)
        parts = {f"{stage.name}_{stage.fan_out}": stage.name for stage in STAGES if stage.fan_out}
        return {parts.get(rule, rule) for rule in table} - {"all", "total"}

    def changed_for_dvc(self):
        """The stages whose inputs DVC sees changed now, and what hangs on them."""
        self.run("franca", "params")
        status = json.loads(self.run("dvc", "status", "--json").stdout)
        found = set(status) - {"params"}
        for stage in STAGES:
            if found & set(stage.needs):
                found.add(stage.name)
        return found

    def receipts(self):
        """Every receipt's bytes, by path; of the selected variant where there are several."""
        files = (self.root / "artifacts").rglob("receipt.json")
        paths = {file.relative_to(self.root).as_posix(): file for file in files}
        others = ("artifacts/micro/dinov2/", "artifacts/micro/ablation/")
        return {
            path: file.read_bytes() for path, file in paths.items() if not path.startswith(others)
        }


def make_clone(folder):
    """Copy what git tracks, or would, and make it a repository that runs at scale `micro`."""
    listing = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(lambda name: (ROOT / name).is_file(), listing.stdout.splitlines()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    clone = Clone(folder)
    file = folder / "params.yaml"
    text = file.read_text()
    assert text.count("\nscale: tiny") == 1
    file.write_text(text.replace("\nscale: tiny", "\nscale: micro"))
    commit(clone, "start", init=True)
    return clone


def commit(clone, message, *, init=False):
    """Commit everything that git does not ignore."""
    who = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    if init:
        clone.run("git", "init", "-q")
    clone.run("git", "add", "-A")
    clone.run("git", *who, "commit", "-qm", message)
