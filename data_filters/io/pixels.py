"""Decoding images safely: size before pixels, upright, complete or not at all."""

import hashlib
import io
import struct
import warnings
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

EXTENSIONS: Final = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp"}
"""Pillow formats that become training images, and the extension each gets."""

_FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF")  # Pillow tells MPO from JPEG by itself
_MAGIC: Final = (
    (b"\xff\xd8\xff", "jpg"), (b"\x89PNG\r\n\x1a\n", "png"), (b"GIF8", "gif"), (b"BM", "bmp"),
    (b"II*\x00", "tiff"), (b"MM\x00*", "tiff"),
)  # fmt: skip

_EXIF_ORIENTATION: Final = 0x0112
_TURNS: Final = MappingProxyType(
    {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
)  # fmt: skip
_FIRST_SIDEWAYS: Final = 5

Pixels = npt.NDArray[np.uint8]


class UnreadableImageError(ValueError):
    """The bytes are not an image, or not a whole one. `reason` is one word."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def sniff(data: bytes) -> str | None:
    """Name the image format by its first bytes; None for anything that is not an image."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return next((name for magic, name in _MAGIC if data.startswith(magic)), None)


def open_image(data: bytes) -> Image.Image:
    """Read the header only: format, size, number of frames. No pixel is decoded.

    Raises:
        UnreadableImageError: `not_an_image`, or `too_many_pixels` for Pillow's own bomb limit.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of big images; the size filter decides
        try:
            return Image.open(io.BytesIO(data), formats=_FORMATS)
        except Image.DecompressionBombError as error:
            raise UnreadableImageError("too_many_pixels", str(error)) from error
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
            raise UnreadableImageError("not_an_image", type(error).__name__) from error


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height after the rotation that EXIF asks for; no pixel is decoded.

    A PNG may hold its EXIF block behind its pixels, where only `decode` sees it.
    """
    width, height = image.size
    return (height, width) if _orientation(image) >= _FIRST_SIDEWAYS else (width, height)


def is_turned(image: Image.Image) -> bool:
    """Whether EXIF asks for a rotation or a reflection; no pixel is decoded."""
    return _orientation(image) in _TURNS


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation; upright where the block is missing or broken."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a line for every broken block would fill the log
        try:
            # the method of the base class, because that of PNG decodes the image
            orientation = Image.Image.getexif(image).get(_EXIF_ORIENTATION)
        except (SyntaxError, ValueError, OSError, KeyError, TypeError, EOFError, struct.error):
            return 1
    return orientation if isinstance(orientation, int) and orientation in _TURNS else 1


def decode(image: Image.Image) -> Pixels:
    """Decode to upright RGB, [height, width, 3]; transparency is laid on white.

    Raises:
        UnreadableImageError: `truncated` or `undecodable`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # broken EXIF blocks and palettes are not worth a line each
        try:
            image.load()
            turn = _TURNS.get(_orientation(image))
            upright = _eight_bits(image if turn is None else image.transpose(turn))
            if upright.has_transparency_data:
                layer = upright.convert("RGBA")
                white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
                upright = Image.alpha_composite(white, layer)
            return np.asarray(upright.convert("RGB"))
        except (OSError, EOFError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            reason = "truncated" if "truncated" in str(error) else "undecodable"
            raise UnreadableImageError(reason, type(error).__name__) from error


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale grey pixels of 16 bits: Pillow's own conversion cuts everything above 255 to white."""
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {image.mode} have no known range")
    if not image.mode.startswith("I;16"):
        return image
    return Image.fromarray(np.round(np.asarray(image) / 257).astype(np.uint8))


def pixel_digest(pixels: Pixels) -> str:
    """SHA-256 of size and pixels: it survives lossless re-encoding."""
    digest = hashlib.sha256(np.array(pixels.shape, dtype="<i8").tobytes())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def grey(pixels: Pixels) -> npt.NDArray[np.float32]:
    """Luma (ITU-R BT.601) of RGB pixels, [height, width], 0 to 255."""
    weights = np.array([0.299, 0.587, 0.114], dtype=np.float32)
    return np.asarray(pixels, dtype=np.float32) @ weights
