"""One ONNX file for any batch and any size of image that the patch size divides."""

import warnings
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from franca.api import Backbone
from franca.export.format import Format, Reader, import_extra, plain_model
from franca.export.positions import resize_by_matrices
from franca.models.vit import VisionTransformer
from franca.rasa.fold import FoldedBackbone
from franca.rasa.linear_map import identity_map

FILE = "model.onnx"


class _TraceableTransformer(VisionTransformer):
    """Interpolates positions in a way that a graph can hold for grids not known yet."""

    def positions(self, grid: tuple[int, int]) -> Float[Tensor, "1 positions dim"]:
        return resize_by_matrices(self.pos_embed, grid=grid, interpolation=self.interpolation)


class _Outputs(nn.Module):
    """Gives CLS and patches as plain tensors."""

    def __init__(self, model: VisionTransformer | FoldedBackbone) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.model.forward_features(images)
        return features.cls, features.patches


def _traceable(backbone: Backbone) -> _Outputs:
    """Return the same model, sharing its tensors, with traceable positions."""
    plain = plain_model(backbone)
    with torch.device("meta"):
        traceable = _TraceableTransformer(
            arch=plain.arch, registers=plain.num_registers, interpolation=plain.interpolation
        )
    traceable.load_state_dict(plain.state_dict(), assign=True)
    if isinstance(backbone.model, VisionTransformer):
        return _Outputs(traceable).eval()
    folded = FoldedBackbone(traceable, identity_map(plain.embed_dim))
    folded.weight, folded.bias = backbone.model.weight, backbone.model.bias
    return _Outputs(folded).eval()


def _write(backbone: Backbone, folder: Path) -> None:
    for name in ("onnx", "onnxscript"):
        import_extra(name)
    patch = backbone.patch_size
    example = torch.zeros(2, 3, 2 * patch, 3 * patch)  # no two sizes alike, or they become one
    rows, columns = torch.export.Dim("rows"), torch.export.Dim("columns")
    sizes = {0: torch.export.Dim("batch"), 2: patch * rows, 3: patch * columns}
    with warnings.catch_warnings():
        # torch's exporter uses what torch itself has deprecated.
        warnings.simplefilter("ignore", FutureWarning)
        program = torch.onnx.export(
            _traceable(backbone),
            (example,),
            dynamo=True,
            dynamic_shapes={"images": sizes},
            input_names=["images"],
            output_names=["cls", "patches"],
            verbose=False,
        )
    assert program is not None, "torch.onnx.export(dynamo=True) returns a program"
    program.save(folder / FILE)


def _open(folder: Path) -> Reader:
    runtime = import_extra("onnxruntime")
    session = runtime.InferenceSession(folder / FILE, providers=["CPUExecutionProvider"])

    def read(images: Tensor) -> tuple[Tensor, Tensor]:
        cls, patches = session.run(["cls", "patches"], {"images": images.numpy()})
        return torch.from_numpy(cls), torch.from_numpy(patches)

    return read


ONNX = Format(
    title="ONNX",
    write=_write,
    open=_open,
    holds_map=True,
    interpolation=lambda model: model.interpolation,
    usage="""import onnxruntime

session = onnxruntime.InferenceSession("model.onnx")
cls, patches = session.run(["cls", "patches"], {"images": images})  # float32, any batch and size
""",
)
