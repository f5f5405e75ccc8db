"""Turns the keys of a ring in every copy of it: `python -m client_invoices.rings FOLDER show|add|use|retire RING [KEY]`.

FOLDER holds one folder for each service, as `make up` makes it. What each step is for is in docs/operating.md, “Keys and rings”.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from client_invoices.installation import RESTS, RINGS
from common import keys
from common.clock import utc_now
from common.crypto import BadRing


def main(arguments: Sequence[str]) -> int:
    """0 when the step is done; 1 with a sentence that says what is in its way."""
    parser = argparse.ArgumentParser(prog="python -m client_invoices.rings", description=__doc__)
    parser.add_argument("folder", type=Path, help="the folder of all keys, such as .local/keys")
    parser.add_argument("step", choices=["show", "add", "use", "retire"])
    parser.add_argument("ring", choices=sorted(RINGS))
    parser.add_argument("key", nargs="?", help="for use and retire, such as k2")
    chosen = parser.parse_args(arguments)
    if chosen.step in ("use", "retire") and not chosen.key:
        parser.error(f"{chosen.step} needs the key")
    try:
        for line in _step(chosen.step, copies(chosen.folder, chosen.ring), chosen.ring, chosen.key):
            sys.stdout.write(f"{line}\n")
    except (keys.NotYet, BadRing) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def copies(folder: Path, ring: str) -> list[Path]:
    """Where the services that share a ring hold it."""
    return [folder / service / "rings" / f"{ring}.json" for service in RINGS[ring]]


def _step(step: str, held: list[Path], ring: str, key: str) -> list[str]:
    services = ", ".join(RINGS[ring])
    match step:
        case "add":
            return [f"{keys.add_key(held)} is known. Restart {services}, then use it."]
        case "use":
            keys.use_key(held, key, utc_now())
            return [f"{key} is primary. Restart {services}." + (" Then: python -m auth rotate" if ring not in RESTS else "")]
        case "retire" if ring not in RESTS:
            raise keys.NotYet(f"Whether {key} is needed is counted where it is used: python -m auth retire {key}")
        case "retire":
            return [f"{key} is {keys.retire_key(held, key, utc_now(), rests=RESTS[ring])}. Restart {services}."]
    return [f"{path.parent.parent.name:<12} {_keys_of(each)}" for path, each in zip(held, keys.read_rings(held), strict=True)]


def _keys_of(ring: keys.Ring) -> str:
    return ", ".join(
        f"{entry['id']} {entry['state']}" + (f" since {entry['retired']}" if "retired" in entry else "") for entry in ring["keys"]
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
