"""Commands that only read a run load nothing heavy, so that they start at once."""

import subprocess
import sys

from fake_run import fake_run

HEAVY = (
    "torch", "transformers", "trl", "peft", "datasets", "dspy", "litellm", "sklearn", "scipy", "numpy", "wasmtime", "huggingface_hub",
    "filelock",
)  # fmt: skip


def test_report_trace_and_runs_load_neither_models_nor_dspy_nor_scipy(tmp_path):
    path = fake_run(tmp_path / "run", {"t": ["a"]}, rounds=1)
    program = (path / "round-1/assemble/samples.jsonl").read_text().split('"program_id":"')[1][:16]
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom errata.cli import app\n"
        f"for args in (['report', {str(path)!r}], ['trace', {str(path)!r}, {program!r}], ['runs', {str(tmp_path)!r}]):\n"
        "    done = CliRunner().invoke(app, args)\n    assert done.exit_code == 0, (args, done.output)\n"
        f"print(sorted(set({HEAVY}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/")
    assert done.stdout.strip() == "[]", done.stderr
