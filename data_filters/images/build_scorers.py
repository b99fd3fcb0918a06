"""From the entries of `filter_images.models` to scorers, in the order in which they judge."""

from functools import lru_cache

from data_filters.config_models import ClipHead, ClipPrompts, ClipSimilarity, Device, OnnxScore
from data_filters.config_models import Scorer as ScorerConfig
from data_filters.images.scorer import Limits, ScoreFilter, Scorer
from data_filters.io.files import check_digest
from data_filters.models.build import build_network, pinned


@lru_cache(maxsize=1)  # a process works through many shards
def build_scorers(
    models: tuple[ScorerConfig, ...], *, device: Device, batch_size: int
) -> tuple[ScoreFilter, ...]:
    """Load every model.

    Raises:
        FileNotFoundError: A file is not where the parameters say.
        ModuleNotFoundError: A model needs an extra that is not installed.
        ValueError: A file is not what the parameters say.
    """
    filters = []
    for cfg in models:
        key = f"filter_images.models.{cfg.name}"
        try:
            scorer = _build(cfg, device=device, batch_size=batch_size, key=key)
        except ValueError as error:
            raise ValueError(f"{key}: {str(error).removeprefix(f'{key}: ')}") from error
        filters.append(ScoreFilter(cfg.name, scorer, Limits(cfg.min_score, cfg.max_score)))
    return tuple(filters)


def _build(cfg: ScorerConfig, *, device: Device, batch_size: int, key: str) -> Scorer:
    from data_filters.images import scorers  # torch and open_clip: seconds, for users of models
    from data_filters.models.clip import Clip
    from data_filters.models.head import Head

    if isinstance(cfg, OnnxScore):
        graph = build_network(cfg.network, device=device, batch_size=batch_size, key=key)
        return scorers.EntryScore(graph, index=cfg.index)
    if isinstance(cfg, ClipSimilarity | ClipPrompts | ClipHead):
        clip = build_network(cfg.clip, device=device, batch_size=batch_size, key=key)
        assert isinstance(clip, Clip)
        if isinstance(cfg, ClipSimilarity):
            return scorers.CaptionSimilarity(clip)
        if isinstance(cfg, ClipPrompts):
            return scorers.PromptProbability(clip, prompts=cfg.prompts, against=cfg.against)
        file = pinned(cfg.head, key=f"{key}.head")
        head = Head.read(file, activation=cfg.activation, output=cfg.output)
        return scorers.HeadScore(clip, head)
    from data_filters.models.nsfw import SHA256, UNSAFE, NsfwGraph, nsfw_weights

    check_digest(nsfw_weights(), SHA256, key=key)
    return scorers.EntryScore(NsfwGraph(device=device), index=UNSAFE)
