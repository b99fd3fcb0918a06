"""SSIM and PSNR against Feat2GS, and against what must hold."""

import numpy as np
import pytest
import torch

from franca.eval.image_metrics import masked_mean, psnr, ssim, ssim_map

CASES = ["main", "small"]  # the window is larger than the small images


@pytest.fixture
def case(oracle):
    arrays = oracle("image_metrics")

    def load(name):
        images = (torch.from_numpy(arrays[f"in/{name}/{which}"]) for which in ("a", "b", "mask"))
        prefix = f"out/{name}/"
        expected = {k.removeprefix(prefix): arrays[k] for k in arrays if k.startswith(prefix)}
        return *images, expected

    return load


@pytest.mark.parametrize("name", CASES)
def test_ssim_is_that_of_gaussian_splatting(case, name):
    first, second, mask, expected = case(name)
    np.testing.assert_allclose(ssim_map(first, second), expected["ssim_map"], atol=1e-5)
    assert ssim(first, second).item() == pytest.approx(float(expected["ssim"]), abs=1e-5)
    of_masked = ssim(first * mask, second * mask).item()
    assert of_masked == pytest.approx(float(expected["ssim_of_masked_images"]), abs=1e-5)
    averaged = masked_mean(ssim_map(first, second), mask).item()
    assert averaged == pytest.approx(float(expected["ssim_averaged_over_mask"]), abs=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_psnr_is_that_of_feat2gs(case, name):
    first, second, mask, expected = case(name)
    assert psnr(first, second).item() == pytest.approx(expected["psnr"].item(), abs=1e-3)
    of_masked = psnr(first * mask, second * mask).item()
    assert of_masked == pytest.approx(expected["psnr_of_masked_images"].item(), abs=1e-3)
    averaged = psnr(first, second, mask).item()
    assert averaged == pytest.approx(float(expected["psnr_averaged_over_mask"]), abs=1e-3)


def test_equal_images_are_alike_without_end_and_images_do_not_mix(case):
    first, second, _, _ = case("main")
    both = torch.cat([first, first])
    others = torch.cat([first, second])
    assert psnr(both, others)[0] == torch.inf
    torch.testing.assert_close(ssim(both, others)[0], torch.tensor(1.0))
    torch.testing.assert_close(ssim(both, others)[1], ssim(first, second)[0])
