"""What the receipts say: which stages ran, from what, with which parameters, and what they made."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

RECEIPT: Final = "receipt.json"


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """One stage's receipt.

    Attributes:
        stage: The stage's word.
        digest: sha256 of the receipt file itself, as later stages quote it.
        part_digests: for a stage that fans out, those of its parts, which other parts quote.
        inputs: (stage, digest) pairs: what it read, with the digest of the receipt it then found
            there. For a stage that fans out, what all of its parts read.
        parameters: Its resolved parameters.
        summary: What the stage said of itself.
        num_files: How many files it published.
        num_bytes: Their size.
    """

    stage: str
    digest: str
    part_digests: frozenset[str]
    inputs: tuple[tuple[str, str], ...]
    parameters: Mapping[str, Any]
    summary: Mapping[str, Any]
    num_files: int
    num_bytes: int

    def made(self, digest: str) -> bool:
        """Tell whether the digest is that of this stage as it is now, or of one of its parts."""
        return digest == self.digest or digest in self.part_digests


@dataclass(frozen=True, kw_only=True)
class Run:
    """The receipts of one run, in the order of the stages."""

    scale: str
    variant: str
    receipts: Mapping[str, Receipt]

    def needs(self, stage: str) -> tuple[str, ...]:
        """Return the stages that a stage read, each once."""
        return tuple(dict.fromkeys(name for name, _ in self.receipts[stage].inputs))

    def section(self, stage: str) -> Mapping[str, Any]:
        """Return a stage's own section of the parameters, empty if it left no receipt."""
        receipt = self.receipts.get(stage)
        return receipt.parameters.get(stage, {}) if receipt else {}

    def stale(self) -> list[tuple[str, str]]:
        """Return (stage, input) pairs where the stage read another version of its input, once."""
        pairs = [
            (receipt.stage, name)
            for receipt in self.receipts.values()
            for name, digest in receipt.inputs
            if name in self.receipts and not self.receipts[name].made(digest)
        ]
        return list(dict.fromkeys(pairs))


def read_run(inputs: Mapping[str, Path]) -> Run:
    """Read the receipt of every input folder.

    Args:
        inputs: Published folders by stage; `evaluate` lies at `<scale>/<variant>/evaluate`, which
            is where the names of scale and variant come from.
    """
    folder = inputs["evaluate"].resolve()
    receipts = {
        stage: _read(stage, path / RECEIPT)
        for stage, path in inputs.items()
        if (path / RECEIPT).is_file()
    }
    return Run(scale=folder.parent.parent.name, variant=folder.parent.name, receipts=receipts)


def _read(stage: str, file: Path) -> Receipt:
    """Read a receipt, and those of the stage's parts if it fans out."""
    data = file.read_bytes()
    content = json.loads(data)
    part_files = [path.read_bytes() for path in sorted(file.parent.glob(f"*/{RECEIPT}"))]
    parts = [json.loads(part) for part in part_files]
    outputs = [each["outputs"] for each in (content, *parts)]
    # The whole read its parts, and those read other stages: the parts are no stages of their own.
    inputs = [pair for each in parts or [content] for pair in each["inputs"].items()]
    return Receipt(
        stage=stage,
        digest=_sha256(data),
        part_digests=frozenset(map(_sha256, part_files)),
        inputs=tuple(dict.fromkeys(inputs)),
        parameters=content["parameters"],
        summary=content["summary"],
        num_files=sum(each["files"] for each in outputs),
        num_bytes=sum(each["bytes"] for each in outputs),
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
