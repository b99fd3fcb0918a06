"""Tars in webdataset layout, broken ones included."""

import io
import tarfile

import pytest

from data_filters.io.tar import TruncatedTarError, write_tar
from data_filters.sources.webdataset import WebdatasetReader


def read(tmp_path, *, with_data=True):
    reader = WebdatasetReader(root=str(tmp_path), files="*.tar", key="source")
    return [
        image
        for part in range(reader.num_parts())
        for image in reader.images(part, with_data=with_data)
    ]


def test_samples_are_grouped_by_name(tmp_path):
    members = [
        ("a.jpg", b"A"),
        ("a.txt", b" a caption\n"),
        ("b.cls", b"3"),
        ("b.json", b'{"caption": "from json"}'),
        ("b.png", b"B"),
        ("c.json", b"[1]"),
        ("d/e.f.jpg", b"D"),
        ("d/e.json", b"{broken"),
        ("f.WEBP", b"F"),
    ]
    write_tar(tmp_path / "x.tar", sorted(members))
    images = {image.path: image[1:] for image in read(tmp_path)}
    assert images == {
        "x.tar#a": ("a caption", b"A", None),
        "x.tar#b": ("from json", b"B", None),
        "x.tar#c": (None, None, "image_missing"),
        "x.tar#d/e": (None, None, "image_missing"),
        "x.tar#f": (None, b"F", None),
    }
    assert [image.data for image in read(tmp_path, with_data=False)] == [None] * 5


@pytest.mark.parametrize(
    ("keep", "paths"),
    [
        (512 + 512 + 512 + 300, ["x.tar#a", "x.tar#b"]),  # inside the second image
        (1024 + 1024, ["x.tar#a", "x.tar#b", "x.tar#(end)"]),  # between members
        (1024 + 1024 + 512 + 100, ["x.tar#a", "x.tar#b"]),  # inside the second caption
    ],
)
def test_a_cut_tar_gives_what_is_whole_and_one_row_for_the_cut(tmp_path, keep, paths):
    write_tar(tmp_path / "x.tar", [("a.jpg", b"A"), ("b.jpg", b"B" * 500), ("b.txt", b"c" * 200)])
    data = (tmp_path / "x.tar").read_bytes()
    (tmp_path / "x.tar").write_bytes(data[:keep])
    images = read(tmp_path)
    assert [image.path for image in images] == paths
    assert (images[0].data, images[0].problem) == (b"A", None)
    assert (images[-1].data, images[-1].problem) == (None, "truncated_tar")
    assert [image.path for image in read(tmp_path, with_data=False)] == paths


def test_a_tar_of_which_nothing_can_be_read_stops_the_stage(tmp_path):
    (tmp_path / "x.tar").write_bytes(b"<html>" * 300)
    with pytest.raises(TruncatedTarError, match=r"x\.tar: truncated or corrupt.*fetch this file"):
        read(tmp_path)


def test_compressed_tars_are_read(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w:gz") as archive:
        info = tarfile.TarInfo("a.jpg")
        info.size = 1
        archive.addfile(info, io.BytesIO(b"A"))
    assert [image.data for image in read(tmp_path)] == [b"A"]


def pack(path, names):
    with tarfile.open(path, "w") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(name)
            archive.addfile(info, io.BytesIO(name.encode()))


@pytest.mark.parametrize(
    ("names", "rows"),
    [
        (  # images first, then captions
            ["a.jpg", "b.jpg", "a.txt", "b.txt"],
            [("#a", b"a.jpg"), ("#b", b"b.jpg"), ("#a.2", None), ("#b.2", None)],
        ),
        (["a.jpg", "a.jpg", "a.jpg"], [("#a", b"a.jpg"), ("#a.2", None), ("#a.3", None)]),
        (["a.jpg", "a.png"], [("#a", b"a.jpg")]),
        (  # a key that looks like a number
            ["a.jpg", "a.jpg", "a (2).jpg", "a2.jpg"],
            [("#a", b"a.jpg"), ("#a.2", None), ("#a (2)", b"a (2).jpg"), ("#a2", b"a2.jpg")],
        ),
    ],
)
def test_files_that_do_not_lie_together_are_rows_of_their_own(tmp_path, caplog, names, rows):
    pack(tmp_path / "x.tar", names)
    images = read(tmp_path)
    assert [(image.path, image.data) for image in images] == [("x.tar" + p, d) for p, d in rows]
    problems = [image.problem for image in images]
    repeated = problems.count("key_repeated")
    assert repeated == len([path for path, _ in rows if "." in path])
    assert problems.count(None) == len(rows) - repeated
    assert (f"x.tar: {repeated} times" in caplog.text) == bool(repeated)
    assert ("tar --sort=name" in caplog.text) == bool(repeated)


@pytest.mark.parametrize(
    ("name", "content", "caption"),
    [
        ("a.txt", b"caf\xe9", "caf\ufffd"),
        ("a.json", b'{"caption": 5}', None),
        ("a.json", b'{"caption": "caf\xe9"}', None),
    ],
)
def test_an_odd_caption_costs_no_image(tmp_path, name, content, caption):
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for member, data in (("a.jpg", b"image"), (name, content)):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    assert [(image.data, image.caption) for image in read(tmp_path)] == [(b"image", caption)]
