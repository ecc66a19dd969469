"""A run with everything in it that a report can show, from scores drawn for it; no network is trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bloodnet_model.labels import CLASSES
from bloodnet_model.metrics import ScoreHistogram, summary
from bloodnet_model.operating_point import Share
from bloodnet_model.paired import PlacementSums, difference, placement_sums
from server.forecast import forecast
from server.selection import selection, values

NAMES = ("north-general", "st-mary", "riverside", "hill-university", "lakeside")
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Patients:
    """One hospital's patients of one split: labels (n,), and scores (n,) of each model by its name."""

    labels: NDArray[np.int64]
    scores: dict[str, Scores]


def site_names(sites: int) -> list[str]:
    return [*NAMES[:sites], *(f"hospital-{number}" for number in range(len(NAMES) + 1, sites + 1))]


def draw_patients(rng: np.random.Generator, studies: int, skill: dict[str, float], shift: float) -> Patients:
    """Scores that are too sure of themselves; `skill` is how far a model holds the classes apart."""
    labels = (rng.random(studies) < rng.uniform(0.22, 0.45)).astype(np.int64)
    shared = rng.normal(size=studies)
    scores = {
        model: 1
        / (1 + np.exp(-1.7 * ((2 * labels - 1) * apart + shift + 0.8 * shared + 0.6 * rng.normal(size=studies))))
        for model, apart in skill.items()
    }
    return Patients(labels, scores)


def histogram(patients: Sequence[Patients], model: str) -> ScoreHistogram:
    scores = np.concatenate([one.scores[model] for one in patients])
    return ScoreHistogram.from_scores(scores, np.concatenate([one.labels for one in patients]))


def proportion(count: int, of: int) -> dict[str, Any]:
    share = Share(int(count), int(of))
    low, high = share.interval() if of else (None, None)
    return {"count": share.count, "of": share.of, "value": share.value, "low": low, "high": high}


def rates(patients: Sequence[Patients], threshold: float, model: str = "federated") -> dict[str, Any]:
    labels = np.concatenate([one.labels for one in patients]) == 1
    flagged = np.concatenate([one.scores[model] for one in patients]) >= threshold
    return {
        "sensitivity": proportion((labels & flagged).sum(), labels.sum()),
        "specificity": proportion((~labels & ~flagged).sum(), (~labels).sum()),
        "ppv": proportion((labels & flagged).sum(), flagged.sum()),
        "npv": proportion((~labels & ~flagged).sum(), (~flagged).sum()),
    }


def operating(test: dict[str, Patients], validation: Sequence[Patients], target: str, wanted: float) -> dict[str, Any]:
    scores = np.concatenate([one.scores["federated"] for one in validation])
    labels = np.concatenate([one.labels for one in validation])
    of = scores[labels == (1 if target == "sensitivity" else 0)]
    threshold = float(np.quantile(of, 1 - wanted if target == "sensitivity" else wanted))
    pooled = rates(list(test.values()), threshold)
    found, left = pooled["sensitivity"]["value"], pooled["specificity"]["value"]
    return {
        "target": target,
        "wanted": wanted,
        "threshold": threshold,
        "chosen_on": rates(validation, threshold),
        "pooled": pooled,
        "sites": {name: rates([one], threshold) for name, one in test.items()},
        "at_prevalence": [
            {
                "prevalence": p,
                "ppv": found * p / (found * p + (1 - left) * (1 - p)),
                "npv": left * (1 - p) / (left * (1 - p) + (1 - found) * p),
            }
            for p in (0.02, 0.1, 0.16, 0.4)
        ],
    }


def calibration_record(patients: Sequence[Patients], heat: float = 1.0, bias: float = 0.0) -> dict[str, Any]:
    raw = np.concatenate([one.scores["federated"] for one in patients])
    labels = np.concatenate([one.labels for one in patients])
    scores = 1 / (1 + np.exp(-(np.log(raw / (1 - raw)) / heat + bias)))
    bins, error = [], 0.0
    place = np.minimum((scores * 10).astype(int), 9)
    for number in range(10):
        inside = place == number
        mean = float(scores[inside].mean()) if inside.any() else (number + 0.5) / 10
        bins.append(
            {
                "low": number / 10,
                "high": (number + 1) / 10,
                "studies": int(inside.sum()),
                "positives": int(labels[inside].sum()),
                "mean_score": mean,
            }
        )
        error += abs(float(labels[inside].sum()) - float(scores[inside].sum())) / scores.size
    return {"brier": float(((scores - labels) ** 2).mean()), "expected_error": error, "bins": bins}


def fitted(patients: Sequence[Patients]) -> tuple[float, float]:
    """Temperature and bias by Newton's steps on the log-likelihood."""
    raw = np.concatenate([one.scores["federated"] for one in patients])
    labels = np.concatenate([one.labels for one in patients])
    design = np.stack([np.log(raw / (1 - raw)), np.ones_like(raw)], 1)
    weights = np.array([1.0, 0.0])
    for _ in range(20):
        told = 1 / (1 + np.exp(-design @ weights))
        weights += np.linalg.solve((design.T * told * (1 - told)) @ design, design.T @ (labels - told))
    return float(1 / weights[0]), float(weights[1])


def compared(patients: dict[str, Patients], second: str, whose: str, margin: float = 0.02) -> dict[str, Any]:
    """Federated minus `second` on the patients of `whose`: all, a site, or others than a site."""
    if whose == "all":
        of = list(patients.values())
    elif whose.startswith("others than "):
        of = [one for name, one in patients.items() if name != whose.removeprefix("others than ")]
    else:
        of = [patients[whose]]
    first_pool, second_pool = histogram(of, "federated"), histogram(of, second)
    sums = sum(
        (
            placement_sums(one.scores["federated"], one.scores[second], one.labels, first_pool, second_pool)
            for one in of
        ),
        start=PlacementSums(),
    )
    found = difference(sums)
    low, high = found.interval()
    return {
        "first": "federated",
        "second": second,
        "patients": whose,
        "studies": first_pool.studies,
        "auc_first": first_pool.auc(),
        "auc_second": second_pool.auc(),
        "delta": found.delta,
        "low": low,
        "high": high,
        "margin": margin,
        "not_inferior": low > -margin,
    }


def evaluation(patients: dict[str, Patients], model: str, rng: np.random.Generator) -> dict[str, Any]:
    """What a split's metrics say of `model`; the five kinds of hemorrhage are drawn from the positives."""
    everybody = histogram(list(patients.values()), model)
    pooled, sites = (
        {CLASSES[0]: everybody},
        {name: {CLASSES[0]: summary(histogram([one], model))} for name, one in patients.items()},
    )
    for kind in CLASSES[1:]:
        total = ScoreHistogram.empty()
        for name, one in patients.items():
            has = one.labels * (rng.random(one.labels.size) < (0.0 if kind == "epidural" else 0.4))
            part = ScoreHistogram.from_scores(one.scores[model], has)
            sites[name][kind] = summary(part)
            total += part
        pooled[kind] = total
    return {
        "pooled": {name: summary(of) for name, of in pooled.items()},
        "sites": sites,
        "dice": 0.58,
        "histograms": {
            name: {"positives": of.positives.tolist(), "negatives": of.negatives.tolist()}
            for name, of in pooled.items()
        },
    }


def rich_metrics(
    sites: int = 5,
    rounds: int = 12,
    planned: int = 12,
    seed: int = 7,
    data: str = "cq500",
    participation: float = 1.0,
    patience: int = 0,
) -> dict[str, Any]:
    """`metrics.json` after `rounds` of `planned` rounds; with a test, comparisons and baselines once all are done."""
    rng = np.random.default_rng(seed)
    names = site_names(sites)
    shifts = rng.normal(0, 0.2, sites)
    models = {"federated": 1.25, "central": 1.3, "previous round": 1.22}
    skill = [{**models, **{f"{name} alone": 1.15 if name == own else 0.85 for name in names}} for own in names]
    sizes = [int(size) for size in rng.integers(90, 260, sites)]
    test = {n: draw_patients(rng, size, s, d) for n, size, s, d in zip(names, sizes, skill, shifts, strict=True)}
    held = {n: draw_patients(rng, size, s, d) for n, size, s, d in zip(names, sizes, skill, shifts, strict=True)}
    lines = [one_round(number, names, rng, held, participation) for number in range(1, rounds + 1)]
    choice = selection(values(lines, "auc"), "auc", patience, planned, "best" if patience else "last")
    ahead = forecast(lines, planned, datetime(2026, 3, 14, 9, 15, tzinfo=timezone(timedelta(hours=1))))
    finished = rounds == planned or bool(choice and choice.stopped_early)
    return {
        "schema": 2,
        "run": {
            "name": "2026-03-14-091500",
            "data": data,
            "strategy": "fedavg",
            "rounds": planned,
            "preset": "base",
            "link": "dependent",
            "parameters": 25_132_406,
            "seed": seed,
            "start": "random weights",
            "minimum_sites": 2,
            "deadline_s": 120.0,
            "participation": participation,
            "versions": {"bloodnet-federation": "0.1.0", "torch": "2.13.0", "flwr": "1.41.0", "python": "3.12.4"},
        },
        "sites": {
            name: {
                "counts": {"train-studies": 4 * size, "validation-studies": size, "test-studies": size},
                "ledger": {
                    "study-used": 6 * size,
                    "study-too-few-slices": 3,
                    "series-used": 6 * size,
                    "series-by-instance-number": 2,
                    "series-bone": 5 * size,
                    "file-used": 6 * size * 34,
                    "file-localizer": 12 * size,
                    "file-truncated": place,
                },
                "version": "0.1.0" if place else "0.0.9",
            }
            for place, (name, size) in enumerate(zip(names, sizes, strict=True))
        },
        "not_admitted": {"node-7": "no-answer"},
        "rounds": lines,
        "selection": choice.model_dump() if choice else None,
        "forecast": ahead.model_dump() if ahead else None,
        "validation": full(held, held, rng) if rounds else None,
        "test": full(test, held, rng) if finished else None,
        "held_out": {"test-random": evaluation(test, "federated", rng)} if finished else {},
        "comparisons": comparisons(test, names) if finished else [],
        "cross_site": cross_site(test, names) if finished else None,
        "baselines": {
            "central": {"test": evaluation(test, "central", rng), "steps": 480, "note": "all patients in one place"}
        }
        if finished
        else {},
    }


def full(patients: dict[str, Patients], validation: dict[str, Patients], rng: np.random.Generator) -> dict[str, Any]:
    """An evaluation with all that it can hold."""
    chosen_on, everybody = list(validation.values()), list(patients.values())
    heat, bias = fitted(chosen_on)
    first = operating(patients, chosen_on, "sensitivity", 0.95)
    auc = histogram(everybody, "federated").auc()
    groups = {"GE": everybody[0::3], "Siemens": everybody[1::3], "Canon": everybody[2::3]}
    return {
        **evaluation(patients, "federated", rng),
        "groups": {f"scanner {name}": summary(histogram(of, "federated")) for name, of in groups.items() if of},
        "within_hospital": {
            "auc": auc + 0.012,
            "auc_low": auc - 0.011,
            "auc_high": auc + 0.03,
            "tau": 0.21,
            "hospitals": len(patients),
        },
        "operating": [first, operating(patients, chosen_on, "specificity", 0.9)],
        "calibration": {
            "as_scored": calibration_record(everybody),
            "temperature": heat,
            "bias": bias,
            "recalibrated": calibration_record(everybody, heat, bias),
            "sites": {name: calibration_record([one]) for name, one in patients.items()},
        },
        "segmentation": {
            "dice": 0.58,
            "dice_studies": 164,
            "false_positive_ml": 0.84,
            "negatives": 412,
            "volume": {"studies": 164, "mean_difference_ml": -1.9, "low_ml": -14.2, "high_ml": 10.4},
            "threshold": first["threshold"],
            "called": 331,
            "called_without_mask": 21,
            "not_called": 402,
            "mask_without_call": 37,
        },
    }


def one_round(
    number: int,
    names: Sequence[str],
    rng: np.random.Generator,
    held: dict[str, Patients],
    participation: float = 1.0,
) -> dict[str, Any]:
    """A round: what it learned grows with its number; the third hospital is slow, and now and then one is lost.

    Of four hospitals or more the second is refused in rounds 3 to 5, then set aside, and back from round 8.
    """
    learned = 1.2 * (1 - np.exp(-number / 6)) - 0.004 * max(0, number - 8)
    drawn = {name: draw_patients(rng, one.labels.size, {"federated": learned}, 0) for name, one in held.items()}
    sites = {name: one_answer(number, place, rng) for place, name in enumerate(names)}
    if number % 7 == 4:
        sites[names[-1]] = {"status": "refused", "reason": "no-answer"}
    for name in rng.permutation(names)[: round((1 - participation) * len(names))]:
        sites[name] = {"status": "not-asked"}
    trouble: dict[str, Any] = {"status": "refused", "reason": "not-finite", "answered_s": 31.0}
    if len(names) >= 4 and 3 <= number < 8:
        sites[names[1]] = trouble if number < 6 else {"status": "set-aside"}
    elif number % 5 == 2:
        sites[names[1 % len(names)]] = trouble
    validation = {key: value for key, value in evaluation(drawn, "federated", rng).items() if key != "histograms"}
    return {
        "round": number,
        "seconds": float(rng.uniform(88, 104)),
        "seconds_evaluate": 9.0,
        "sites": sites,
        "train_loss": 0.4 + 1.2 / number,
        "validation": validation,
        "dice": None if number == 1 else float(0.6 * (1 - np.exp(-number / 5))),
        "readmitted": [names[1]] if len(names) >= 4 and number == 8 else [],
    }


def one_answer(number: int, place: int, rng: np.random.Generator) -> dict[str, Any]:
    """Of a site whose update counted; the fourth moves the weights furthest."""
    took = float((2.6 if place == 2 else 1) * rng.uniform(28, 36))
    return {
        "status": "ok",
        "studies": 400,
        "steps": 60,
        "loss": 0.4 + 1.2 / number,
        "seconds": took,
        "answered_s": took + 1.5,
        "norm": float((1.9 if place == 3 else 1) * rng.uniform(0.9, 1.1) * 8 / number**0.5),
    }


def comparisons(test: dict[str, Patients], names: Sequence[str]) -> list[dict[str, Any]]:
    local = [compared(test, f"{name} alone", whose) for name in names for whose in (name, f"others than {name}")]
    everywhere = [compared(test, "central", "all"), compared(test, "previous round", "all")]
    undefined = {"first": "federated", "second": "fedprox", "patients": "all", "studies": 0}
    nothing = dict.fromkeys(("auc_first", "auc_second", "delta", "low", "high", "not_inferior"))
    return [*everywhere, *local, {**undefined, **nothing, "margin": 0.02, "undefined": "it was not scored."}]


def cross_site(test: dict[str, Patients], names: Sequence[str]) -> dict[str, Any]:
    rows = ["federated", *(f"{name} alone" for name in names)]
    return {"rows": {row: {name: summary(histogram([one], row)) for name, one in test.items()} for row in rows}}
