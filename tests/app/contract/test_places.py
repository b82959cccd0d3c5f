"""Neighbourhood features equal a slow count of what stands around a place."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.contract.places import CLUSTER_GAPS, DENSITY_WINDOWS, POSITION, neighbourhood

PLACES = st.sets(
    st.tuples(st.sampled_from("abcdef"), st.sampled_from(["", "x", "y"]), st.sampled_from(["AC", "BA", "SP"])),
    min_size=1,
    max_size=30,
).map(sorted)
COUNTS = st.lists(st.integers(1, 9), min_size=30, max_size=30)


def _slow(places: list[tuple[str, ...]], counts: list[int]) -> dict[str, list[float]]:
    """Count place by place."""
    names = sorted({place[:-1] for place in places})
    position = {place: names.index(place[:-1]) for place in places}
    weight = dict(zip(places, counts, strict=True))
    found: dict[str, list[float]] = {POSITION: [float(position[place]) for place in places]}

    def logs(name: str, values: list[float]) -> None:
        found[name] = np.log1p(np.array(values, dtype=np.float64)).tolist()

    for window in DENSITY_WINDOWS:
        logs(
            f"place_density_{window}",
            [
                sum(
                    weight[other]
                    for other in places
                    if other[-1] == place[-1] and abs(position[other] - position[place]) <= window
                )
                for place in places
            ],
        )
    run_of, runs = _runs(places, names, weight)
    logs("place_run_names", [runs[run_of[place]][0] if place in run_of else 0 for place in places])
    logs("place_run_merchants", [runs[run_of[place]][1] if place in run_of else 0 for place in places])
    for gap in CLUSTER_GAPS:
        chains = _chains(places, position, gap)
        logs(f"place_cluster_{gap}_names", [len(chains[place]) for place in places])
        logs(f"place_cluster_{gap}_merchants", [sum(weight[other] for other in chains[place]) for place in places])
    return found


def _runs(
    places: list[tuple[str, ...]], names: list[tuple[str, ...]], weight: dict[Any, int]
) -> tuple[dict[Any, int], list[tuple[int, int]]]:
    """Neighbouring names with one main UF; a place belongs to a run of its own UF only."""
    ufs = sorted({place[-1] for place in places})
    main = {name: max(ufs, key=lambda uf: weight.get((*name, uf), 0)) for name in names}
    run_of: dict[Any, int] = {}
    runs: list[tuple[int, int]] = []
    for uf, grouped in groupby(names, key=main.__getitem__):
        members = list(grouped)
        merchants = sum(weight.get((*name, other), 0) for name in members for other in ufs)
        run_of |= {(*name, uf): len(runs) for name in members}
        runs.append((len(members), merchants))
    return {place: run for place, run in run_of.items() if place in weight}, runs


def _chains(places: list[tuple[str, ...]], position: dict[Any, int], gap: int) -> dict[Any, set[Any]]:
    """Grow each place's cluster until nothing within the gap is left out."""
    chains = {}
    for place in places:
        chain = {place}
        while True:
            grown = chain | {
                other
                for other in places
                if other[-1] == place[-1] and any(abs(position[other] - position[one]) <= gap for one in chain)
            }
            if grown == chain:
                break
            chain = grown
        chains[place] = chain
    return chains


@settings(max_examples=150, deadline=None)
@given(PLACES, COUNTS)
def test_equals_a_slow_count(places: list[tuple[str, ...]], counts: list[int]) -> None:
    """Positions, densities, runs and clusters of every place, for places shared between UFs too."""
    weights = counts[: len(places)]
    fast = neighbourhood(places, np.array(weights, dtype=np.float64))
    slow = _slow(places, weights)
    assert list(fast) == list(slow)
    for name, values in slow.items():
        assert fast[name].tolist() == pytest.approx(values), name


def test_no_places_give_no_features() -> None:
    """A training set without a single known place is possible."""
    assert {name: values.shape for name, values in neighbourhood([], np.zeros(0)).items()} == dict.fromkeys(
        _slow([("a", "AC")], [1]), (0,)
    )


def test_a_window_ends_where_it_says() -> None:
    """The tenth neighbour is inside the window of ten, the eleventh is not."""
    places = [(f"{number:02}", "SP") for number in range(12)]
    density = neighbourhood(places, np.ones(12))["place_density_10"]
    assert np.expm1(density).round().tolist() == [11, *[12] * 10, 11]
