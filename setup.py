"""Packaging: the root of the repository is the package ``steadyrank``."""

from setuptools import find_packages, setup

ROOMS = find_packages(include=["pipeline", "pipeline.*", "models", "models.*", "optimizers", "optimizers.*"])

setup(
    name="steadyrank",
    version="0.1.0",
    description="Training multitask rankers that do not diverge, and proof of it.",
    long_description=open("README.md", encoding="utf-8").read(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.14",
    package_dir={"steadyrank": "."},
    packages=["steadyrank", *(f"steadyrank.{room}" for room in ROOMS)],
    package_data={"steadyrank": ["py.typed"]},
    install_requires=[
        # TensorFlow and tf_keras carry the same minor version: one without the other does not import.
        "tensorflow>=2.21,<2.22",
        "tf_keras>=2.21,<2.22",
        "tensorflow-recommenders>=0.7.7,<0.8",
        "tensorflow-datasets>=4.9.10,<5",
        # tensorflow-datasets imports it and does not declare it.
        "importlib_resources",
        "absl-py>=2.1",
        "numpy>=1.26",
        "PyYAML>=6",
        "matplotlib>=3.8",
        "tensorboard>=2.20,<2.22",
    ],
    extras_require={
        "dev": [
            "pytest>=8",
            "hypothesis>=6.100",
            "ruff>=0.12,<1",
            "mypy>=1.11",
            "types-PyYAML",
            "setuptools>=77",
            "wheel",
        ],
    },
)
