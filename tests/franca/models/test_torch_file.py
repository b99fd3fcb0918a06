"""Files of torch: what is no such file, is damaged or could run code ends in one line."""

import argparse
import io
import random

import pytest
import torch

from franca.models.torch_file import read_torch

NO_WEIGHTS = "not a readable file of weights"
CONTENT = {"teacher": {"norm.bias": torch.arange(5.0), "mask_token": torch.zeros(1, 3)}}


def bytes_of(content, *, zipped=True):
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=zipped)
    return stream.getvalue()


@pytest.mark.parametrize("zipped", [True, False])
def test_both_layouts_of_torch_are_read(tmp_path, zipped):
    (tmp_path / "a.pth").write_bytes(bytes_of(CONTENT, zipped=zipped))
    assert torch.equal(read_torch(tmp_path / "a.pth")["teacher"]["norm.bias"], torch.arange(5.0))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty file.: delete it and download the weights themselves"),
        (b"<!DOCTYPE html>\n<html>", r"starts with '<!DOCTYPE html>\\n<html>'.: delete it"),
        (b"version https://git-lfs.github.com/spec/v1\n", "starts with 'version https://git-lfs."),
        (b"\x1f\x8b\x08" + bytes(100), "an archive.: unpack it and give the file inside"),
        (bytes(257) + b"ustar" + bytes(300), "an archive.: unpack it"),
        (
            bytes_of(CONTENT)[:-30],
            "damaged or incomplete, RuntimeError: .*: delete it and download",
        ),
        (bytes_of(CONTENT, zipped=False)[:-9], "damaged or incomplete, .*: delete it and download"),
        (b"\x80\x02", "damaged or incomplete, EOFError.: delete it and download"),
        (bytes_of({"args": argparse.Namespace()}), "objects of argparse.Namespace.*run code"),
    ],
)
def test_what_is_no_file_of_weights_is_named_with_a_remedy(tmp_path, content, message):
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(ValueError, match=rf"a.pth: {NO_WEIGHTS} .*{message}") as caught:
        read_torch(tmp_path / "a.pth")
    assert "\n" not in str(caught.value)
    assert "weights_only" not in str(caught.value)  # torch's own advice is to let the code run


@pytest.mark.parametrize("zipped", [True, False])
def test_any_damage_ends_in_one_line_if_it_is_found_at_all(tmp_path, zipped):
    whole, refusals = bytes_of(CONTENT, zipped=zipped), []
    for seed in range(150):
        draw, content = random.Random(seed), bytearray(whole)
        for _ in range(3):
            content[draw.randrange(2, min(len(content), 600))] = draw.randrange(256)
        (tmp_path / "a.pth").write_bytes(bytes(content))
        try:
            read_torch(tmp_path / "a.pth")
        except ValueError as error:
            refusals.append(str(error))
    assert len(refusals) > 75
    assert all(NO_WEIGHTS in text and "\n" not in text for text in refusals)
