"""What a set of each format is made of, and what is checked when it is opened: for people."""

from typing import Final, NamedTuple

from franca.config.evaluation_sets import EvaluationSet
from franca.eval.inputs.layouts import LAYOUTS
from franca.eval.inputs.masks import MASK_LAYOUTS


class Format(NamedTuple):
    """A layout in words.

    Attributes:
        files: below the set's root; `<split>` stands for the name of a split.
        checks: what is refused, besides a file that is missing and an image that is unreadable.
    """

    files: str
    checks: str


_NAMED: Final = "labels are among the named classes; splits name the same classes"

FORMATS: Final[dict[str, Format]] = {
    "parquet": Format(
        "<split>-*.parquet with image{bytes, path}, label and the names of the classes in the "
        "Hugging Face metadata",
        _NAMED,
    ),
    "folder": Format("<split>/<class>/<image>", "splits name the same classes"),
    "openood": Format(
        "benchmark_imglist/imagenet/test_<split>.txt; images in images_largescale/ and "
        "images_classic/",
        "the list names images",
    ),
    "cifar10": Format("batches.meta.txt, data_batch_1.bin to 5, test_batch.bin", _NAMED),
    "cifar100": Format("fine_label_names.txt, train.bin, test.bin", _NAMED),
    **{
        name: Format(each.expected, "lists, labels and classes fit")
        for name, each in LAYOUTS.items()
    },
    **{
        name: Format(
            each.expected.partition(": ")[2], "masks are indexed images; num_train, num_test"
        )
        for name, each in MASK_LAYOUTS.items()
    },
    "voc": Format(
        "ImageSets/Segmentation/<split>.txt, JPEGImages/<name>.jpg, SegmentationClass/<name>.png; "
        "optionally SegmentationObject/, Depth/<name>.npy, Normals/<name>.npy, classes.txt",
        "num_classes is what classes.txt lists, if it is there; images and masks of one size",
    ),
    "geometry": Format(
        "ImageSets/Segmentation/<split>.txt, JPEGImages/<name>.png, Depth/<name>.npy in metres, "
        "Normals/<name>.npy",
        "arrays have the image's size; for the trained probes, all images the same",
    ),
    "voc_detection": Format(
        "ImageSets/Main/<split>.txt, JPEGImages/<name>.jpg, Annotations/<name>.xml",
        "annotations are XML with boxes",
    ),
    "davis": Format(
        "ImageSets/2017/<split>.txt, JPEGImages/480p/<video>/<frame>.jpg, "
        "Annotations/480p/<video>/<frame>.png",
        "frames of a video of one size; a video of fewer than three frames or without an object "
        "in its first mask is named and not scored",
    ),
    "pairs": Format("pairs.json, and the images and points that it names", "at least one pair"),
    "spair": Format(
        "Layout/large/<split>.txt, PairAnnotation/<split>/<pair>.json, "
        "JPEGImages/<class>/<name>.jpg",
        "at least one pair",
    ),
    "views": Format("<scene>/{cameras.json,images/,depth/}", "every view that cameras.json lists"),
    "navi": Format(
        "<object>/<split>/annotations.json, images/ and depth/ with downsampled_<id>",
        "two pictures of an object within 120 degrees; depth within the middle square",
    ),
    "scannet": Format(
        "<split>.npz, intrinsics.npz, "
        "<scene>/{color/<frame>.jpg, depth/<frame>.png, pose/<frame>.txt}",
        "four numbers a pair; a matrix for each scene; depth of 480 x 640 pixels",
    ),
    "revisited": Format(
        "gnd_<split>.json (`franca eval convert` makes it) and jpg/<image>.jpg",
        "the ground truth names images and boxes of the queries",
    ),
}


def format_of(declared: EvaluationSet) -> Format:
    """Return the layout of a set; that of PASCAL VOC says what else it has by the kind of set."""
    return FORMATS["geometry" if declared.kind == "geometry" else declared.format]
