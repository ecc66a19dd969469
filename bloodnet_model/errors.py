"""The whole error tree.

Every error holds one sentence for a person, which names the file or setting and the remedy, and a short
`code`, which is all of it that may ever leave a hospital.
"""


class BloodNetError(Exception):
    """Base of all errors a user can cause or mend. Its text stays where it was raised; its `code` may travel."""

    code = "error"


class SettingsError(BloodNetError):
    """A setting is unknown, misspelt or out of range."""

    code = "bad-settings"


class DataError(BloodNetError):
    """A folder, table or image cannot be used as it is."""

    code = "bad-data"


class LowCoverage(DataError):
    """Too small a share of a site's labelled studies can be used."""

    code = "low-coverage"


class UnusableSlice(DataError):
    """One DICOM file cannot give a CT slice; `reason` is a key of `bloodnet_model.reasons.REASONS`."""

    code = "unusable-slice"

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class WeightsError(BloodNetError):
    """Received weights do not fit the network."""

    code = "bad-weights"


class NoGpu(BloodNetError):
    """A GPU is demanded and there is none that can be used."""

    code = "no-gpu"


class TrainingDiverged(BloodNetError):
    """A loss became NaN or infinite; the round's weights are thrown away."""

    code = "diverged"


class Withheld(BloodNetError):
    """A site does not say what it was asked for, by its own rules; `reason` is the code that it answers with."""

    code = "withheld"

    def __init__(self, reason: str) -> None:
        super().__init__(f"Not given: {reason}.")
        self.reason = reason


class UnusableAnswer(BloodNetError):
    """A site's answer cannot count; `reason` is the whole of what is said of it."""

    code = "unusable-answer"

    def __init__(self, reason: str) -> None:
        super().__init__(f"The answer is refused: {reason}.")
        self.reason = reason


class RoundError(BloodNetError):
    """A round cannot go on: too few sites answered with something usable."""

    code = "too-few-sites"


class UndefinedMetric(BloodNetError):
    """A figure does not exist for these data (one class missing, say); it is never replaced by a number."""

    code = "undefined-metric"
