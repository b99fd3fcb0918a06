"""Extraction: the right numbers, once, and again after a kill."""

import numpy as np
import pytest
import torch

from franca.eval.datasets import ParquetImages
from franca.eval.features import StreamedPatches, digest_files, extract
from franca.eval.transforms import Square, normalise, to_pixels
from tests.franca.eval.worlds import BlockModel, PixelModel, write_parquet


@pytest.fixture
def images(tmp_path):
    write_parquet(tmp_path / "set", "val", [0, 1, 2, 0, 1, 2, 0])
    return ParquetImages(tmp_path / "set", split="val", limit=None)


def run(model, images, folder, **changes):
    settings = {
        "weights_digest": "w",
        "transform": Square(side=16),
        "blocks": 1,
        "store_patches": True,
        "patch_dtype": "float32",
        "batch_size": 3,
        "num_workers": 0,
        "device": torch.device("cpu"),
    }
    return extract(model, images, folder=folder, **(settings | changes))


def direct(model, images):
    pixels = [torch.from_numpy(to_pixels(images.image(i))) for i in range(len(images))]
    return model.forward_features(normalise(torch.stack(pixels)))


def test_equals_one_forward_pass(images, tmp_path):
    found = run(PixelModel(), images, tmp_path / "features")
    expected = direct(PixelModel(), images)
    assert found.grid == (4, 4)
    assert torch.equal(found.patches, expected.patches)
    torch.testing.assert_close(found.cls_blocks[:, 0], expected.cls)
    torch.testing.assert_close(found.mean_patch, expected.patches.mean(1))


def test_second_request_costs_nothing_and_another_content_does(images, tmp_path):
    model, folder = PixelModel(), tmp_path / "features"
    first = run(model, images, folder)
    passes = model.passes
    assert run(model, images, folder) == first
    assert model.passes == passes == 3
    different = [
        run(model, images, folder, weights_digest="other"),
        run(model, images, folder, transform=Square(side=8)),
        run(model, images, folder, patch_dtype="float16"),
        run(model, images, folder, store_patches=False),
    ]
    assert len({first.folder, *(other.folder for other in different)}) == 5


def test_killed_extraction_goes_on_where_it_stopped(images, tmp_path):
    class Killed(PixelModel):
        def forward_features(self, pixels):
            if self.passes == 2:
                raise KeyboardInterrupt
            return super().forward_features(pixels)

    with pytest.raises(KeyboardInterrupt):
        run(Killed(), images, tmp_path / "features")
    model = PixelModel()
    resumed = run(model, images, tmp_path / "features")
    assert model.passes == 1  # two batches of three were kept
    whole = run(PixelModel(), images, tmp_path / "elsewhere")
    for name in ("cls.npy", "mean_patch.npy", "patches.npy"):
        assert (resumed.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def test_half_precision_storage(images, tmp_path):
    found = run(PixelModel(), images, tmp_path / "features", patch_dtype="float16")
    assert found.patches.dtype == torch.float16
    torch.testing.assert_close(
        found.patches.float(), direct(PixelModel(), images).patches, atol=2e-3, rtol=2e-3
    )


def test_last_blocks_first_to_last(images, tmp_path):
    found = run(BlockModel(), images, tmp_path / "features", blocks=3)
    assert found.cls_blocks.shape == (7, 3, 48)
    torch.testing.assert_close(found.cls_blocks[:, 2], 3 * found.cls_blocks[:, 0])
    torch.testing.assert_close(found.mean_patch, found.cls_blocks[:, 2])
    with pytest.raises(ValueError, match="PixelModel shows its last block only"):
        run(PixelModel(), images, tmp_path / "features", blocks=2)


def test_size_that_is_no_multiple_names_the_parameter(images, tmp_path):
    with pytest.raises(ValueError, match=r"size 18 is not a multiple of the patch size 4: change"):
        run(PixelModel(), images, tmp_path / "features", transform=Square(side=18))


def test_decoding_processes_change_nothing(images, tmp_path):
    alone = run(PixelModel(), images, tmp_path / "a")
    helped = run(PixelModel(), images, tmp_path / "b", num_workers=1)
    assert torch.equal(alone.patches, helped.patches)


def test_digest_of_files_depends_on_content_and_order(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"1")
    second.write_bytes(b"2")
    digests = {digest_files(first), digest_files(first, second), digest_files(second, first)}
    assert len(digests) == 3
    second.write_bytes(b"1")
    assert digest_files(second) == digest_files(first)


def test_mapped_features_can_be_read_but_never_written_back(images, tmp_path):
    found = run(PixelModel(), images, tmp_path / "features")
    before = (found.folder / "cls.npy").read_bytes()
    found.cls_blocks.zero_()
    assert (found.folder / "cls.npy").read_bytes() == before
    assert np.any(found.cls_blocks.numpy() != 0)


def test_the_size_is_told_before_the_first_pass(images, tmp_path, caplog):
    class Never(PixelModel):
        def forward_features(self, pixels):
            del pixels
            raise KeyboardInterrupt

    with caplog.at_level("INFO"), pytest.raises(KeyboardInterrupt):
        run(Never(), images, tmp_path / "features")
    size = 7 * (16 + 2) * 48 * 4
    assert f"features take {size / 1e6:.1f} MB" in caplog.text


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_streamed_tokens_are_the_stored_ones(images, tmp_path, dtype):
    stored = run(PixelModel(), images, tmp_path / "features", patch_dtype=dtype).patches
    streamed = StreamedPatches(
        model=PixelModel(),
        images=images,
        chosen=tuple(range(7)),
        transform=Square(side=16),
        dtype=dtype,
        batch_size=3,
        num_workers=0,
        device=torch.device("cpu"),
    )
    assert streamed.shape == stored.shape
    assert torch.equal(torch.cat(list(streamed.split(2))), stored)
    assert torch.equal(torch.stack(list(streamed)), stored)
    assert torch.equal(streamed[torch.tensor([5, 0, 5])], stored[[5, 0, 5]])
    odd = streamed.select(torch.arange(7) % 2 == 1)
    assert torch.equal(torch.stack(list(odd)), stored[1::2])
    assert torch.equal(odd[torch.tensor([2])], stored[[5]])
    assert len(streamed) == 7
