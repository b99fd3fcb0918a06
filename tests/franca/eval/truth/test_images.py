"""Perfect features of images: classes that are told apart however few entries are kept."""

import pytest
import torch

from franca.eval.truth.images import class_code


@pytest.mark.parametrize("classes", [2, 3, 7, 10, 400])
def test_the_code_of_a_class_tells_it_from_all_others_at_any_length(classes):
    code = class_code(torch.arange(classes), classes=classes, width=192).double()
    for kept in (2, 3, 6, 192):
        first = torch.nn.functional.normalize(code[:, :kept], dim=1)
        assert ((first @ first.T).argmax(1) == torch.arange(classes)).all()
    centred = code - code.mean(0)
    torch.testing.assert_close(code, centred, atol=1e-5, rtol=0)
    # the first principal components are the first entries
    axes = torch.linalg.svd(centred, full_matrices=False).Vh[: min(2, classes - 1)]
    assert axes[:, 2:].abs().max() < 1e-3
