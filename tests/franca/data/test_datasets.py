"""Data sets: folders of files, and mixtures that count what they hold."""

from collections import Counter

import numpy as np
import pytest

from franca.data.datasets import ImageFolder, Mixture, MixtureEntry, open_images
from franca.data.order import EpochOrder
from franca.data.shards import Reader, ShardDataset


@pytest.fixture
def folder(tmp_path, make_jpeg):
    root = tmp_path / "folder"
    for i, name in enumerate(["b/2.JPEG", "a/1.jpg", "c.jpg", "notes.txt"]):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(make_jpeg(seed=100 + i))
    return root


def test_a_folder_lists_images_in_a_fixed_order(folder):
    source = ImageFolder(folder)
    keys = [source.locate(i).key for i in range(len(source))]
    assert keys == ["a/1.jpg", "b/2.JPEG", "c.jpg"]
    assert Reader().read(source.locate(0)).data == (folder / "a/1.jpg").read_bytes()


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no image files"):
        ImageFolder(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        ImageFolder(tmp_path / "nowhere")


def test_open_images_tells_shards_from_files(packed, folder):
    assert isinstance(open_images(packed), ShardDataset)
    assert isinstance(open_images(folder), ImageFolder)
    (packed / "index.parquet").unlink()
    with pytest.raises(FileNotFoundError, match="no index"):
        open_images(packed)


def test_an_epoch_of_a_mixture_holds_each_member_as_often_as_asked(packed, folder):
    mixture = Mixture(
        [
            MixtureEntry(name="shards", source=ShardDataset(packed)),
            MixtureEntry(name="files", source=ImageFolder(folder), repeats=4, expected_images=3),
        ]
    )
    assert len(mixture) == 20 + 4 * 3
    order = EpochOrder(size=len(mixture), seed=0).samples_between(0, len(mixture))
    counts = Counter(mixture.locate(int(sample)).key for sample in order)
    assert {key: n for key, n in counts.items() if key.startswith("files/")} == {
        "files/a/1.jpg": 4,
        "files/b/2.JPEG": 4,
        "files/c.jpg": 4,
    }
    assert counts["shards/0007"] == 1
    assert len(counts) == 23


def test_a_mixture_reads_its_members_bytes(packed, folder):
    shards, files = ShardDataset(packed), ImageFolder(folder)
    mixture = Mixture([MixtureEntry(name="f", source=files), MixtureEntry(name="s", source=shards)])
    assert np.array_equal(Reader().read(mixture.locate(3 + 11)).decode(), shards.read(11).decode())
    assert Reader().read(mixture.locate(2)).data == (folder / "c.jpg").read_bytes()


def test_a_count_that_is_not_the_recipes_is_refused(folder):
    entry = MixtureEntry(name="voc", source=ImageFolder(folder), expected_images=17125)
    with pytest.raises(ValueError, match="voc has 3 images, the recipe says 17125"):
        Mixture([entry])


def test_names_must_differ_and_some_member_is_needed(folder):
    entry = MixtureEntry(name="voc", source=ImageFolder(folder))
    with pytest.raises(ValueError, match="must differ"):
        Mixture([entry, entry])
    with pytest.raises(ValueError, match="at least one"):
        Mixture([])
