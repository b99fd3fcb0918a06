"""Image files in a folder."""

import pytest

from data_filters.sources import folder as module
from data_filters.sources.folder import FolderReader


@pytest.fixture
def root(tmp_path):
    for name in ("n01/b.JPEG", "n01/a.jpg", "n02/deep/c.png", "top.webp", "README.md", "n01/x.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    return str(tmp_path)


def test_images_come_by_name_with_their_class(root):
    reader = FolderReader(root=root, class_subfolders=True, key="source")
    assert reader.num_parts() == 1
    images = list(reader.images(0, with_data=True))
    assert [(image.path, image.caption) for image in images] == [
        ("n01/a.jpg", "n01"), ("n01/b.JPEG", "n01"), ("n02/deep/c.png", "deep"), ("top.webp", None),
    ]  # fmt: skip
    assert [image.data for image in images] == [image.path.encode() for image in images]


def test_listing_reads_no_bytes_and_no_class_unless_asked(root):
    reader = FolderReader(root=root, class_subfolders=False, key="source")
    assert {(image.caption, image.data) for image in reader.images(0, with_data=False)} == {
        (None, None)
    }


def test_parts_cut_the_list(root, monkeypatch):
    monkeypatch.setattr(module, "IMAGES_PER_PART", 3)
    reader = FolderReader(root=root, class_subfolders=False, key="source")
    sizes = [len(list(reader.images(part, with_data=False))) for part in range(reader.num_parts())]
    assert sizes == [3, 1]


def test_a_folder_without_images_is_named(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(FileNotFoundError, match=r"source\.root: none of the 1 files"):
        FolderReader(root=str(tmp_path), class_subfolders=False, key="source")


def test_classes_without_subfolders_are_a_mistake(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"a")
    with pytest.raises(ValueError, match=r"source\.class_subfolders: .*; set it to false"):
        FolderReader(root=str(tmp_path), class_subfolders=True, key="source")
    assert FolderReader(root=str(tmp_path), class_subfolders=False, key="source").num_parts() == 1
