"""The scorers there are."""

from collections.abc import Sequence

import numpy as np

from data_filters.images.scorer import Scorer, Scores
from data_filters.models.clip import Clip
from data_filters.models.head import Head
from data_filters.models.network import Network, Vectors


class CaptionSimilarity(Scorer):
    """Cosine of an image and its caption (the CLIP score of LAION and DataComp)."""

    needs_captions = True

    def __init__(self, clip: Clip) -> None:
        super().__init__(clip)
        self._clip = clip

    def score(self, embedded: Vectors, captions: Sequence[str]) -> Scores:
        """Return -1 to 1."""
        texts = self._clip.texts(captions)
        return np.asarray((embedded * texts).sum(axis=1), dtype=np.float32)


class PromptProbability(Scorer):
    """Zero-shot classification: how probable some descriptions are, told apart from others.

    Args:
        clip: Embeds images and descriptions.
        prompts: Descriptions of what is looked for.
        against: Descriptions of everything else.
    """

    def __init__(self, clip: Clip, *, prompts: Sequence[str], against: Sequence[str]) -> None:
        super().__init__(clip)
        self._texts = clip.texts([*prompts, *against])
        self._num_prompts, self._scale = len(prompts), clip.scale

    def score(self, embedded: Vectors, captions: Sequence[str]) -> Scores:
        """Return the sum of the softmax over `prompts`, 0 to 1."""
        del captions
        logits = self._scale * (embedded[:, None, :] * self._texts[None]).sum(axis=2)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        share = odds[:, : self._num_prompts].sum(axis=1) / odds.sum(axis=1)
        return np.asarray(share, dtype=np.float32)


class HeadScore(Scorer):
    """Layers on an embedding: aesthetic, unsafe, watermarked, as they were trained.

    Raises:
        ValueError: The layers expect another embedding.
    """

    def __init__(self, clip: Clip, head: Head) -> None:
        super().__init__(clip)
        self._head = head
        width = clip.texts([""]).shape[1]
        if width != head.width:
            raise ValueError(
                f"the head reads embeddings of {head.width} numbers, and this CLIP gives {width}: "
                "choose the CLIP that the head was trained on"
            )

    def score(self, embedded: Vectors, captions: Sequence[str]) -> Scores:
        """Return the last layer's number."""
        del captions
        return self._head(embedded)


class EntryScore(Scorer):
    """An entry of the vector that a classifier returns."""

    def __init__(self, network: Network, *, index: int) -> None:
        super().__init__(network)
        self._index = index

    def score(self, embedded: Vectors, captions: Sequence[str]) -> Scores:
        """Return the entry.

        Raises:
            ValueError: The vector has no such entry.
        """
        del captions
        if self._index >= embedded.shape[1]:
            raise ValueError(f"index {self._index}: the output has {embedded.shape[1]} entries")
        return embedded[:, self._index]
