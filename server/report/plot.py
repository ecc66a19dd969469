"""One figure of the report: drawn into the page, or into a file of its own."""

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from bloodnet_model.drawing import house_style, png, svg, svg_file


@dataclass(frozen=True)
class Plot:
    """Drawn when it is asked for.

    name:    fit for a file's name
    title:   the heading above it
    reading: what its figures say in plain words; also the description for who cannot see it
    make:    draws it, in the house style
    note:    how it is to be read, where that is not plain
    """

    name: str
    title: str
    reading: str
    make: Callable[[], Figure]
    note: str = ""

    def inline(self) -> str:
        """`<svg>` for the page, in its colours."""
        with house_style(self.name):
            return svg(self.make(), self.description)

    def svg_file(self) -> str:
        with house_style(self.name):
            return svg_file(self.make(), self.description)

    def png(self) -> bytes:
        with house_style(self.name):
            return png(self.make())

    @property
    def description(self) -> str:
        return f"{self.title}. {self.reading}"
