"""Text that came from outside, as a terminal may show it."""


def printable(text: str) -> str:
    """Without characters that a terminal would obey, or that would show a line other than it is."""
    return "".join(letter if letter.isprintable() or letter == "\t" else "\N{REPLACEMENT CHARACTER}" for letter in text)
