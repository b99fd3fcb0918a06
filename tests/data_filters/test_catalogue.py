"""The catalogue: every entry says how it lies, what it may be used for and how to get it."""

import pytest

from data_filters.catalogue import CATALOGUE, lookup
from data_filters.config import Catalogue, FetchMetadata, layout_of
from data_filters.records import METADATA
from data_filters.source_kinds import Column, Folder, LocalSource, UrlTable


@pytest.mark.parametrize("name", CATALOGUE)
def test_an_entry_is_complete(name):
    entry = lookup(name)
    assert entry.summary
    assert entry.licence
    assert entry.access
    assert entry.gated == ("HF_TOKEN" in entry.access or "Register" in entry.access) or (
        name == "relaion_coco"  # nobody here knows whether it is
    )
    layout = entry.layout_at("some/root")
    assert layout.root.startswith("some/root")
    assert isinstance(layout, UrlTable | LocalSource)
    for archive in entry.archives:
        algorithm, _, digest = archive.hash.partition(":")
        assert len(digest) == {"md5": 32, "sha256": 64}[algorithm]


def test_the_columns_of_tables_are_ours():
    assert set(Column.__args__) < set(METADATA.names)
    for entry in CATALOGUE.values():
        if isinstance(entry.layout, UrlTable) and entry.layout.columns is not None:
            assert "url" in entry.layout.columns


def test_a_name_in_the_parameters_stands_for_a_layout():
    source = {"kind": "catalogue", "name": "voc2012", "root": "data/VOC2012"}
    section = {"source": source, "groups": 1}
    cfg = FetchMetadata.model_validate(section)
    assert layout_of(cfg.source) == Folder(
        kind="folder", root="data/VOC2012/JPEGImages", class_subfolders=False
    )
    assert cfg.model_dump()["source"]["layout"]["root"] == "data/VOC2012/JPEGImages"
    assert cfg.source.expected == lookup("voc2012").counts
    partial = Catalogue(kind="catalogue", name="voc2012", root="x", partial=True)
    assert partial.expected is None


def test_the_publishers_own_address_is_the_default():
    source = Catalogue(kind="catalogue", name="relaion2b_en_research_safe")
    assert source.layout.root == "hf://datasets/laion/relaion2B-en-research-safe"
    assert source.layout.columns["width"] == "original_width"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("voc2021", "did you mean 'voc2012'"),
        ("relaion", "no data set 'relaion' in the catalogue"),
        ("imagenet_21k", r"is read from your own copy: set root\. Register at"),
    ],
)
def test_mistakes_are_told_with_the_remedy(name, words):
    with pytest.raises(ValueError, match=words):
        Catalogue(kind="catalogue", name=name)
