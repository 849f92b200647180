"""What a release says of itself: one version everywhere, a citation that tools can read, lines of installation that are true, and a word to
whom also has the index's `errata`."""

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SCRIPT = str(Path(sys.executable).with_name("errata"))


def test_the_citation_is_one_that_tools_read_and_names_this_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= cited.keys()  # what the format 1.2.0 requires
    assert (str(cited["version"]), cited["license"], cited["type"]) == (PROJECT["version"], PROJECT["license"], "software")
    for work in (cited, *cited["references"]):
        assert work["authors"]
        assert all(author.keys() <= {"name", "given-names", "family-names"} for author in work["authors"])
    assert [one["identifiers"][0]["value"] for one in cited["references"]] == ["arXiv:2407.00497"]


def test_templates_of_issues_are_ones_that_the_host_shows():
    for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.md"):
        head = yaml.safe_load(path.read_text(encoding="utf-8").split("---\n")[1])
        assert head.keys() >= {"name", "about"}
        assert all(isinstance(value, str) and value for value in head.values())
    assert (ROOT / ".github/pull_request_template.md").is_file()


KINDS = (".md", ".py", ".yml", ".yaml", ".txt", ".toml", ".j2", ".sh", ".cff")


def texts():
    """Each committed text of the project with its lines; tests speak of messages, and the changelog and the log of what once was."""
    told = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    for name in told:
        if name.endswith(KINDS) and not name.startswith(("tests/", "docs/LOG", "CHANGELOG")) and (ROOT / name).is_file():
            yield name, (ROOT / name).read_text(encoding="utf-8").splitlines()


def test_no_page_and_no_message_installs_from_the_index_what_is_not_there():
    wrong = []
    for name, lines in texts():
        for number, line in enumerate(lines, 1):
            # a bare name behind `install` is fetched from the index; a path (., ./errata) is a checkout
            ours = re.search(r"pip install (?:[^&|;`#]*\s)?['\"]?errata(?:-lm)?(?:\[[\w,-]+\])?['\"]?(?:[\s`&|;=<>~]|$)", line)
            # an extra of ours says on its line where it is installed, or the line is the README's, which begins in a checkout
            extra = re.search(r"pip install [^`#]*\.\[", line) and "checkout" not in line and "constraints.txt" not in line
            if ours or (extra and "./errata[" not in line):
                wrong.append(f"{name}:{number} {line}")
    assert wrong == []


@pytest.fixture
def beside(tmp_path):
    """An environment that says that the index's `errata` is installed too."""
    folder = tmp_path / "errata-0.1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.3\nName: errata\nVersion: 0.1.0\nSummary: Introspecting python exceptions\n")
    return os.environ | {"PYTHONPATH": str(tmp_path)}


def test_who_has_both_distributions_is_told_in_one_line_which_is_which_and_what_to_do(beside, tmp_path):
    told = subprocess.run([SCRIPT, "runs", str(tmp_path)], env=beside, capture_output=True, text=True)
    assert told.returncode == 0
    (line,) = told.stderr.splitlines()
    for said in ("errata-lm, which you started", "errata 0.1.0, another project", "pip uninstall -y errata, then pip install"):
        assert said in line
    assert "another project" not in told.stdout
    plain = subprocess.run([SCRIPT, "runs", str(tmp_path)], capture_output=True, text=True)
    assert (plain.stdout, plain.stderr) == (told.stdout, "")


def test_the_word_about_both_distributions_is_json_where_progress_is_and_none_where_it_is_quiet(beside, tmp_path):
    told = subprocess.run([SCRIPT, "runs", str(tmp_path), "--json"], env=beside, capture_output=True, text=True)
    assert "another project" in json.loads(told.stderr)["text"]
    assert json.loads(told.stdout) == {"runs": []}
    version = subprocess.run([SCRIPT, "--version"], env=beside, capture_output=True, text=True)
    assert version.stdout.startswith("errata-lm ")
    assert version.stderr.startswith("errata: two distributions")
    assert subprocess.run([SCRIPT, "runs", str(tmp_path), "-q"], env=beside, capture_output=True, text=True).stderr == ""


@pytest.mark.slow  # it builds sdist and wheel, about ten CPU seconds
def test_sdist_and_wheel_are_built_described_and_complete_and_a_file_that_is_missing_fails_the_check(tmp_path):
    command = [sys.executable, ROOT / "scripts/check_release.py", "--quick", "--out", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout.splitlines()) == (0, ["build: ok", "twine: ok", "contents: ok"]), done.stdout + done.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    assert wheel.name.startswith(f"errata_lm-{PROJECT['version']}-")
    with zipfile.ZipFile(wheel) as packed:
        rest = {name: packed.read(name) for name in packed.namelist() if name != "errata/trainers/tiny/model.safetensors"}
    with zipfile.ZipFile(wheel, "w") as packed:
        for name, data in rest.items():
            packed.writestr(name, data)
    state = json.loads((tmp_path / "state.json").read_text())
    del state["passed"]["contents"]  # the others passed, and are not done again
    (tmp_path / "state.json").write_text(json.dumps(state))
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "contents: FAILED: missing in the wheel: ['errata/trainers/tiny/model.safetensors']" in done.stdout
