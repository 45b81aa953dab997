"""What the documents say is tried: their Python runs, their configs load, their commands parse, their links lead somewhere."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from dettoolkit.checkpoint import write
from dettoolkit.config import dump_config, load_config
from dettoolkit.modeling import build_model
from dettoolkit.structures import DatasetInfo
from dettoolkit.visualization import save_picture

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    file for pattern in ("*.md", "docs/**/*.md", "projects/**/*.md") for file in ROOT.glob(pattern) if ".venv" not in file.parts
)
CHECKPOINT = "runs/my_run/checkpoints/model_final.pth"


SMALLEST = """
_BASE_: tiny.yaml
PLUGINS: [smallest.py]
MODEL:
  BACKBONE: {NAME: Strided}
  NECK: {NAME: OneLevel}
  HEAD: {NAME: LinearHead}
  ANCHORS: {NAME: CellBoxes}
  MATCHER: {NAME: OverHalf}
  MINER: {NAME: HardestHalf}
  BOX_CODER: {NAME: Corners}
  LOSSES: {CLASSIFICATION: {NAME: SquaredClassLoss}, REGRESSION: {NAME: SquaredBoxLoss}}
  DECODER: {NMS: {NAME: StrictNMS}}
DATASETS: {TRAIN_TRANSFORMS: [{NAME: Negative}]}
DATALOADER: {SAMPLER: {NAME: InOrder}}
SOLVER: {LENGTH: 2it, OPTIMIZER: {NAME: NAdam}, SCHEDULE: {NAME: Polynomial}}
EVALUATION: {EVALUATORS: [{NAME: Counts}]}
HOOKS:
  - {NAME: LearningRate}
  - {NAME: Evaluation}
  - {NAME: SecondsLimit}
  - {NAME: MetricWriters, WRITERS: [{NAME: PrintingWriter}]}
"""


@dataclass
class Block:
    """A fenced block of a document; ``name`` is that of the file it stands for: ``# my.yaml`` in its first line."""

    language: str
    text: str
    line: int

    @property
    def name(self) -> str | None:
        found = re.match(r"# ([\w./]+\.(?:py|yaml))\n", self.text)
        return found[1] if found else None


def blocks(file: Path) -> list[Block]:
    text = file.read_text(encoding="utf-8")
    fences = re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [Block(found[1], found[2], text.count("\n", 0, found.start()) + 2) for found in fences]


def name_of(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def with_blocks(*languages: str) -> list[Path]:
    return [file for file in DOCUMENTS if any(block.language in languages for block in blocks(file))]


@pytest.fixture(scope="module")
def detector() -> dict[str, Any]:
    """What a checkpoint of a run holds."""
    cfg = load_config(ROOT / "configs/tiny.yaml", ["MODEL.NUM_CLASSES", "2"])
    info = DatasetInfo("mine", ("cat", "dog")).to_dict()
    return {"model": build_model(cfg).state_dict(), "config": dump_config(cfg), "dataset": info}


@pytest.fixture
def workplace(tmp_path: Path, detector: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder such as the documents' reader has: configs, a trained run, a photo."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    (tmp_path / "projects").symlink_to(ROOT / "projects")
    Path(CHECKPOINT).parent.mkdir(parents=True)
    write(Path(CHECKPOINT), detector)
    save_picture(torch.zeros(64, 64, 3, dtype=torch.uint8).numpy(), tmp_path / "photos/a.jpg")
    return tmp_path


def write_files(file: Path) -> list[Block]:
    """Write the blocks that stand for files, and return the other ones."""
    found = blocks(file)
    for block in found:
        if block.name:
            Path(block.name).write_text(block.text, encoding="utf-8")
    return [block for block in found if not block.name]


def run_python(file: Path) -> int:
    """Run the blocks that stand for no file, each on its own, and return how many there are."""
    python = [block for block in write_files(file) if block.language == "python"]
    for block in python:
        exec(compile("\n" * (block.line - 1) + block.text, str(file), "exec"), {"__name__": "documents"})
    return len(python)


def test_all_documents_are_looked_at() -> None:
    names = {name_of(file) for file in DOCUMENTS}
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/architecture.md", "projects/README.md"} <= names
    assert {
        f"docs/how-to/{name}.md" for name in ("own_data", "configs", "custom_component", "distributed", "evaluation")
    } <= names


@pytest.mark.parametrize("file", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(file: Path) -> None:
    text = re.sub(r"```.*?```", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if not target.startswith("https://")]
    for target in targets:
        path, _, heading = target.partition("#")
        linked = (file.parent / path).resolve() if path else file
        assert linked.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in [re.sub(r"[^\w -]", "", words).lower().replace(" ", "-") for words in headings], target


@pytest.mark.parametrize("file", with_blocks("yaml"), ids=name_of)
def test_configs_load(file: Path, workplace: Path) -> None:
    others = write_files(file)
    assert not [block.line for block in others if block.language == "yaml"], "a config begins with its name: # my.yaml"
    for path in workplace.glob("*.yaml"):
        load_config(path.name)


@pytest.mark.parametrize("file", with_blocks("python"), ids=name_of)
def test_python_runs(file: Path, workplace: Path) -> None:
    assert run_python(file) or list(workplace.glob("*.py"))


def test_the_smallest_parts_make_a_detector_that_trains(workplace: Path) -> None:
    parts = [block.text for block in blocks(ROOT / "CONTRIBUTING.md") if block.language == "python"]
    (workplace / "smallest.py").write_text("\n".join(parts), encoding="utf-8")
    (workplace / "smallest.yaml").write_text(SMALLEST, encoding="utf-8")
    command = [sys.executable, str(ROOT / "tools/train_net.py"), "--config-file", "smallest.yaml"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"^2 .*'counts/detections': \d", done.stdout, re.MULTILINE
    )  # PrintingWriter's line, with the number of Counts


@pytest.mark.parametrize("file", with_blocks("bash", ""), ids=name_of)
def test_commands_are_understood(file: Path, workplace: Path) -> None:
    for block in write_files(file):
        if block.language == "bash" or "python tools/" in block.text:
            for line in block.text.splitlines():
                check_command(line.partition("#")[0].strip())


def check_command(line: str) -> None:
    """Check a line of a shell: targets of make, scripts, options, config files and overrides that there are."""
    words = shlex.split(line)
    while words and re.match(r"[A-Z_]+=", words[0]):  # a variable for this command
        words = words[1:]
    if not words:
        return
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE), line
    elif words[0] == "dettoolkit":
        parse(words[1].replace("-", "_"), words[2:])
    elif words[:3] == ["python", "-m", "pytest"]:
        assert all((ROOT / path).exists() for path in words[3:] if "my_" not in path), line
    elif words[0] == "python" and (benchmark := script_of_benchmark(words[1:])) is not None:
        options = [word for word in words[2:] if word.startswith("--")]
        script = benchmark.read_text(encoding="utf-8")
        assert all(f'"{option}"' in script for option in options), line
    elif words[0] in ("python", "torchrun"):
        (tool,) = (word for word in words if word.endswith(".py") and word.startswith("tools/"))
        command = re.search(r'run_command\("([\w-]+)"\)', (ROOT / tool).read_text(encoding="utf-8"))
        assert command is not None
        parse(command[1].replace("-", "_"), words[words.index(tool) + 1 :])
    else:
        assert words[0] in ("git", "pip", "cd", "pre-commit"), line


def script_of_benchmark(words: list[str]) -> Path | None:
    """Return the file with the options of ``benchmarks/x.py``, ``-m benchmarks.x`` or of the tool; None for others."""
    if words[0] == "tools/benchmark.py":
        return ROOT / "benchmarks/speed/__main__.py"
    if words[0] == "-m" and words[1].startswith("benchmarks."):
        module = ROOT / words[1].replace(".", "/")
        return module / "__main__.py" if module.is_dir() else module.with_suffix(".py")
    return ROOT / words[0] if words[0].startswith("benchmarks/") else None


def parse(command: str, arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    importlib.import_module(f"dettoolkit.cli.{command}").add_arguments(parser)
    parsed = vars(parser.parse_intermixed_args(arguments))
    config = parsed.get("config_file") or parsed.get("file")
    if config:
        load_config(config, parsed["overrides"])
    for plugin in parsed.get("plugins", []):
        assert Path(plugin).is_file(), plugin
