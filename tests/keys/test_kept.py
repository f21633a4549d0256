"""A secret that a machine keeps for itself: made once, whole, and for nobody else."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from fluidauth import ConfigError
from fluidauth.keys import new_secret
from fluidauth.keys.kept import kept_secret

MAKES = "import sys; from fluidauth.keys.kept import kept_secret; from pathlib import Path; sys.stdin.readline(); print(kept_secret(Path(sys.argv[1])))"  # fmt: skip  # noqa: E501


@pytest.mark.requirement("69")
def test_it_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    before = os.umask(0)
    try:
        first = kept_secret(path)
    finally:
        os.umask(before)

    assert kept_secret(path) == first
    assert re.fullmatch(r"fask1_[A-Za-z0-9_-]{43}", first)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.requirement("69")
def test_processes_that_start_at_once_agree(tmp_path: Path) -> None:
    """All wait for the same moment, and read what one of them made."""
    words = [sys.executable, "-c", MAKES, str(tmp_path / "kept")]
    started = [subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(8)]
    for process in started:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()

    said = {process.communicate()[0] for process in started}

    assert len(said) == 1
    assert [process.returncode for process in started] == [0] * 8
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


@pytest.mark.requirement("69")
def test_who_comes_later_takes_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it came between the look and the making."""
    path, other = tmp_path / "kept", new_secret()
    link = os.link

    def beaten(draft: str, target: Path) -> None:
        path.write_text(other)
        path.chmod(0o600)
        link(draft, target)

    monkeypatch.setattr(os, "link", beaten)

    assert kept_secret(path) == other
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.requirement("69")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_one_that_others_may_read_is_refused(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "kept"
    secret = kept_secret(path)
    path.chmod(mode)

    with pytest.raises(ConfigError) as caught:
        kept_secret(path)

    assert (
        str(caught.value) == f"others may read {path}, so it is no secret; remove it, and a new one is made"
    )
    assert secret not in str(caught.value)


@pytest.mark.requirement("69")
@pytest.mark.parametrize("text", ["", "fask1_", "x" * 49, "fask1_" + "a" * 44, "two\nlines", "a" * 5_000])
def test_one_that_was_not_made_so_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "kept"
    path.write_text(text)
    path.chmod(0o600)

    with pytest.raises(ConfigError) as caught:
        kept_secret(path)

    assert str(caught.value) == (
        f"{path} does not hold a secret that was made for it; remove it, and a new one is made"
    )


@pytest.mark.requirement("69")
def test_a_link_and_a_pipe_are_refused(tmp_path: Path) -> None:
    """Somebody else may have put them there; a pipe does not hold the start up either."""
    target, link, pipe = tmp_path / "target", tmp_path / "link", tmp_path / "pipe"
    kept_secret(target)
    link.symlink_to(target)
    os.mkfifo(pipe, 0o600)

    with pytest.raises(ConfigError, match=r"the secret of development mode cannot be kept in .*/link"):
        kept_secret(link)
    with pytest.raises(ConfigError, match="is not a file of this user"):
        kept_secret(pipe)


def test_a_place_that_takes_none_is_told(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "kept"

    with pytest.raises(ConfigError) as caught:
        kept_secret(path)

    assert str(caught.value) == (
        f"the secret of development mode cannot be kept in {path}: No such file or directory"
    )
