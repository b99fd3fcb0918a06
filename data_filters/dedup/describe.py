"""What is kept of an image to compare it with others: its signature and, if asked for, a vector."""

import numpy as np

from data_filters.config_models import Semantic
from data_filters.dedup.signatures import Signature, sign
from data_filters.dedup.vectors import Embeddings, stacked
from data_filters.io.pixels import Pixels, decode, open_image
from data_filters.models.build import build_network
from data_filters.models.network import Network, Prepared, normalised, vectors


class Describer:
    """Describe images one after another, a batch of pixels at most in memory.

    Args:
        network: What embeds images; None for signatures only.
        batch_size: Images that it sees at a time.
    """

    def __init__(self, network: Network | None, *, batch_size: int) -> None:
        self._network, self._batch_size = network, batch_size
        self._prepared: list[Prepared] = []
        self._embedded: list[Embeddings] = []

    def add(self, data: bytes, *, sha256: str | None = None) -> Signature:
        """Describe the next image and return its signature.

        Args:
            data: An encoded image.
            sha256: Of `data`, where it is known.

        Raises:
            UnreadableImageError: It cannot be decoded.
        """
        if self._network is not None:
            self._embed(self._network, decode(open_image(data)))
        return sign(data, sha256=sha256)

    def add_decoded(self, data: bytes, pixels: Pixels, *, sha256: str | None = None) -> Signature:
        """Describe the next image, which is decoded already."""
        if self._network is not None:
            self._embed(self._network, pixels)
        return sign(data, sha256=sha256)

    def _embed(self, network: Network, pixels: Pixels) -> None:
        self._prepared.append(network.prepare(pixels))
        if len(self._prepared) == self._batch_size:
            self._flush(network)

    def _flush(self, network: Network) -> None:
        rows = normalised(vectors(network, self._prepared, batch_size=self._batch_size))
        self._embedded.append(rows.astype(np.float16))
        self._prepared = []

    def embeddings(self) -> Embeddings:
        """Return the embeddings of all images so far, of length one, [images, dim]."""
        if self._network is not None and self._prepared:
            self._flush(self._network)
        return stacked(self._embedded)


def build_describer(cfg: Semantic | None, *, key: str) -> Describer:
    """Build what describes images as `deduplicate.semantic` asks for.

    Args:
        cfg: The section; None for signatures only.
        key: Its name, for error messages.
    """
    if cfg is None:
        return Describer(None, batch_size=1)
    network = build_network(
        cfg.network, device=cfg.device, batch_size=cfg.batch_size, key=f"{key}.network"
    )
    return Describer(network, batch_size=cfg.batch_size)
