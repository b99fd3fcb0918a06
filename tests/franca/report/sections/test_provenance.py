"""Parameters and receipts in full."""

import hashlib

from franca.report.receipts import Run, read_run
from franca.report.sections.provenance import build_provenance


def test_every_stage_has_its_digest_and_its_parameters(finished_run):
    section = build_provenance(read_run(finished_run))
    titles = [block.title for block in section.blocks[1:]]
    assert titles[:3] == ["Receipts", "What each stage reported", "Parameters of scenes"]
    assert len(titles) == 14
    table = section.blocks[1].blocks[0]
    receipt = finished_run["scenes"] / "receipt.json"
    assert table.rows[0][3].text == f"`{hashlib.sha256(receipt.read_bytes()).hexdigest()}`"
    pretrain = next(
        block for block in section.blocks[1:] if block.title == "Parameters of pretrain"
    )
    assert '"arch": "vit_tiny"' in pretrain.blocks[0].text


def test_no_receipts():
    (block,) = build_provenance(Run(scale="s", variant="v", receipts={})).blocks
    assert block.kind == "missing"
