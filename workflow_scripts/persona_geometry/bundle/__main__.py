"""Check an unpacked bundle, and compute its statistics again from its matrices.

python -m persona_geometry.bundle FOLDER
"""

import argparse

from persona_geometry.bundle.recompute import check_files, recompute
from persona_geometry.errors import InputError


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m persona_geometry.bundle", description=__doc__.splitlines()[0]
    )
    parser.add_argument("folder", help="the bundle, unpacked")
    folder = parser.parse_args().folder
    try:
        print(f"{check_files(folder)} files are as bundled.")
        found = recompute(folder)
    except InputError as error:
        raise SystemExit(f"Error: {error}") from None
    for layer, rho in found.alignment["layer_curve"].items():
        print(f"layer {layer}: ρ = {rho['spearman']:.6f}")
    if found.differing:
        raise SystemExit(
            f"{len(found.differing)} values differ from alignment.json, the first at "
            f"{found.differing[0]}; with the versions of pins/ they should not."
        )
    print(f"{found.equal} values of alignment.json were computed again and are equal.")


main()
