"""Image bytes to 8-bit RGB: one answer for every format, or a reason, never a fill-in.

Plain colour JPEGs, nearly all of the data, go through OpenCV; its libjpeg-turbo gives the same
pixels as Pillow's in less time. Everything that needs a decision goes through Pillow.
"""

import io
import struct
import warnings

import cv2
import numpy as np
import numpy.typing as npt
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

MAX_PIXELS = 64_000_000  # an 8,000 x 8,000 image; beyond it a file is an accident or an attack
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_END_OF_IMAGE = b"\xff\xd9"


class UndecodableImageError(ValueError):
    """The bytes are no image that can be trained on; the message is the reason."""


def decode_rgb(data: bytes) -> UInt8[np.ndarray, "height width 3"]:
    """Decode an encoded image to RGB, upright, 8 bits a channel.

    EXIF orientation is applied; transparency is laid over white, as a browser shows it; 16 bits
    are scaled to 8; palettes, grey and CMYK are converted to RGB.

    Raises:
        UndecodableImageError: not an image, truncated, damaged, or more than `MAX_PIXELS` pixels.
    """
    frame = _plain_jpeg_frame(data)
    if frame is None:
        return _decode_with_pillow(data)
    _check_pixels(*frame)
    image: npt.NDArray[np.uint8] | None = cv2.imdecode(
        np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB
    )
    if image is None:
        raise UndecodableImageError("damaged JPEG")
    return image


def _plain_jpeg_frame(data: bytes) -> tuple[int, int] | None:
    """Return (height, width) of a whole three-channel JPEG, None for anything else.

    libjpeg fills what is missing from a truncated file with grey and only warns, hence the look at
    the end: a file that does not end as JPEGs do is left to Pillow, which refuses truncated ones.
    """
    if not data.startswith(b"\xff\xd8") or not data.rstrip(b"\0").endswith(_END_OF_IMAGE):
        return None
    at = 2
    while at + 10 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _START_OF_FRAME:
            height, width, channels = struct.unpack_from(">HHB", data, at + 5)
            return (height, width) if channels == 3 else None
        at += 2 + int(struct.unpack_from(">H", data, at + 2)[0])
    return None


def _decode_with_pillow(data: bytes) -> UInt8[np.ndarray, "height width 3"]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of what is checked or refused here
            image = Image.open(io.BytesIO(data))
            _check_pixels(image.height, image.width)
            image.load()
            return np.array(_to_rgb(ImageOps.exif_transpose(image)))
    except UnidentifiedImageError as error:
        raise UndecodableImageError("not an image") from error
    except UndecodableImageError:
        raise
    # What Pillow's many decoders raise on damaged files.
    except (
        OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError,
        struct.error, Image.DecompressionBombError,
    ) as error:  # fmt: skip
        raise UndecodableImageError(f"damaged image: {error}".splitlines()[0]) from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F"):
        raise UndecodableImageError(f"pixels of mode {image.mode} have no known range")
    if image.mode.startswith("I;16"):  # Pillow's own conversion clips to 255
        scaled = np.round(np.asarray(image) / 257).astype(np.uint8)
        return Image.fromarray(scaled).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _check_pixels(height: int, width: int) -> None:
    if not 0 < height * width <= MAX_PIXELS:
        raise UndecodableImageError(f"{width} x {height} pixels, at most {MAX_PIXELS} are read")
