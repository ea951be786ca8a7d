"""Packaging: the root of the repository is the package ``steadyrank``."""

import re
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
VERSION = re.search(r'^__version__ = "(.+)"$', (HERE / "__init__.py").read_text(encoding="utf-8"), re.MULTILINE)[1]
SUBPACKAGES = find_packages(
    include=[pattern for name in ("pipeline", "models", "optimizers", "foundation") for pattern in (name, f"{name}.*")]
)


class BuildModules(build_py):
    """Excludes this file from the package, because it is in the package's folder."""

    def find_package_modules(self, package, package_dir):
        """Returns the modules of a package as (package, module, file)."""
        return [
            module
            for module in super().find_package_modules(package, package_dir)
            if module[:2] != ("steadyrank", "setup")
        ]


setup(
    name="steadyrank",
    version=VERSION,
    description="Train multitask ranking models that do not diverge, and prove it.",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.14",
    cmdclass={"build_py": BuildModules},
    package_dir={"steadyrank": "."},
    packages=["steadyrank", *(f"steadyrank.{name}" for name in SUBPACKAGES)],
    package_data={"steadyrank": ["py.typed"]},
    install_requires=[
        # TensorFlow and tf_keras must have the same minor version; otherwise the import fails.
        "tensorflow>=2.21,<2.22",
        "tf_keras>=2.21,<2.22",
        # TensorFlow installs it. It is listed because steadyrank.optimizers.keras3 imports it.
        "keras>=3.10,<4",
        "tensorflow-recommenders>=0.7.7,<0.8",
        "tensorflow-datasets>=4.9.10,<5",
        # tensorflow-datasets imports it without declaring it.
        "importlib_resources",
        "absl-py>=2.1",
        "wrapt>=1.14",
        "numpy>=1.26",
        "pyarrow>=15",
        "PyYAML>=6",
        "matplotlib>=3.8",
        "tensorboard>=2.20,<2.22",
    ],
    extras_require={
        "dev": [
            "pytest>=8",
            "pytest-xdist>=3.6",
            "hypothesis>=6.100",
            # steadyrank.optimizers.keras3 must also run on Keras 3's JAX backend.
            "jax>=0.6",
            # A local S3 server for the tests, which needs flask.
            "moto[s3]>=5",
            "flask",
            "flask-cors",
            "ruff>=0.12,<1",
            "mypy>=1.11",
            "types-PyYAML",
            "setuptools>=77",
            "wheel",
        ],
        "docs": ["mkdocs>=1.6,<2", "mkdocs-material>=9.6,<10", "mkdocstrings[python]>=0.29,<2"],
    },
)
