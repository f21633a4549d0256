"""The recording of `make demo`: that it shows what the demo prints today, to everybody."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from tools import recording

SVG = "{http://www.w3.org/2000/svg}"
PICTURE = recording.PICTURE.read_text("utf-8") if recording.PICTURE.exists() else ""


@pytest.fixture(scope="module")
def printed() -> str:
    return recording.output()


@pytest.mark.parametrize(
    "environ",
    [
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"},
    ],
)
def test_the_recording_is_of_every_sign_in_any_locale(
    printed: str, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    assert recording.STEP.findall(recording.output())[0] == recording.STEP.findall(printed)[0]


def words(picture: str) -> list[str]:
    """Return the text of each line, with what differs from run to run masked."""
    lines = ["".join(line.itertext()) for line in ElementTree.fromstring(picture).iter(f"{SVG}g")]
    masked = [re.sub(r"^(1\.[a-z2-7]{6}\.|[\w-]{32}\.|[\w-]{24}(?=;))", "TOKEN", line) for line in lines]
    return [re.sub(r"key: [a-z2-7]{6} → [a-z2-7]{6}", "key: KID → KID", line) for line in masked]


def test_the_recording_has_every_step(printed: str) -> None:
    """Each step that the demo prints today, and what it found there."""
    steps = recording.STEP.findall(printed)

    shown = "\n".join(words(PICTURE))

    assert len(steps) == printed.count("✓") > 0
    assert [step for step, _ in steps if step not in shown] == []


def test_the_recording_is_as_it_would_be_drawn_now(printed: str) -> None:
    """But for the ids and keys of its own run: `python -m tools.recording` draws it anew."""
    assert words(PICTURE) == words(recording.drawn(printed))


def test_the_recording_is_one_run() -> None:
    """Its cookie was signed by the key that the rotation then took over from."""
    [token] = recording.TOKEN.findall("".join("".join(line) for line in texts(PICTURE)))
    [former] = re.findall(r"key: (\w+) → \w+", PICTURE.partition("</desc>")[2])

    assert token[1] == former


def test_the_recording_ends_complete_for_everybody() -> None:
    """Lines are hidden by the animation alone, so what knows no animation shows them all."""
    outside = re.sub(r"@keyframes wait \{.*?\} \}", "", PICTURE)

    assert "opacity" in PICTURE
    assert not re.search(r"opacity|display|visibility|<animate|<set", outside)
    assert "@media (prefers-reduced-motion: reduce) { g { animation: none; } }" in PICTURE


def test_the_recording_is_small_and_whole() -> None:
    """One file that loads nothing, scales to any width, and says what it is to who cannot see it."""
    root = ElementTree.fromstring(PICTURE)

    assert len(PICTURE.encode()) < 30_000
    assert not re.search(r"href|url\(|@import|<script|<image", PICTURE)
    assert root.attrib["viewBox"] == f"0 0 {root.attrib['width']} {root.attrib['height']}"
    assert (root.attrib["role"], root.attrib["aria-labelledby"]) == ("img", "title desc")
    assert root[0].text == recording.TITLE
    assert "50 requests at once" in (root[1].text or "")


def test_nothing_runs_out_of_the_terminal() -> None:
    """No line has more characters than there are columns."""
    assert max(map(len, words(PICTURE))) <= recording.COLUMNS


def test_no_secret_is_in_the_recording() -> None:
    assert "fask1_" not in PICTURE


def texts(picture: str) -> list[list[str]]:
    return [list(line.itertext()) for line in ElementTree.fromstring(picture).iter(f"{SVG}g")]
