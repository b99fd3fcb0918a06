"""Receipts: what a stage made, from what, with which parameters; and how it is published.

A receipt holds no clock, host or path outside the project, so the same work gives the same bytes.
It is written last: a folder with a receipt is complete, one without is not. It stays small however
many files there are, because Snakemake compares the content of small files only: the files are
listed beside it, in `outputs.json`, whose hash it holds.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from workflow.stages import OUTPUTS, RECEIPT


def file_hash(file: Path) -> str:
    """Return the sha256 of a file as hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read(folder: Path) -> dict[str, Any]:
    """Read the receipt of a published folder.

    Raises:
        FileNotFoundError: The stage has not published; says what to run.
    """
    file = folder / RECEIPT
    if not file.is_file():
        raise FileNotFoundError(f"{file}: not there; make it with `snakemake --cores all {file}`")
    receipt: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return receipt


def _read_outputs(folder: Path) -> dict[str, str]:
    """Read the list of a published folder: "<sha256> <bytes>" by file name.

    Raises:
        FileNotFoundError: The stage has not published, or the list is missing.
        ValueError: The list is not the one that the receipt was written for.
    """
    expected = read(folder)["outputs"]["sha256"]
    file = folder / OUTPUTS
    if not file.is_file():
        raise FileNotFoundError(f"{file}: missing; {_remedy(folder)}")
    if file_hash(file) != expected:
        raise ValueError(f"{file}: its content is not what the receipt says; {_remedy(folder)}")
    outputs: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    return outputs


def _remedy(folder: Path) -> str:
    return f"delete {folder / RECEIPT} and rerun, or `franca pull`"


def verify(folder: Path) -> None:
    """Check that everything a receipt stands for is there, whole; `franca verify` checks hashes.

    Raises:
        FileNotFoundError: A listed file is missing.
        ValueError: A listed file has another size than when it was made.
    """
    for name, entry in _read_outputs(folder).items():
        file, size = folder / name, entry.split()[1]
        if not file.is_file():
            raise FileNotFoundError(f"{file}: published but missing; {_remedy(folder)}")
        if str(file.stat().st_size) != size:
            raise ValueError(
                f"{file}: {file.stat().st_size} bytes, {size} when it was published; "
                f"{_remedy(folder)}"
            )


def verify_hashes(folder: Path) -> int:
    """Check every file's content against the receipt; return how many were checked.

    Raises:
        ValueError: A file was altered.
    """
    verify(folder)
    outputs = _read_outputs(folder)
    for name, entry in outputs.items():
        if file_hash(folder / name) != entry.split()[0]:
            raise ValueError(
                f"{folder / name}: its content is not what was published; {_remedy(folder)}"
            )
    return len(outputs)


def _list_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def make(
    staging: Path,
    *,
    stage: str,
    parameters: Mapping[str, Any],
    inputs: Mapping[str, Path],
    summary: Mapping[str, Any],
) -> dict[str, Any]:
    """Describe a finished staging folder, and write the list of its files into it.

    Args:
        staging: The folder whose files are listed with sha256 and size.
        stage: The stage's word.
        parameters: Its resolved parameters.
        inputs: The published folders it read.
        summary: What the stage returned: counts and headline numbers.
    """
    files = _list_files(staging)
    outputs = {
        file.relative_to(staging).as_posix(): f"{file_hash(file)} {file.stat().st_size}"
        for file in files
    }
    num_bytes = sum(file.stat().st_size for file in files)
    (staging / OUTPUTS).write_text(json.dumps(outputs, indent=1) + "\n", encoding="utf-8")
    return {
        "stage": stage,
        "parameters": parameters,
        "inputs": {name: file_hash(folder / RECEIPT) for name, folder in inputs.items()},
        "outputs": {
            "files": len(files), "bytes": num_bytes, "sha256": file_hash(staging / OUTPUTS),
        },
        "summary": dict(summary),
    }  # fmt: skip


def publish(
    staging: Path, target: Path, receipt: Mapping[str, Any], *, keep: Collection[str] = ()
) -> None:
    """Move a finished staging folder to its place; the receipt goes last.

    Both folders must be on one file system. Whatever an earlier run left in the target is removed,
    except the entries named in `keep` (the parts of a stage that fans out).
    """
    target.mkdir(parents=True, exist_ok=True)
    (target / RECEIPT).unlink(missing_ok=True)
    for entry in target.iterdir():
        if entry.name not in keep:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    for entry in sorted(staging.iterdir()):
        entry.replace(target / entry.name)
    draft = staging / RECEIPT
    with draft.open("w", encoding="utf-8") as stream:
        json.dump(receipt, stream, indent=1, allow_nan=False)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(target / RECEIPT)
