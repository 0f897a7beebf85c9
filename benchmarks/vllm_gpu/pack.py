"""Pack vLLM 0.26.0 for a GPU machine without a network, in pieces that can be carried to it.

    python benchmarks/vllm_gpu/pack.py FOLDER [--python 3.12] [--piece-mb 50]

What generating text on a GPU of compute capability 9.0 does not need is left out, which makes some
150 MB of 340. README.md beside this says what to do with the pieces.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
GLIBC = (17, 24, 26, 27, 28, 31)
LEFT_OUT = (
    "vllm/vllm_flash_attn/_vllm_fa2_C.abi3.so",  # FlashAttention 2: 3 is used
    "vllm/_moe_C_stable_libtorch.abi3.so",  # mixtures of experts
    "vllm/vllm-rs",  # a server
    "vllm/third_party/fmha_sm100",  # later GPUs
    "vllm/third_party/deep_gemm/include",  # 8-bit products
    "bin",
)


def install(folder: Path, python: str) -> None:
    """Install the packages for another Python and Linux x86_64 into a folder."""
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-compile"]
    command += ["--only-binary=:all:", "--python-version", python, "--target", str(folder)]
    for platform in ["manylinux2014", *(f"manylinux_2_{minor}" for minor in GLIBC)]:
        command += ["--platform", f"{platform}_x86_64"]
    subprocess.run([*command, "-r", str(REQUIREMENTS)], check=True)
    for path in map(folder.joinpath, LEFT_OUT):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def split(archive: Path, folder: Path, size: int) -> list[Path]:
    """Cut a file into numbered pieces of at most so many bytes."""
    content = archive.read_bytes()
    pieces = []
    for number, start in enumerate(range(0, len(content), size)):
        pieces.append(folder / f"vllm.zip.{number:02}")
        pieces[-1].write_bytes(content[start : start + size])
    return pieces


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", default="3.12")
    parser.add_argument("--piece-mb", type=int, default=50)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        packages = Path(scratch) / "packages"
        install(packages, arguments.python)
        archive = Path(shutil.make_archive(str(Path(scratch) / "vllm"), "zip", packages))
        for piece in split(archive, arguments.folder, arguments.piece_mb * 1_000_000):
            print(f"{piece} ({piece.stat().st_size / 1e6:.0f} MB)")


if __name__ == "__main__":
    main()
