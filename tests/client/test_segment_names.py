"""What a segment is called, and which blood that is."""

import pytest
from highdicom.seg import SegmentDescription
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from bloodnet_model.labels import CLASSES
from client.segment_names import bits_of

TISSUE = Code("85756007", "SCT", "Tissue")
HEMORRHAGE = Code("50960005", "SCT", "Hemorrhage")
BITS = {name: 1 | 1 << j for j, name in enumerate(CLASSES)}


def bits(label: str, kind: Code = TISSUE, region: Code | None = None) -> int | None:
    category = codes.SCT.MorphologicallyAbnormalStructure
    regions = [region] if region is not None else None
    return bits_of(SegmentDescription(1, label, category, kind, "MANUAL", anatomic_regions=regions))


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("epidural", ["Epidural hemorrhage", "EDH", "extradural haematoma", "epidural", "Epiduralblutung"]),
        ("intraparenchymal", ["Intraparenchymal", "IPH left", "intracerebral haemorrhage", "Parenchymal bleed"]),
        ("intraparenchymal", ["cerebral hemorrhage", "intrazerebrale Blutung", "intra-parenchymal hematoma"]),
        ("intraventricular", ["IVH", "Intraventricular Hemorrhage", "ventricular haemorrhage", "intraventrikulär"]),
        ("subarachnoid", ["SAH", "subarachnoid hemorrhage", "Subarachnoidalblutung", "sub-arachnoid blood"]),
        ("subdural", ["SDH_left", "acute subdural hematoma", "Subduralhämatom", "chronic SDH 2"]),
        ("any", ["ICH", "hemorrhage", "Haemorrhage", "blood", "Bleeding", "hematoma 1", "intracranial hemorrhage"]),
        ("any", ["Blutung", "Hämatom", "hémorragie", "hemorragia"]),
    ],
)
def test_labels(name: str, labels: list[str]) -> None:
    assert {label: bits(label) for label in labels} == dict.fromkeys(labels, BITS[name])


@pytest.mark.parametrize(
    "label",
    [
        *("Segment_1", "Perihematomal edema", "subdural hygroma", "lateral ventricle", "brain parenchyma", "skull"),
        *(
            "subarachnoid space",
            "no hemorrhage",
            "infarct",
            "subdural drain",
            "rich club",
            "SDH or EDH",
            "blood vessel",
        ),
    ],
)
def test_what_is_no_blood_or_two_kinds(label: str) -> None:
    assert bits(label) is None


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (HEMORRHAGE, "any"),
        (Code("35566002", "SCT", "Hämatom"), "any"),
        (Code("1386000", "SCT", "?"), "any"),
        (Code("274100004", "SCT", "?"), "intraparenchymal"),
        (Code("21454007", "SCT", "?"), "subarachnoid"),
        (Code("35486000", "SCT", "?"), "subdural"),
        (Code("1", "99LOCAL", "Epidural hemorrhage"), "epidural"),
        (Code("1", "SCT", "Intraventricular hemorrhage"), "intraventricular"),
    ],
)
def test_codes(kind: Code, name: str) -> None:
    assert bits("Segment 1", kind) == BITS[name]


def test_label_type_and_region_are_read_together() -> None:
    assert bits("left subdural", HEMORRHAGE) == BITS["subdural"]
    assert bits("Segment 1", HEMORRHAGE, Code("35951006", "SCT", "Subarachnoid space")) == BITS["subarachnoid"]
    assert bits("Segment 1", TISSUE, Code("35951006", "SCT", "Subarachnoid space")) is None
    assert bits("subdural", Code("21454007", "SCT", "Subarachnoid hemorrhage")) is None
    assert bits("Segment 1", Code("35486000", "99LOCAL", "?")) is None, "a number means what its scheme says"
