"""The tables of config/README.md, written from the schema.

    python -m persona_geometry.study.reference

A table stands between <!-- keys: SECTION --> and <!-- end -->; without a section it is that of the
keys at the top level.
"""

import json
import re
from pathlib import Path
from typing import Any

from persona_geometry.files import write_text
from persona_geometry.study.sections import SCHEMA, keys, schema

README = SCHEMA.parents[1] / "README.md"
TABLE = re.compile(r"(<!-- keys(?:: (\w+))? -->\n).*?(<!-- end -->)", re.DOTALL)


def table(section: str | None) -> str:
    """The keys of a section, or those at the top level that are no section, as Markdown."""
    if section:
        described = keys(section)
    else:
        whole = schema()["properties"]
        described = {key: one for key, one in whole.items() if one["type"] != "object"}
    rows = [
        f"| `{key}` | {_default(one)} | {one['description']} |\n" for key, one in described.items()
    ]
    return "| key | default | meaning |\n|---|---|---|\n" + "".join(rows)


def with_tables(text: str) -> str:
    """A text with the schema's tables between its markers."""
    return TABLE.sub(lambda found: found[1] + table(found[2]) + found[3], text)


def _default(key: dict[str, Any]) -> str:
    if "default" not in key:
        return ""
    default = key["default"]
    return f"`{default}`" if isinstance(default, str) else json.dumps(default)


def main(path: Path = README) -> None:
    """Write the tables anew."""
    write_text(path, with_tables(path.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
