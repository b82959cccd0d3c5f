"""Ask the gate, then move the champion pointer."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from app.errors import ArtifactError
from training.answers import Answers
from training.gate import GateDecision, gate
from training.registry import RegistryError, champion, exclusive, place, reference, verify_files

if TYPE_CHECKING:
    from pathlib import Path

    from app.contract.manifest import ChampionPointer
    from training.config import GateConfig

MIN_COMMON_ROWS: Final = 200


class GateRefusedError(RegistryError):
    """The gate refused the challenger; `decision` says why."""

    code: ClassVar[str] = "gate_refused"

    def __init__(self, version: str, decision: GateDecision) -> None:
        super().__init__(
            f"{version} is not promoted. {' '.join(decision.reasons)} The champion stays; `--force` overrides this "
            "and is recorded in the pointer."
        )
        self.decision = decision


def judge(models: Path, version: str, config: GateConfig) -> GateDecision:
    """Compare a version with the champion on the merchants that are test rows of both.

    Raises:
        RegistryError: no such version, or too few common test rows.
        ArtifactError: a version is damaged.
    """
    reference(models, version)
    verify_files(models / version)
    challenger = Answers.read(models / version)
    pointer = champion(models)
    probabilities, labels, other = challenger.probabilities, challenger.labels, None
    if pointer is not None and pointer.version != version:
        verify_files(models / pointer.version)
        champions = Answers.read(models / pointer.version)
        mine, theirs = challenger.common_with(champions)
        if len(mine) < MIN_COMMON_ROWS:
            raise RegistryError(
                f"{version} and the champion {pointer.version} have {len(mine)} test rows in common, fewer than "
                f"{MIN_COMMON_ROWS}: which is better cannot be told. Train the challenger on data that holds the "
                "champion's merchants, with the same split.seed, or use `--force`."
            )
        probabilities, labels, other = probabilities[mine], labels[mine], champions.probabilities[theirs]
    return gate(
        probabilities,
        other,
        labels=labels,
        shares=challenger.shares,
        margin=config.margin,
        confidence=config.confidence,
        max_ece=config.max_ece,
        resamples=config.bootstrap,
        seed=config.seed,
    )


def promote_if_better(
    models: Path, version: str, config: GateConfig, *, force: bool = False
) -> tuple[ChampionPointer, GateDecision | None]:
    """Promote a version that passes the gate, or any version when forced.

    Returns:
        The new pointer, and the gate's answer (None when the version is the champion already, or was forced without
        rows to compare).

    Raises:
        GateRefusedError: the gate refused and `force` was not given.
        RegistryError: no such version, or nothing to compare on.
        ArtifactError: a version is damaged.
    """
    # One lock around judging and promoting: two challengers must not both be compared with the same champion.
    with exclusive(models):
        pointer = champion(models)
        if pointer is not None and pointer.version == version:
            return pointer, None
        try:
            decision = judge(models, version, config)
        except (RegistryError, ArtifactError):
            if not force:
                raise
            decision = None
        passed = decision is not None and decision.passed
        if decision is not None and not passed and not force:
            raise GateRefusedError(version, decision)
        return place(models, version, forced=not passed), decision
