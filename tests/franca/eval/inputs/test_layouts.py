"""The fine-grained sets as their authors lay them out, written small and read back."""

import numpy as np
import pytest
from scipy.io import savemat

from franca.eval.inputs.layouts import open_labelled
from tests.franca.eval.worlds import picture, write_parquet


def put(root, *names):
    rng = np.random.default_rng(len(names))
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(rng, 8).save(path)


def lines(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{row}\n" for row in rows))


def food101(root):
    lines(root / "meta/classes.txt", "apple_pie", "waffles")
    lines(root / "meta/train.txt", "waffles/1", "apple_pie/2")
    lines(root / "meta/test.txt", "waffles/3")
    put(root, "images/waffles/1.jpg", "images/apple_pie/2.jpg", "images/waffles/3.jpg")
    return "train", [1, 0], "test", [1]


def sun397(root):
    lines(root / "ClassName.txt", "/a/abbey", "/b/bar/indoor")
    lines(root / "Training_01.txt", "/b/bar/indoor/x.jpg", "/a/abbey/y.jpg")
    lines(root / "Testing_01.txt", "/a/abbey/z.jpg")
    put(root, "b/bar/indoor/x.jpg", "a/abbey/y.jpg", "a/abbey/z.jpg")
    return "Training_01", [1, 0], "Testing_01", [0]


def annotations(*rows):
    kinds = [("fname", "O"), ("class", "O")]
    return {"annotations": np.array([(name, np.array([[c]])) for name, c in rows], dtype=kinds)}


def cars(root):
    (root / "devkit").mkdir()
    names = np.array(["Audi", "BMW"], dtype=object)
    savemat(root / "devkit/cars_meta.mat", {"class_names": names})
    savemat(root / "devkit/cars_train_annos.mat", annotations(("1.jpg", 2), ("2.jpg", 1)))
    savemat(root / "cars_test_annos_withlabels.mat", annotations(("1.jpg", 1), ("2.jpg", 2)))
    put(root, *(f"cars_{split}/{n}.jpg" for split in ("train", "test") for n in (1, 2)))
    return "train", [1, 0], "test", [0, 1]


def aircraft(root):
    lines(root / "data/variants.txt", "707-320", "A 300 B4")
    lines(root / "data/images_variant_train.txt", "0001 A 300 B4", "0002 707-320")
    lines(root / "data/images_variant_test.txt", "0003 707-320")
    put(root, *(f"data/images/000{n}.jpg" for n in (1, 2, 3)))
    return "train", [1, 0], "test", [0]


def dtd(root):
    lines(root / "labels/train1.txt", "banded/b_1.jpg", "woven/w_1.jpg")
    lines(root / "labels/test1.txt", "woven/w_2.jpg", "banded/b_2.jpg")
    put(root, *(f"images/{c}/{c[0]}_{n}.jpg" for c in ("banded", "woven") for n in (1, 2)))
    return "train1", [0, 1], "test1", [1, 0]


def pets(root):
    lines(root / "annotations/trainval.txt", "great_pyrenees_9 2 2 1", "Abyssinian_1 1 1 1")
    lines(root / "annotations/test.txt", "Abyssinian_2 1 1 1", "great_pyrenees_10 2 2 1")
    numbers = ("great_pyrenees_9", "great_pyrenees_10", "Abyssinian_1", "Abyssinian_2")
    put(root, *(f"images/{name}.jpg" for name in numbers))
    return "trainval", [1, 0], "test", [0, 1]


def flowers102(root):
    savemat(root / "imagelabels.mat", {"labels": np.array([[2, 1, 2]], dtype=np.uint8)})
    ids = {"trnid": [[1]], "valid": [[2]], "tstid": [[3, 2]]}
    savemat(root / "setid.mat", {k: np.array(v, dtype=np.uint16) for k, v in ids.items()})
    put(root, *(f"jpg/image_0000{n}.jpg" for n in (1, 2, 3)))
    return "train", [1], "test", [1, 0]


def cub200(root):
    lines(root / "classes.txt", "1 001.Albatross", "2 002.Wren")
    lines(root / "images.txt", "1 002.Wren/w.jpg", "2 001.Albatross/a.jpg", "3 002.Wren/v.jpg")
    lines(root / "image_class_labels.txt", "1 2", "2 1", "3 2")
    lines(root / "train_test_split.txt", "1 1", "2 0", "3 0")
    put(root, "images/002.Wren/w.jpg", "images/001.Albatross/a.jpg", "images/002.Wren/v.jpg")
    return "train", [1], "test", [0, 1]


WRITERS = [food101, sun397, cars, aircraft, dtd, pets, flowers102, cub200]


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_splits_and_classes_are_the_authors(write, tmp_path):
    train_split, train_labels, test_split, test_labels = write(tmp_path)
    train, test = (
        open_labelled(write.__name__, tmp_path, split=split, limit=None)
        for split in (train_split, test_split)
    )
    assert (train.labels.tolist(), test.labels.tolist()) == (train_labels, test_labels)
    assert train.image(0).size == (8, 8)
    assert train.digest != test.digest
    if write is not dtd and write is not pets:
        assert train.names == test.names
    assert len(train.names) == 2


def test_caltech_draws_thirty_a_class_once_for_ever(tmp_path):
    put(tmp_path, *(f"101_ObjectCategories/ant/{n:02d}.jpg" for n in range(35)))
    put(tmp_path, *(f"101_ObjectCategories/BACKGROUND_Google/{n:02d}.jpg" for n in range(32)))
    train, test = (
        open_labelled("caltech101", tmp_path, split=split, limit=None)
        for split in ("train", "test")
    )
    assert train.names == ("BACKGROUND_Google", "ant")  # it counts, as in the paper's protocol
    assert np.bincount(train.labels).tolist() == [30, 30]
    assert np.bincount(test.labels).tolist() == [2, 5]
    again = open_labelled("caltech101", tmp_path, split="train", limit=None)
    assert again.digest == train.digest


@pytest.mark.parametrize(("layout", "label_bytes"), [("cifar10", 1), ("cifar100", 2)])
def test_cifar_is_read_in_its_binary_version(layout, label_bytes, tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(3, 32, 32, 3), dtype=np.uint8)
    labels = np.array([[9] * (label_bytes - 1) + [label] for label in (1, 0, 1)], dtype=np.uint8)
    rows = np.concatenate([labels, images.transpose(0, 3, 1, 2).reshape(3, -1)], axis=1)
    names, test = {
        "cifar10": ("batches.meta.txt", "test_batch.bin"),
        "cifar100": ("fine_label_names.txt", "test.bin"),
    }[layout]
    lines(tmp_path / names, "airplane", "truck")
    (tmp_path / test).write_bytes(rows.tobytes())
    found = open_labelled(layout, tmp_path, split="test", limit=2)
    whole = open_labelled(layout, tmp_path, split="test", limit=None)
    assert (len(found), whole.labels.tolist(), whole.names) == (2, [1, 0, 1], ("airplane", "truck"))
    np.testing.assert_array_equal(np.array(whole.image(2)), images[2])
    with pytest.raises(FileNotFoundError, match=rf"the binary version of {layout} in .* exist"):
        open_labelled(layout, tmp_path, split="train", limit=None)
    (tmp_path / test).write_bytes(rows.tobytes()[:-1])
    with pytest.raises(ValueError, match=r"bin: not rows of \d+ bytes; restore the file"):
        open_labelled(layout, tmp_path, split="test", limit=None)


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_a_missing_list_is_named_with_what_was_expected_and_where(write, tmp_path):
    train_split, *_ = write(tmp_path)
    listing = next(
        path for path in sorted(tmp_path.rglob("*")) if path.suffix in {".txt", ".mat"}
        and path.name not in {"test.txt", "test1.txt", "Testing_01.txt", "images_variant_test.txt",
                              "cars_test_annos_withlabels.mat"}
    )  # fmt: skip
    listing.unlink()
    with pytest.raises(FileNotFoundError) as caught:
        open_labelled(write.__name__, tmp_path, split=train_split, limit=None)
    message = str(caught.value)
    assert message.startswith(f"expected {write.__name__} in {tmp_path}: ")
    assert f"{listing} does not exist" in message
    assert "\n" not in message


def test_other_faults_are_named(tmp_path):
    food101(tmp_path)
    with pytest.raises(ValueError, match=r"food101 has no split 'val': use one of train\|test"):
        open_labelled("food101", tmp_path, split="val", limit=None)
    with pytest.raises(ValueError, match=r"'voc' is not a classification layout"):
        open_labelled("voc", tmp_path, split="val", limit=None)
    lines(tmp_path / "meta/train.txt", "pizza/1")
    with pytest.raises(ValueError, match=r"its lists do not fit: KeyError\('pizza'\)"):
        open_labelled("food101", tmp_path, split="train", limit=None)
    (tmp_path / "images/waffles/3.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"3.jpg: listed, but does not exist"):
        open_labelled("food101", tmp_path, split="test", limit=None)


def test_plain_layouts_open_too(tmp_path):
    write_parquet(tmp_path, "val", [0, 2])
    found = open_labelled("parquet", tmp_path, split="val", limit=None)
    assert found.labels.tolist() == [0, 2]


@pytest.mark.parametrize("damage", ["cut", "overwritten", "text"])
def test_a_damaged_mat_file_is_named_with_the_remedy(tmp_path, damage):
    names = np.array([[f"class {number}" for number in range(50)]], dtype=object)
    path = tmp_path / "devkit" / "cars_meta.mat"
    path.parent.mkdir()
    savemat(path, {"class_names": names}, do_compression=True)
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(
        {
            "cut": whole[:middle],
            "overwritten": whole[:middle] + bytes(20) + whole[middle + 20 :],
            "text": b"<html>404</html>" * 20,
        }[damage]
    )
    with pytest.raises(ValueError, match=r"cars_meta.mat: not a readable .mat file .*restore it"):
        open_labelled("cars", tmp_path, split="train", limit=None)
