"""Fitting the decision rule."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from app.model.decision import DecisionRule, Rule
from training.config import DecisionConfig
from training.decision import fit_decision

RNG = np.random.default_rng(3)
PROBABILITIES = RNG.dirichlet((0.2, 0.5, 2.0, 4.0, 0.8), size=20_000)
LABELS = (PROBABILITIES.cumsum(axis=1) < RNG.random((20_000, 1))).sum(axis=1)


@pytest.mark.parametrize(("rule", "average"), [("weighted_f1", "weighted"), ("macro_f1", "macro")])
def test_the_rule_is_better_at_its_own_measure_than_argmax(rule: str, average: str) -> None:
    """On labels drawn from the probabilities, the fitted rule beats the most probable bucket."""
    fitted = fit_decision(PROBABILITIES, DecisionConfig.model_validate({"rule": rule}))
    assert fitted.rule == rule
    own = f1_score(LABELS, fitted.choose(PROBABILITIES), average=average)
    plain = f1_score(LABELS, DecisionRule.argmax().choose(PROBABILITIES), average=average)
    assert own > plain + 0.002


def test_no_single_change_improves_the_expected_measure() -> None:
    """The rule is a stationary point: perturbed scores have a lower expected weighted F1 on average."""
    fitted = fit_decision(PROBABILITIES, DecisionConfig(rule="weighted_f1"))
    true = PROBABILITIES.mean(axis=0)

    def expected(rule: DecisionRule) -> float:
        chosen = np.eye(5)[rule.choose(PROBABILITIES)]
        hits = (chosen * PROBABILITIES).mean(axis=0)
        return float(true @ (2 * hits / (chosen.mean(axis=0) + true)))

    best = expected(fitted)
    for bucket in range(5):
        for change in (-0.05, 0.05):
            scores = fitted.scores.copy()
            scores[:, bucket] += change
            assert expected(DecisionRule(Rule.WEIGHTED_F1, scores)) <= best + 1e-4


def test_argmax_and_costs_need_no_fitting() -> None:
    """Argmax is the identity; expected cost chooses the cheapest bucket."""
    assert (fit_decision(PROBABILITIES, DecisionConfig(rule="argmax")).scores == np.eye(5)).all()
    costs = tuple(tuple(float(abs(true - chosen)) for chosen in range(5)) for true in range(5))
    rule = fit_decision(PROBABILITIES, DecisionConfig(rule="expected_cost", cost_matrix=costs))
    cheapest = (PROBABILITIES @ np.array(costs)).argmin(axis=1)
    assert (rule.choose(PROBABILITIES) == cheapest).all()
