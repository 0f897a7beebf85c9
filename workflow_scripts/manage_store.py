"""List, verify or prune the store of finished GPU work.

    python workflow_scripts/manage_store.py list
    python workflow_scripts/manage_store.py verify [--repair]
    python workflow_scripts/manage_store.py prune --keep config/config.yaml [more configs]
        [--forget STUDY ...] [--yes]

Run it in the repository's root while no workflow is running.
"""

import argparse
import sys

from persona_geometry.errors import InputError
from persona_geometry.store.maintenance import (
    inventory,
    prune,
    repair,
    studies_beside,
    verify,
)
from persona_geometry.store.store import Store
from persona_geometry.study.config import read_study
from persona_geometry.study.config_files import read_config
from persona_geometry.study.recipes import fingerprint, items


def command_line() -> argparse.ArgumentParser:
    """What the command line may say."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", default="results/store", help="folder of the store")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="count files and bytes")
    verifying = commands.add_parser("verify", help="read everything against its checksum")
    verifying.add_argument("--repair", action="store_true", help="remove what is damaged")
    pruning = commands.add_parser("prune", help="remove what no named study uses")
    pruning.add_argument("--keep", nargs="+", required=True, metavar="CONFIG")
    pruning.add_argument(
        "--forget", nargs="+", default=[], metavar="STUDY", help="studies that may lose theirs"
    )
    pruning.add_argument("--yes", action="store_true", help="really remove")
    return parser


def main() -> int:
    arguments = command_line().parse_args()
    store = Store(arguments.store)
    if not store.root.is_dir():
        raise InputError(f"There is no store at {store.root}; run this in the repository's root.")
    return globals()[f"_{arguments.command}"](store, arguments)


def _list(store: Store, _arguments: argparse.Namespace) -> int:
    for kind, (files, size) in inventory(store).items():
        print(f"{kind:12}{files:>10,} files{size / 1e6:>14,.1f} MB")
    return 0


def _verify(store: Store, arguments: argparse.Namespace) -> int:
    found = verify(store)
    for what, paths in {
        "damaged": found.damaged,
        "certifies what is not there": found.broken_receipts,
        "waits for its response": found.without_response,
        "left half written": found.temporary,
    }.items():
        for path in paths:
            print(f"{what}: {path}")
    if arguments.repair:
        print(f"{found.checked:,} files read, {repair(found)} removed")
        return 0
    print(f"{found.checked:,} files read, {found.bad} bad")
    return 1 if found.bad else 0


def _prune(store: Store, arguments: argparse.Namespace) -> int:
    studies = [read_study(read_config(path), source=path) for path in arguments.keep]
    named = {study.name for study in studies} | set(arguments.forget)
    unnamed = sorted(studies_beside(store) - named)
    if unnamed:
        sentence = (
            f"{store.root.parent} has results of {', '.join(unnamed)}, which --keep does not "
            f"name: add their configs to --keep, or name them with --forget."
        )
        if arguments.yes:
            raise InputError(sentence)
        print(sentence)
    keep = [
        item
        for study in studies
        if study.needs_model
        for item in items(study, fingerprint(study, store.models))
    ]
    files, size = prune(store, keep, dry_run=not arguments.yes)
    verb = "removed" if arguments.yes else "would be removed (add --yes)"
    print(f"{files:,} files, {size / 1e6:,.1f} MB {verb}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InputError as error:
        sys.exit(f"Error: {error}")
