"""Which groups of patients may be shown beside their total, so that no small group can be got by subtraction.

Complementary suppression, as statistical offices do it in a table with one total (Willenborg and de Waal, Elements of
Statistical Disclosure Control, 2001). Groups must not overlap.
"""

from collections.abc import Mapping

from bloodnet_model.errors import DataError


def shown_groups(counts: Mapping[str, int], minimum: int) -> frozenset[str]:
    """Names of the groups that may be shown, from their numbers of studies.

    Groups with fewer than `minimum` studies are hidden. Where these hold studies, yet fewer than `minimum` together,
    the total minus what is shown would tell them; so the smallest of the others are hidden as well, by name where
    they tie, until the hidden hold `minimum` studies or nothing is shown. A total below `minimum` must not be shown
    either, which is not decided here. Raises DataError for a negative count.
    """
    negative = [name for name, studies in counts.items() if studies < 0]
    if negative:
        raise DataError(f"group {min(negative)}: a negative number of studies cannot be; count its studies again.")
    shown = sorted((name for name in counts if counts[name] >= minimum), key=lambda name: (counts[name], name))
    hidden = sum(studies for studies in counts.values() if studies < minimum)
    while shown and 0 < hidden < minimum:
        hidden += counts[shown.pop(0)]
    return frozenset(shown)
