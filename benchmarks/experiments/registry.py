"""Every named experiment: what it fits, how it decides, and by which score it makes sets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from app.model.sets import hull_scores
from benchmarks.experiments.blocks import (
    capital_frequency,
    frequent_places,
    hierarchy_means,
    neighbour_means,
    pair_frequencies,
    place_means,
    relative_capital,
    uf_frequency,
)
from benchmarks.experiments.models import BASELINE, Fit, bag, project, single, students
from benchmarks.experiments.rules import Decide, Score, class_weights, cumulative_scores, project_rule
from training.boosting import BoosterParams
from training.fit import STUDENTS, TEACHER, View

if TYPE_CHECKING:
    from benchmarks.experiments.blocks import Block


_WEIGHTED_F1: Final = project_rule("weighted_f1")


@dataclass(frozen=True)
class Experiment:
    """A named experiment.

    Attributes:
        group: heading in the table.
        about: what is different in it.
        fit: makes the model.
        decide: fits the decision rule on validation rows.
        score: of the prediction sets.
    """

    group: str
    about: str
    fit: Fit
    decide: Decide = _WEIGHTED_F1
    score: Score = hull_scores


BASELINE_NAME: Final = "baseline"

# What the single booster of the comparisons sees: names of features begin with these.
_PLACE_FEATURES: Final = ("place_density", "place_run", "place_cluster")
_PLAIN: Final = View("plain", (*_PLACE_FEATURES, "municipality"))
_RUNS: Final = View("runs", ("place_density", "place_cluster", "municipality"))
_DENSITIES: Final = View("densities", ("place_run", "place_cluster", "municipality"))
_CLUSTERS: Final = View("clusters", ("place_density", "place_run", "municipality"))
_CLUSTERS_ALONE: Final = View("clusters without position", (*_CLUSTERS.hidden, "place_position"))
_CLUSTERS_DENSITIES: Final = View("clusters and densities", ("place_run", "municipality"))
_NO_FREQUENCIES: Final = View(
    "no frequencies",
    (*_PLAIN.hidden, "cnae_fiscal_principal_log", "mcc_log", "subsegmento_log", "place_log"),
)
_NO_CAPITAL: Final = View("no capital features", (*_PLAIN.hidden, "capital_trailing", "capital_round"))
_NO_POSITION: Final = View("no position", (*_PLAIN.hidden, "place_position"))
_NO_PLACE: Final = View("no place", (*_PLAIN.hidden, "place_"))
_ALL: Final = View("all", ())

_TUNED: Final = BoosterParams()


def _feature(about: str, view: View = _PLAIN, *blocks: Block) -> Experiment:
    return Experiment("features", about, single(view=view, blocks=blocks))


def _params(about: str, params: BoosterParams, rounds: int) -> Experiment:
    return Experiment("parameters", about, single(view=_CLUSTERS, params=params, rounds=rounds))


def _softprob(*views: View) -> tuple[View, ...]:
    return tuple(replace(view, ordinal=False) for view in views)


def _ordinal(*views: View) -> tuple[View, ...]:
    return tuple(replace(view, ordinal=True) for view in views)


_BASELINE: Final = single(view=_PLAIN)

EXPERIMENTS: Final[dict[str, Experiment]] = {
    BASELINE_NAME: Experiment(
        "reference",
        "one softprob XGBoost, argmax: what all others are compared with",
        _BASELINE,
        project_rule("argmax"),
    ),
    "project": Experiment("reference", "what `tpv train` measures", project),
    "seed": Experiment("features", "baseline with another seed: the noise of sampling", single(view=_PLAIN, seed=1)),
    "no-frequencies": _feature("without log-frequencies", _NO_FREQUENCIES),
    "no-capital": _feature("without trailing zeros and roundness of capital", _NO_CAPITAL),
    "no-position": _feature("without the position in the order of names", _NO_POSITION),
    "no-place": _feature("without anything of the place but the UF", _NO_PLACE),
    "runs": _feature("with runs of one UF in the order of names", _RUNS),
    "densities": _feature("with merchants within 10 to 640 names", _DENSITIES),
    "clusters": _feature("with clusters of one UF, gaps of 2 and 4 names", _CLUSTERS),
    "clusters-alone": _feature("with clusters, without position", _CLUSTERS_ALONE),
    "clusters-densities": _feature("with clusters and densities", _CLUSTERS_DENSITIES),
    "all-features": _feature("with every feature of the contract", _ALL),
    "uf-frequency": _feature("with the frequency of the UF", _PLAIN, uf_frequency),
    "capital-frequency": _feature("with the frequency and leading digit of the capital", _PLAIN, capital_frequency),
    "relative-capital": _feature("with capital relative to segment and cnae", _PLAIN, relative_capital),
    "pair-frequencies": _feature("with frequencies of pairs of inputs", _PLAIN, pair_frequencies),
    "hierarchy-means": _feature("with shrunk mean labels down the hierarchy", _PLAIN, hierarchy_means()),
    "hierarchy-shares": _feature("same, four cumulative shares", _PLAIN, hierarchy_means(cumulative=True)),
    "place-means": _feature("with smoothed mean labels around the place", _PLAIN, place_means()),
    "place-shares": _feature("same, four cumulative shares", _PLAIN, place_means(cumulative=True)),
    "neighbour-means": _feature("with means of inputs around the place", _PLAIN, neighbour_means),
    "frequent-places-1": _feature("position missing where no other merchant is", _NO_POSITION, frequent_places(1)),
    "frequent-places-5": _feature("position missing where fewer than 5 others are", _NO_POSITION, frequent_places(5)),
    "depth-4": _params("depth 4, eta .08", replace(BASELINE, max_depth=4, eta=0.08), 150),
    "depth-3": _params("depth 3, eta .12", replace(BASELINE, max_depth=3, eta=0.12), 150),
    "depth-7-narrow": _params(
        "depth 7, mcw 40, colsample .3, lambda 10",
        replace(BASELINE, max_depth=7, min_child_weight=40.0, colsample_bytree=0.3, reg_lambda=10.0),
        230,
    ),
    "narrow": _params(
        "depth 5, mcw 20, colsample .4, lambda 5",
        replace(BASELINE, max_depth=5, min_child_weight=20.0, colsample_bytree=0.4, reg_lambda=5.0),
        190,
    ),
    "light-leaves": _params("mcw 1", replace(BASELINE, min_child_weight=1.0), 135),
    "all-columns": _params("colsample 1", replace(BASELINE, colsample_bytree=1.0), 120),
    "eta-.1": _params("eta .1", replace(BASELINE, eta=0.1), 75),
    "eta-.1-lambda-10": _params("eta .1, lambda 10", replace(BASELINE, eta=0.1, reg_lambda=10.0), 85),
    "eta-.1-depth-5": _params("eta .1, depth 5", replace(BASELINE, eta=0.1, max_depth=5), 90),
    "eta-.1-all-columns": _params("eta .1, colsample 1", replace(BASELINE, eta=0.1, colsample_bytree=1.0), 60),
    "eta-.1-subsample-.6": _params("eta .1, subsample .6", replace(BASELINE, eta=0.1, subsample=0.6), 75),
    "deep-gamma": _params("eta .1, depth 8, gamma 1", replace(BASELINE, eta=0.1, max_depth=8, gamma=1.0), 60),
    "tuned": _params("the project's defaults: eta .2, depth 5, lambda 10, colsample 1", _TUNED, 60),
    "bag-clusters": Experiment("ensembles", "five-fold bag, one view", bag(_softprob(_CLUSTERS))),
    "bag-softprob": Experiment(
        "ensembles", "five-fold bag, all the teacher's views as classes", bag(_softprob(*TEACHER))
    ),
    "bag-mixed": Experiment("ensembles", "five-fold bag of the teacher's members", bag(TEACHER)),
    "bag-ordinal": Experiment(
        "ordinal", "five-fold bag, all the teacher's views as thresholds", bag(_ordinal(*TEACHER))
    ),
    "ordinal-single": Experiment(
        "ordinal", "one member as thresholds", single(view=replace(_CLUSTERS, ordinal=True), params=_TUNED, rounds=60)
    ),
    "student-1": Experiment("distillation", "one student", students(replace(STUDENTS, views=STUDENTS.views[:1]))),
    "student-2": Experiment("distillation", "two students", students(replace(STUDENTS, views=STUDENTS.views[:2]))),
    "student-3": Experiment("distillation", "three students: the project's", students()),
    "student-softprob": Experiment(
        "distillation", "three students of a teacher without thresholds", students(teacher=_softprob(*TEACHER))
    ),
    "alpha-0": Experiment("distillation", "teacher's answers alone", students(replace(STUDENTS, hard_share=0.0))),
    "alpha-.45": Experiment("distillation", "label .45", students(replace(STUDENTS, hard_share=0.45))),
    "alpha-.6": Experiment("distillation", "label .6", students(replace(STUDENTS, hard_share=0.6))),
    "alpha-1": Experiment("distillation", "labels alone, no teacher", students(replace(STUDENTS, hard_share=1.0))),
    "student-depth-5": Experiment(
        "distillation", "depth 5", students(replace(STUDENTS, params=replace(STUDENTS.params, max_depth=5)))
    ),
    "student-depth-7": Experiment(
        "distillation", "depth 7", students(replace(STUDENTS, params=replace(STUDENTS.params, max_depth=7)))
    ),
    "student-rounds-80": Experiment("distillation", "80 rounds", students(replace(STUDENTS, rounds=80))),
    "student-rounds-180": Experiment("distillation", "180 rounds", students(replace(STUDENTS, rounds=180))),
    "hidden-0": Experiment("nulls", "students never see a null", students(replace(STUDENTS, hidden_share=0.0))),
    "hidden-.15": Experiment(
        "nulls", "15 % of the rows a second time with nulls", students(replace(STUDENTS, hidden_share=0.15))
    ),
    "rule-argmax": Experiment("decision", "project, most probable bucket", project, project_rule("argmax")),
    "rule-weights": Experiment("decision", "project, class weights by coordinate ascent", project, class_weights),
    "rule-macro": Experiment("decision", "project, rule for macro F1", project, project_rule("macro_f1")),
    "baseline-rule": Experiment("decision", "baseline under the project's rule", _BASELINE),
    "baseline-weights": Experiment(
        "decision", "baseline, class weights by coordinate ascent", _BASELINE, class_weights
    ),
    "sets-cumulative": Experiment(
        "sets", "project, adaptive sets by cumulative mass", project, score=cumulative_scores
    ),
    "learn-25": Experiment("learning curve", "baseline on 25 % of the rows", single(view=_PLAIN, share=0.25)),
    "learn-50": Experiment("learning curve", "baseline on 50 % of the rows", single(view=_PLAIN, share=0.5)),
    "learn-75": Experiment("learning curve", "baseline on 75 % of the rows", single(view=_PLAIN, share=0.75)),
}
