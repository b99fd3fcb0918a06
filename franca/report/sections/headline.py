"""Chapter: the headline table, from the random initialisation to RASA, and what may be claimed."""

from collections.abc import Mapping, Sequence

from franca.report.blocks import Missing, Prose, Section
from franca.report.comparison import (
    Comparison,
    Contender,
    Key,
    compare,
    comparison_table,
    count_tones,
    how_compared,
)
from franca.report.results import HIGHRES, RANDOM, RASA, Results


def build_headline(results: Results) -> Section:
    """Build the chapter."""
    title, slug = "Results", "results"
    if not len(results):
        text = "No benchmark was run at this scale, so there are no results to show."
        return Section(slug=slug, title=title, blocks=(Missing(text=text),))
    contenders, measures = choose_contenders(results), results.main_measures()
    comparisons = compare(results, measures, contenders, against="first")
    table = comparison_table(
        results,
        measures,
        contenders,
        comparisons,
        caption=(
            "Main metric of every benchmark, 95 % intervals below. ▲ better and ▼ worse than the "
            "first column, significant at 5 % after Holm's correction over the whole table; "
            "unmarked differences may be chance. Δ: last checkpoint less first. Perfect: the same "
            "benchmark on features that are the ground truth; of `position` and `spatial_entropy`, "
            "on the place alone, the end that RASA leads away from. " + how_compared(comparisons)
        ),
    )
    blocks = (Prose(text=summarise(contenders, comparisons)), table)
    return Section(slug=slug, title=title, blocks=blocks)


def choose_contenders(results: Results) -> list[Contender]:
    """Return the random, the last pretrained, the high-resolution and the RASA checkpoint."""
    wanted = {
        "Random init": RANDOM,
        "Pretrained": results.trained(),
        "+ High-res": HIGHRES,
        "+ RASA": RASA,
    }
    present = results.checkpoints()
    return [Contender(title, name) for title, name in wanted.items() if name and name in present]


def summarise(contenders: Sequence[Contender], comparisons: Mapping[Key, Comparison]) -> str:
    """Say in a sentence on how many benchmarks the last contender beats the random one."""
    last = contenders[-1].checkpoint
    if len(contenders) < 2 or contenders[0].checkpoint != RANDOM:
        return "Only one end of the training was evaluated, so nothing can be compared."
    better, worse, unclear = count_tones(comparisons, last)
    return (
        f"Of {better + worse + unclear} benchmarks, the last checkpoint (`{last}`) is better than "
        f"the random initialisation on **{better}**, worse on **{worse}**, and not "
        f"distinguishable from it on {unclear}."
    )
