"""Types and meaning of the parameters that name a model: networks, and what scores images by them.

Every file is named together with its digest. So parameters say which weights decided, a receipt
records them, and other weights under the same name are other parameters: both engines rerun.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from data_filters.section import Section

Device = Literal["auto", "cpu", "cuda"]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class PinnedFile(Section):
    """A file that the user brings."""

    file: str = Field(description="Path of the file.")
    sha256: Sha256 = Field(description="Its digest, as `sha256sum` prints it.")


# --- networks: pixels in, vectors out ----------------------------------------------------------


class OpenClip(PinnedFile):
    """A CLIP of the open_clip library; `file` holds its weights (safetensors, or a state dict)."""

    kind: Literal["open_clip"]
    model: str = Field(
        description="Name of a configuration that open_clip ships, such as ViT-B-32, or the path "
        "of one (.json)."
    )


class Timm(PinnedFile):
    """A backbone of the timm library without its classifier; `file` holds its weights."""

    kind: Literal["timm"]
    model: str = Field(description="Name of the architecture in timm.")


class Onnx(PinnedFile):
    """Any ONNX graph with images as its only input; `franca export` writes one of our own."""

    kind: Literal["onnx"]
    size: int = Field(ge=8, description="Side of the square that the network sees, pixels.")
    resize: int = Field(
        ge=8, description="Shorter side before the centre is cut out, pixels; at least `size`."
    )
    mean: tuple[float, float, float] = Field(
        description="Subtracted from the channels, of 0 to 255, in the network's order."
    )
    std: tuple[float, float, float] = Field(description="Divides the channels afterwards.")
    channels: Literal["rgb", "bgr"] = Field(description="Order of the channels.")
    layout: Literal["nchw", "nhwc"] = Field(description="Order of the input's axes.")
    output: str = Field(description="Name of the output wanted.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.resize < self.size:
            raise ValueError("resize is smaller than size: no square of that side can be cut out")
        return self


Network = Annotated[OpenClip | Timm | Onnx, Field(discriminator="kind")]


# --- scorers: a number for each image, and its limits --------------------------------------------


class Limits(Section):
    """What every scorer has: a name, and the scores that pass."""

    name: str = Field(
        pattern="^[a-z][a-z0-9_]*$", description="Its name in verdicts, funnel and report."
    )
    min_score: float | None = Field(default=None, description="Images below it are dropped.")
    max_score: float | None = Field(default=None, description="Images above it are dropped.")

    @model_validator(mode="after")
    def _check_limits(self) -> Self:
        if self.min_score is None and self.max_score is None:
            raise ValueError(f"model {self.name!r} drops nothing: set min_score or max_score")
        return self


class ClipSimilarity(Limits):
    """Cosine of image and caption, -1 to 1."""

    kind: Literal["clip_similarity"]
    clip: OpenClip


class ClipPrompts(Limits):
    """Probability of some descriptions against others, 0 to 1: text-heavy, watermarked, ..."""

    kind: Literal["clip_prompts"]
    clip: OpenClip
    prompts: tuple[str, ...] = Field(min_length=1, description="What is looked for.")
    against: tuple[str, ...] = Field(min_length=1, description="What it is told apart from.")


class ClipHead(Limits):
    """Layers on the normalised CLIP embedding, such as LAION's aesthetic predictors."""

    kind: Literal["clip_head"]
    clip: OpenClip
    head: PinnedFile = Field(
        description="Linear layers in order (safetensors, or a .pth state dict)."
    )
    activation: Literal["none", "relu"] = Field(description="Between layers; LAION's have none.")
    output: Literal["linear", "sigmoid"] = Field(description="Of the last layer.")


class OnnxScore(Limits):
    """An entry of the vector that an ONNX classifier returns."""

    kind: Literal["onnx"]
    network: Onnx
    index: int = Field(ge=0, description="Which entry is the score.")


class OpenNsfw(Limits):
    """Probability of being unsafe by Yahoo's open_nsfw, 0 to 1 (the extra `nsfw` holds it)."""

    kind: Literal["opennsfw"]


Scorer = Annotated[
    ClipSimilarity | ClipPrompts | ClipHead | OnnxScore | OpenNsfw, Field(discriminator="kind")
]


# --- duplicates by meaning -----------------------------------------------------------------------


class Components(Section):
    """Images joined by close embeddings are one; the best of each component stays (DINOv2)."""

    kind: Literal["components"]
    lists: int | None = Field(
        ge=1,
        description="Lists of faiss's inverted file, for sets too big to compare all with all: "
        "about 4 to 16 times the square root of the number of images. Null compares all, exactly.",
    )
    probes: int = Field(ge=1, description="Lists searched for each image.")


class SemDeDup(Section):
    """Within a cluster, of close images the one farthest from its centroid stays."""

    kind: Literal["semdedup"]
    clusters: int = Field(ge=1, description="Clusters of k-means; the paper has 50,000.")


class Semantic(Section):
    """How images with close embeddings are thinned out."""

    network: Network
    device: Device = Field(description="Where the network runs.")
    batch_size: int = Field(ge=1, le=4096, description="Images that it sees at a time.")
    min_cosine: float = Field(
        ge=-1, le=1, description="From which cosine on two images are one; depends on the network."
    )
    evaluation_min_cosine: float | None = Field(
        ge=-1, le=1, description="The same, towards evaluation images; null to leave them out."
    )
    selection: Annotated[Components | SemDeDup, Field(discriminator="kind")]
