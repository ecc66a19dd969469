"""The label vocabulary that all parties share."""

from typing import Final

CLASSES: Final = ("any", "epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural")
"""Order of every label vector and mask bit: bit `j` of a mask stands for `CLASSES[j]`."""

SUBTYPES: Final = CLASSES[1:]
UNKNOWN: Final = -1
"""Value of a label nobody gave: it contributes neither loss nor gradient."""
