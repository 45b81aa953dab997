"""Packaging: pure Python, no compiler; the configs go into the wheel as ``dettoolkit/configs``."""

import re
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "dettoolkit/__init__.py").read_text(encoding="utf-8"))[1]
ONNX = ["onnx>=1.20", "onnxruntime>=1.23", "onnxscript>=0.7"]  # to write and to run; the tests do both


class BuildWithConfigs(build_py):
    """Copies ``configs/`` into the package; an editable install finds the folder beside it."""

    def run(self):
        """Build as always, then copy."""
        super().run()
        if not self.editable_mode:
            for file in (HERE / "configs").rglob("*.yaml"):
                target = Path(self.build_lib, "dettoolkit", "configs", file.relative_to(HERE / "configs"))
                self.mkpath(str(target.parent))
                self.copy_file(str(file), str(target))


setup(
    name="dettoolkit",
    version=VERSION,
    description="Train, understand and ship a dense object detector: RetinaNet with focal loss, assembled from YAML.",
    long_description=(HERE / "README.md").read_text(encoding="utf-8") if (HERE / "README.md").exists() else "",
    long_description_content_type="text/markdown",
    license_expression="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.10",
    packages=find_packages(include=["dettoolkit", "dettoolkit.*"]),
    package_data={"dettoolkit": ["py.typed", "report/templates/*", "report/templates/sections/*", "visualization/fonts/*"]},
    cmdclass={"build_py": BuildWithConfigs},
    install_requires=[
        "torch>=2.11",
        "torchvision>=0.26",
        "numpy>=1.26",
        "fvcore>=0.1.5.post20221221",
        "iopath>=0.1.9",
        "PyYAML>=6.0",
        "pydantic>=2.7",
        "typing_extensions>=4.6",
        "annotated-types>=0.6",
        "docstring_parser>=0.16",
        "Pillow>=11.3",
        "pycocotools>=2.0.8",
        "faster-coco-eval>=1.6.5",
        "opencv-python-headless>=5.0",  # 5 draws non-Latin text; the plain opencv-python needs the libraries of a desktop
        "defusedxml>=0.7.1",
        "safetensors>=0.4.3",
        "tensorboard>=2.16",
        "termcolor>=2.4",
        "tabulate>=0.9",
        "tqdm>=4.66",
        "Jinja2>=3.1.4",
    ],
    extras_require={
        "timm": ["timm>=1.0.15"],
        "tiff": ["tifffile>=2024.8.10"],
        "albumentations": ["albumentations>=2.0,<3"],  # under MIT; its successor AlbumentationsX is under the AGPL
        "wandb": ["wandb>=0.17"],
        "mlflow": ["mlflow-skinny>=2.14"],
        "onnx": ONNX,
        "dev": [
            "pytest>=8.2",
            "setuptools>=77",  # the tests build a wheel
            "hypothesis>=6.100",
            "ruff>=0.17,<0.18",  # each minor version formats a little differently
            "mypy>=2.4,<2.5",
            "import-linter>=2.3",
            "pre-commit>=3.7",
            "timm>=1.0.15",
            "tifffile>=2024.8.10",
            "albumentations>=2.0,<3",
            *ONNX,
            "types-PyYAML",
            "types-tabulate",
            "types-tqdm",
        ],
    },
    entry_points={"console_scripts": ["dettoolkit = dettoolkit.cli.main:main"]},
)
