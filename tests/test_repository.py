"""The repository's own files: what editors, hooks and services read of it."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import ROOT
from tools import check, release

HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PINS = dict(re.findall(r"^([\w-]+)==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE))


def hooks() -> list[dict[str, Any]]:
    return [hook for repository in HOOKS["repos"] for hook in repository["hooks"]]


def written_files() -> list[Path]:
    """Return what people wrote: all that git knows, but for pictures."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    paths = [ROOT / name for name in listed.stdout.split("\0") if name and not name.endswith(".svg")]
    return [path for path in paths if path.is_file()]


# -- hooks --------------------------------------------------------------------------------------


def test_hooks_are_pinned_as_the_checks_are() -> None:
    """A commit and `make check` are judged by the same releases."""
    pinned = dict(name.split("==") for hook in hooks() for name in hook["additional_dependencies"])

    shared = {name: version for name, version in pinned.items() if name in PINS}

    assert shared == {name: PINS[name] for name in ("ruff", "codespell", "proselint")}


def test_ruff_sees_python_alone() -> None:
    """The samples of the documents are laid out for readers."""
    ruff = [hook for hook in hooks() if hook["entry"].startswith("ruff ")]

    assert [hook["types_or"] for hook in ruff] == [["python", "pyi"]] * 2


def test_text_files_end_as_the_hooks_leave_them() -> None:
    """No whitespace at the end of a line, one newline at the end of the file."""
    texts = {path: path.read_bytes() for path in written_files()}

    untidy = [
        str(path.relative_to(ROOT))
        for path, text in texts.items()
        if re.search(rb"[ \t\r]$", text, re.MULTILINE) or (text and not re.search(rb"[^\n]\n\Z", text))
    ]

    assert len(texts) > 100
    assert untidy == []


# -- workflow -----------------------------------------------------------------------------------


def test_the_workflow_has_the_pythons_of_the_classifiers() -> None:
    """So has `make check`, and so the oldest of them is the one that the package asks for."""
    versions = re.findall(r"Python :: (3\.\d+)$", "\n".join(PROJECT["project"]["classifiers"]), re.MULTILINE)

    assert WORKFLOW["jobs"]["tests"]["strategy"]["matrix"]["python"] == versions
    assert list(check.VERSIONS) == versions
    assert PROJECT["project"]["requires-python"] == f">={versions[0]}"


def test_one_job_of_the_workflow_stands_for_all() -> None:
    """A branch requires that alone, and it fails where another failed or never ran."""
    *others, last = WORKFLOW["jobs"]

    assert WORKFLOW["jobs"][last]["needs"] == others
    assert WORKFLOW["jobs"][last]["if"] == "always()"


def test_the_wheel_is_what_the_workflow_tests() -> None:
    """Each job that takes it removes the source first, so that nothing else can be imported."""
    jobs = [job for job in WORKFLOW["jobs"].values() if job.get("needs") == "wheel"]

    runs = [[step["run"] for step in job["steps"] if "run" in step] for job in jobs]

    assert len(runs) == 2
    assert all(first == "rm -r fluidauth" and "WHEEL=" in then for first, then in runs)


def test_the_workflow_may_read_and_no_more() -> None:
    """No job has other permissions or a secret, and an action is the commit that was looked at."""
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    uses = [step["uses"] for job in WORKFLOW["jobs"].values() for step in job["steps"] if "uses" in step]

    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert not any("permissions" in job for job in WORKFLOW["jobs"].values())
    assert "secrets" not in text
    assert [action for action in uses if not re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", action)] == []


def test_a_release_has_no_token_and_no_right_that_it_does_not_need() -> None:
    """Publishing has its own identity, which makes attestations. Actions are pinned to a commit."""
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text()
    jobs = yaml.safe_load(text)["jobs"]
    uses = [step["uses"] for job in jobs.values() for step in job.get("steps", []) if "uses" in step]

    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}
    assert jobs["build"]["needs"] == ["tests"]
    assert jobs["tests"]["uses"] == "./.github/workflows/ci.yml"
    assert {name: job.get("permissions") for name, job in jobs.items()} == {
        "tests": None,
        "build": None,
        "documentation": None,
        "publish": {"id-token": "write"},
        "pages": {"id-token": "write", "pages": "write"},
    }
    assert jobs["publish"]["steps"][-1]["with"] == {"attestations": True}
    assert "secrets" not in text
    assert [
        action for action in uses if not re.fullmatch(r"(actions|pypa)/[a-z-]+@[0-9a-f]{40}", action)
    ] == []


def test_a_release_is_stopped_where_links_tag_or_changelog_do_not_fit(tmp_path: Path) -> None:
    """So that nothing is published whose links lead to somebody else."""
    (tmp_path / "changelog.d").mkdir()
    for name in ("pyproject.toml", "CHANGELOG.md"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    source, version = PROJECT["project"]["urls"]["Source"], PROJECT["project"]["version"]
    with (tmp_path / "CHANGELOG.md").open("a") as changelog:
        changelog.write(f"\n## {version} (2030-01-01)\n")

    assert release.faults_of(source, f"v{version}", tmp_path) == []
    assert len(release.faults_of("https://github.com/somebody/fluidauth", f"v{version}", tmp_path)) > 4
    assert len(release.faults_of(source, "v99", tmp_path)) == 1
    (tmp_path / "changelog.d" / "+new.added.md").write_text("New.\n")
    assert len(release.faults_of(source, f"v{version}", tmp_path)) == 1


# -- forms --------------------------------------------------------------------------------------


def test_whatever_the_host_reads_is_checked() -> None:
    """Each file has the schema that `make check` holds it to."""
    read = sorted(str(path.relative_to(ROOT)) for path in (ROOT / ".github").rglob("*.y*ml"))

    assert sorted(file for files in check.SCHEMAS.values() for file in files) == read


@pytest.mark.parametrize("name", ["bug", "feature"])
def test_a_form_asks_for_what_is_needed(name: str) -> None:
    """Few questions, each with its own name, and at least one that must be answered."""
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml").read_text())
    questions = [part for part in form["body"] if part["type"] != "markdown"]

    names = [part["id"] for part in questions]

    assert len(set(names)) == len(names) <= 6
    assert any(part.get("validations", {}).get("required") for part in questions)


def test_a_weakness_is_reported_in_private() -> None:
    """The form for bugs says so before anything is asked, and there is no blank one to pass it by."""
    forms = ROOT / ".github" / "ISSUE_TEMPLATE"

    first, *_ = yaml.safe_load((forms / "bug.yml").read_text())["body"]

    assert "SECURITY.md" in first["attributes"]["value"]
    assert yaml.safe_load((forms / "config.yml").read_text()) == {"blank_issues_enabled": False}


# -- what the index shows -----------------------------------------------------------------------


def test_the_frameworks_named_are_those_tested() -> None:
    """Each is installed for the tests, where a version is named at that version."""
    named = [each.split(" :: ")[1:] for each in PROJECT["project"]["classifiers"] if "Framework" in each]

    for framework, *version in named:
        if framework != "AsyncIO":  # Python's own
            assert f"{PINS[framework.lower()]}.".startswith("".join(f"{part}." for part in version))


# -- dependencies -------------------------------------------------------------------------------


def test_the_tests_have_every_extra() -> None:
    """The environments install the package with all of them, and what tests need beside is none of them."""
    (named,) = re.findall(r"^EXTRAS := \[(.*)\]$", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert named.split(",") == sorted(PROJECT["project"]["optional-dependencies"])
    assert sorted(PROJECT["dependency-groups"]) == ["docs", "lint", "release", "test"]


def test_no_pool_is_allowed_that_dies_in_a_quiet_day() -> None:
    """The threads of psycopg-pool before 3.3.3 end after 24 hours without work; then none is had any more."""
    extra = PROJECT["project"]["optional-dependencies"]["postgres"]

    lowest = [re.findall(r"\d+", each) for each in extra if each.startswith("psycopg-pool>=")]

    assert [[int(part) for part in version] >= [3, 3, 3] for version in lowest] == [True]


def test_whatever_is_installed_is_pinned() -> None:
    """The environments of next month are those of today."""
    wanted = [
        *PROJECT["build-system"]["requires"],
        *PROJECT["project"]["dependencies"],
        *(each for extra in PROJECT["project"]["optional-dependencies"].values() for each in extra),
        *(each for group in PROJECT["dependency-groups"].values() for each in group),
        "pip",
    ]

    names = [re.split(r"[\[<>=~! ]", requirement)[0] for requirement in wanted]

    assert [name for name in names if name not in PINS] == []
