"""A zip file that is the same whenever the same files are put into it."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

from persona_geometry.files import write_atomically

EPOCH = (1980, 1, 1, 0, 0, 0)
UNIX, PLAIN_FILE = 3, 0o100644


def write_archive(path: str | Path, files: Mapping[str, bytes]) -> None:
    """Write files, by name, in the order of their names and without times."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system, entry.external_attr = UNIX, PLAIN_FILE << 16
            archive.writestr(entry, files[name], zipfile.ZIP_DEFLATED, 9)
    write_atomically(path, stream.getvalue())
