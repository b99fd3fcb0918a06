"""Published figures that a plan needs and that no parameter holds, each with its source."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from franca.models.gpus import GPUS

PAPER_GPU: Final = GPUS["h100"]
# Franca (arXiv 2507.14137), Table 8, by scale and variant; its DINOv2 baselines were fine-tuned for
# 20,000 updates, not 40,000. DINOv2-G (22,016) is left out: DINOv2's model card has it for A100.
PAPER_GPU_HOURS: Final = MappingProxyType(
    {
        ("vit_b_in21k", "franca"): 1504,
        ("vit_b_in21k", "dinov2"): 1324,
        ("vit_l_laion600m", "franca"): 5952,
        ("vit_l_laion600m", "dinov2"): 5677,
        ("vit_g_laion600m", "franca"): 19992,
    }
)


@dataclass(frozen=True, kw_only=True)
class Source:
    """A public data set, known by the name of its folder.

    Attributes:
        rows: images or URLs.
        table_bytes: of its metadata; None for images without a table.
        image_bytes: of an image as it arrives, on average.
        wanted: images that the paper trained on.
    """

    rows: int
    table_bytes: float | None
    image_bytes: float
    wanted: int


SOURCES: Final = MappingProxyType(
    {
        # Hugging Face: rows and 467 GB in 128 parts; 110 to 130 kB an original (LAION-400M).
        "relaion2B-en-research-safe": Source(
            rows=2_097_693_557, table_bytes=467e9, image_bytes=120e3, wanted=599_187_600
        ),
        # Franca, Table 6; huggingface.co/datasets/timm/imagenet-w21-webp-wds: 646 GB, 56 % of JPEG.
        "winter21_whole": Source(
            rows=13_153_000, table_bytes=None, image_bytes=88e3, wanted=13_153_000
        ),
    }
)

# Bytes of a whole set of fine-tuning, by its name in the catalogue: those of the publishers'
# archives. ADE20K's and VOC's hold masks too; of KITTI's it is the share of the training images.
HIGHRES_BYTES: Final = MappingProxyType(
    {
        "imagenet_1k": 147.9e9,
        "ade20k_train": 0.97e9,
        "coco_train2017": 19.3e9,
        "voc2012": 2.0e9,
        "kitti_object_train": 12.57e9 * 7_481 / (7_481 + 7_518),
    }
)

# Share of ReLAION's rows that pass a preset of data_filters/metadata/presets.py: 51 % of LAION-400M
# have both sides of at least 256 (laion.ai); watermark, safety and aspect are our estimate.
PASSING: Final = MappingProxyType({"franca_paper": (1.0, 1.0), "relaion_600m": (0.40, 0.43)})

# Share of LAION's addresses that still answer: reports of 50 to 75 % in 2024 and 2025 (img2dataset
# #400, #439), 1 % lost a month (img2dataset #277).
ANSWERING: Final = (0.5, 0.7)

# Bytes of a stored JPEG by its shorter side: ImageNet-1K at quality 95, 4:2:0, measured.
STORED_BYTES: Final = MappingProxyType({256: 42e3, 512: 87e3})

# img2dataset's own figure for a machine of 16 cores, images a second.
FETCHED_PER_SECOND: Final = 1000
