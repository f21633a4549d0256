"""What is wrong with a text: its length, its semicolons, its words.

The words are looked for by proselint, with a list of ours beside some of its own.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from proselint.checks import __register__ as all_of_proselint
from proselint.registry.checks import Check
from proselint.registry.checks.types import PreferredFormsSimple

from .texts import Text, count, sentences

WORDS = Path(__file__).with_name("words.toml")
# Of proselint's own checks those that are about words; its typography is not Markdown's.
OF_PROSELINT = (
    *("archaism", "cliches", "malapropisms", "misc.back_formations", "misc.illogic", "misc.pretension"),
    *("misc.many_a", "misc.whence", "mondegreens", "nonwords", "oxymorons", "redundancy", "uncomparables"),
)
MAX_SEMICOLONS = 1  # in one sentence


@cache
def checks() -> tuple[Check, ...]:
    """Return the checks for words: ours, and those of proselint that are ours as well."""
    instead = tomllib.loads(WORDS.read_text("utf-8"))["instead"]
    ours = Check(
        path="words",
        check_type=PreferredFormsSimple(items=instead),
        message="write '{}' instead of '{}'",
    )
    return (ours, *(check for check in all_of_proselint if check.path.startswith(OF_PROSELINT)))


def remarks(text: Text, longest: int) -> Iterator[str]:
    """Yield what is wrong with *text*, whose sentences may have *longest* words."""
    for sentence in sentences(text.words):
        if (length := count(sentence)) > longest:
            yield f"a sentence of {length} words, {longest} at most: {sentence[:60]}…"
        if sentence.count(";") > MAX_SEMICOLONS:
            yield f"a chain of semicolons: {sentence[:60]}…"
    for check in checks():
        for result in check.check_with_flags(f"\n{text.words}\n"):
            yield result.message
