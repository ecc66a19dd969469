"""Is a site ready? Findings and a verdict from what was found, each with its remedy. Pure: nothing is read here."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from bloodnet_model.device import NO_GPU
from bloodnet_model.errors import NoGpu
from bloodnet_model.reasons import FAULTS, REASONS, REMARKS
from bloodnet_model.settings import DeviceChoice, PreprocessingSettings
from bloodnet_model.splits import DEALT, SPLITS, Split
from client.conflicts import refused, same_pixels
from client.findings import Finding, Level, Verdict, verdict_of
from client.inspection import Candidate, Inspection
from client.ledger import Coverage, Entry, counts, coverage, summary
from client.looked import Looked
from client.machine import Machine, size_in_words
from client.remedies import REMEDIES

_NOUNS: Final = {
    "file": ("file", "files"),
    "series": ("series", "series"),
    "study": ("study", "studies"),
    "label": ("row of the labels table", "rows of the labels table"),
}
_TYPICAL_SLICES: Final = 36
_DOUBTFUL: Final = frozenset(
    {
        ("study", "not-a-head"),
        ("study", "duplicate-pixels"),
        ("study", "too-few-readable"),
        ("label", "without-study"),
    }
)
"""Rules that leave out what a site most likely meant to give."""


@dataclass(frozen=True)
class SplitCount:
    """Studies and patients of a split."""

    split: Split
    patients: int
    studies: int
    positive: int
    negative: int


@dataclass(frozen=True)
class Preflight:
    """What `check` has found.

    entries:  every line of the ledger, as far as pixels were read
    examined: studies whose pixels were read, of so many `candidates`
    needed_bytes: what the prepared studies will take, about
    """

    site: str
    findings: tuple[Finding, ...]
    entries: tuple[Entry, ...]
    counts: Mapping[str, int]
    coverage: Coverage
    splits: tuple[SplitCount, ...]
    examined: int
    candidates: int
    needed_bytes: int
    identified: int
    burned_in: int
    machine: Machine

    @property
    def levels(self) -> Iterator[Level]:
        return (finding.level for finding in self.findings)

    @property
    def verdict(self) -> Verdict:
        return verdict_of(self.levels)

    @property
    def summary(self) -> str:
        """Is all the data used? One line."""
        return summary(self.counts)

    def to_json(self) -> dict[str, Any]:
        """Counts and codes alone, fit to send."""
        return {
            "verdict": self.verdict,
            "findings": [{"level": finding.level, "code": finding.code} for finding in self.findings],
            "ledger": dict(self.counts),
            "coverage": {"labelled": self.coverage.labelled, "usable": self.coverage.usable},
            "splits": {
                s.split: {"studies": s.studies, "positive": s.positive, "negative": s.negative} for s in self.splits
            },
            "pixels": {"studies_read": self.examined, "of": self.candidates},
            "files_with_patient_tags": self.identified,
            "files_with_burned_in_annotation": self.burned_in,
            "machine": {
                "cores": self.machine.cores,
                "memory_bytes": self.machine.memory_bytes,
                "gpu": self.machine.gpu,
                "gpu_memory_bytes": self.machine.gpu_memory_bytes,
                "native_bfloat16": self.machine.bfloat16,
                "free_disk_bytes": self.machine.free_bytes,
            },
        }


def judge(
    inspection: Inspection,
    looked: Sequence[tuple[Candidate, Looked]],
    machine: Machine,
    preprocessing: PreprocessingSettings,
) -> Preflight:
    """The preflight of a site whose headers, and some or all of whose pixels, were read."""
    looked = _without_repeats(looked)
    entries = tuple(_entries(inspection, looked))
    lost = {candidate.uid for candidate, result in looked if result.reason}
    usable = [candidate for candidate in inspection.candidates if candidate.uid not in lost]
    counted = counts(entries)
    found = set(inspection.splits.values())
    splits = tuple(
        _split_count(split, usable, inspection.splits) for split in SPLITS if split in DEALT or split in found
    )
    needed_bytes = _needed_bytes(len(usable), preprocessing, looked)
    findings = (
        *_on_coverage(inspection, coverage(counted)),
        *_on_splits(inspection, splits, usable),
        *_on_faults(entries),
        *_on_privacy(inspection),
        *_on_machine(machine, needed_bytes, inspection.site.settings.device),
        *_on_sampling(len(looked), len(inspection.candidates)),
    )
    rank = {"problem": 0, "warning": 1, "note": 2}
    return Preflight(
        site=inspection.site.settings.name,
        findings=tuple(sorted(findings, key=lambda finding: rank[finding.level])),
        entries=entries,
        counts=counted,
        coverage=coverage(counted),
        splits=splits,
        examined=len(looked),
        candidates=len(inspection.candidates),
        needed_bytes=needed_bytes,
        identified=inspection.identified,
        burned_in=inspection.burned_in,
        machine=machine,
    )


def _without_repeats(looked: Sequence[tuple[Candidate, Looked]]) -> list[tuple[Candidate, Looked]]:
    """The same; a study whose pixels an earlier one has is refused."""
    refusals = same_pixels((candidate.uid, result.pixels) for candidate, result in looked)
    kept = []
    for candidate, result in looked:
        if candidate.uid in refusals:
            reason, detail = refusals[candidate.uid]
            entries = tuple(refused(result.entries, reason))
            result = replace(result, slices=0, reason=reason, detail=detail, entries=entries)
        kept.append((candidate, result))
    return kept


def _entries(inspection: Inspection, looked: Sequence[tuple[Candidate, Looked]]) -> Iterator[Entry]:
    results = {candidate.uid: result for candidate, result in looked}
    remarks: dict[str, tuple[str, str]] = {}
    for candidate in inspection.candidates:
        result = results.get(candidate.uid)
        split = inspection.splits[candidate.uid]
        if result is None:
            yield from candidate.entries
            yield Entry("study", candidate.uid, "", f"{split}, pixels not read")
            continue
        yield from result.entries
        detail = result.detail if result.reason else f"{split}, {result.detail}"
        yield Entry("study", candidate.uid, result.reason, detail)
        lost = ("not-used", "") if result.reason else ("", "")
        remarks |= {f"line {line}": remark if remark[0] else lost for line, remark in result.lines.items()}
    for entry in inspection.entries:
        reason, detail = remarks.get(entry.item, ("", "")) if entry.kind == "label" and not entry.reason else ("", "")
        yield Entry("label", entry.item, reason, detail) if reason else entry


def _split_count(split: Split, usable: Sequence[Candidate], splits: Mapping[str, Split]) -> SplitCount:
    here = [candidate for candidate in usable if splits[candidate.uid] == split]
    signs = Counter(candidate.hemorrhage for candidate in here)
    return SplitCount(split, len({candidate.patient for candidate in here}), len(here), signs[1], signs[0])


def _on_coverage(inspection: Inspection, covered: Coverage) -> Iterator[Finding]:
    least = inspection.site.settings.minimum_coverage
    if not covered.labelled:
        yield Finding("problem", "no-labels", "labels.csv says nothing of any study; fill it in.")
    elif covered.share < least:
        yield Finding(
            "problem",
            "low-coverage",
            f"Only {covered.usable} of {covered.labelled} labelled studies can be used, and the site joins from "
            f"{least:.0%} on; mend what the table of reasons names, or lower `minimum_coverage` in site.yaml.",
        )


def _on_splits(inspection: Inspection, splits: Sequence[SplitCount], usable: Sequence[Candidate]) -> Iterator[Finding]:
    settings = inspection.site.settings
    train = splits[0]
    if usable and not any(count.studies for count in splits if count.split in DEALT):
        yield Finding("note", "held-out", "Every study is held out: the site trains nothing and only tests models.")
    elif not train.studies:
        yield Finding("problem", "nothing-to-train", "No study is left to train on; see the reasons.")
    elif not (train.positive and train.negative):
        missing = "with" if not train.positive else "without"
        yield Finding(
            "warning", "one-class", f"No training study {missing} hemorrhage; the site can teach only one of the two."
        )
    for count in splits[1:]:
        if 0 < count.studies < settings.minimum_cohort:
            yield Finding(
                "warning",
                f"small-{count.split}-cohort",
                f"The {count.split} split has {count.studies} studies, fewer than the {settings.minimum_cohort} of "
                "`minimum_cohort`: its figures do not leave the site, and do not count in the report.",
            )
    if len(usable) > 1 and len({candidate.patient for candidate in usable}) == 1:
        yield Finding(
            "warning",
            "one-patient",
            "All studies have the same PatientID, so all are in one split; let the export give each patient a number.",
        )


def _on_faults(entries: Sequence[Entry]) -> Iterator[Finding]:
    """What is broken or odd, by kind and reason, and what rules leave out of whole studies and rows."""
    found = Counter((entry.kind, entry.reason) for entry in entries if entry.reason)
    for (kind, reason), count in sorted(found.items(), key=lambda item: (-item[1], item[0])):
        level = _level(kind, reason)
        if level is not None:
            noun = _NOUNS[kind][count > 1]
            text = " ".join(filter(None, (f"{count} {noun}:", REASONS[reason], REMEDIES.get(reason, ""))))
            yield Finding(level, f"{kind}-{reason}", text)


def _level(kind: str, reason: str) -> Level | None:
    """A study is told of itself, and not by each of its files and rows again."""
    if reason in FAULTS or reason in REMARKS or (kind, reason) in _DOUBTFUL:
        return "warning"
    return "note" if kind == "study" else None


def _on_privacy(inspection: Inspection) -> Iterator[Finding]:
    if inspection.burned_in:
        yield Finding(
            "warning",
            "burned-in",
            f"{_files(inspection.burned_in)} with writing burned into the picture; look at the pictures.",
        )
    if inspection.identified:
        yield Finding(
            "note",
            "patient-tags",
            f"{_files(inspection.identified)} with a patient's name or the like; none of that is prepared or leaves.",
        )


def _files(count: int) -> str:
    return f"{count} file{'' if count == 1 else 's'}"


def _needed_bytes(
    studies: int, preprocessing: PreprocessingSettings, looked: Sequence[tuple[Candidate, Looked]]
) -> int:
    """Windows of a byte a pixel, and a mask of a quarter of the pixels."""
    slices = [result.slices for _, result in looked if not result.reason]
    mean = sum(slices) / len(slices) if slices else _TYPICAL_SLICES
    pixels = preprocessing.rows * preprocessing.columns
    return round(studies * mean * pixels * (len(preprocessing.windows_hu) + 0.25))


def _on_machine(machine: Machine, needed_bytes: int, device: DeviceChoice) -> Iterator[Finding]:
    if needed_bytes > machine.free_bytes:
        needed, free = size_in_words(needed_bytes), size_in_words(machine.free_bytes)
        yield Finding(
            "problem",
            "disk-full",
            f"The cache needs about {needed} and its disk has {free}; free some, or name another folder as "
            "`cache` in site.yaml.",
        )
    if device == "gpu" and not machine.gpu:
        yield Finding("problem", NoGpu.code, NO_GPU)
    elif machine.idle_gpu:
        yield Finding(
            "warning",
            "idle-gpu",
            "An NVIDIA driver is loaded, and PyTorch finds no GPU; install PyTorch with CUDA, or give the container "
            "its GPU (`--gpus all`).",
        )
    elif not machine.gpu and device == "auto":
        yield Finding("note", "no-gpu", "There is no GPU that PyTorch can use; the preset tiny trains on a processor.")


def _on_sampling(read: int, candidates: int) -> Iterator[Finding]:
    if read < candidates:
        yield Finding(
            "note",
            "pixels-sampled",
            f"Pixels of {read} of {candidates} studies were read; leave --sample out to read all.",
        )
