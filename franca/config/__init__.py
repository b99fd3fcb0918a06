"""Types, bounds and meaning of the model half's parameters; the numbers live in params.yaml."""

from franca.config.base import Section
from franca.config.evaluate import Evaluate
from franca.config.evaluation_sets import EvaluationSet
from franca.config.finetune_highres import FinetuneHighres
from franca.config.pretrain import Pretrain
from franca.config.rasa import Rasa
from franca.config.report import Report
from franca.config.scenes import Scenes

__all__ = [
    "Evaluate",
    "EvaluationSet",
    "FinetuneHighres",
    "Pretrain",
    "Rasa",
    "Report",
    "Scenes",
    "Section",
]
