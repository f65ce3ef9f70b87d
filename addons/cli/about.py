"""`settings` and `ca`: what this wiretape is made of."""

from __future__ import annotations

from addons.certificates import authority
from addons.cli import output
from config import Loaded, Settings

_WIDE = 120


def settings(loaded: Loaded, *, as_json: bool) -> int:
    """Print every setting with its value and where it comes from."""
    rows = loaded.rows()
    if as_json:
        output.as_json([row._asdict() for row in rows])
    else:
        # On a narrow terminal the meanings would leave no room for the values.
        columns = ("setting", "value", "from", "meaning")[: 4 if output.console().width >= _WIDE else 3]
        output.table(columns, [row[: len(columns)] for row in rows], folded=columns[1:])
    return 0


def ca(settings: Settings, *, as_json: bool) -> int:
    """Print where our certificate authority is and how to trust it."""
    ours = authority(settings.home)
    facts = {
        "certificate": str(ours.certificate_path),
        "sha256": ours.fingerprint(),
        "expires": f"{ours.expires:%Y-%m-%d}",
    }
    if as_json:
        output.as_json(facts)
        return 0
    for name, value in facts.items():
        print(f"{name:<12} {value}")
    print(
        "\nrun.py exec -- COMMAND trusts it for one command, and run.py prints what to type for one shell."
        "\nNothing on this machine trusts it otherwise: the system's trust store is never touched."
        f"\nFor a program with a setting of its own: curl --cacert {ours.certificate_path} …"
    )
    return 0
