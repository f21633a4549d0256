"""A rotation under load, step by step, and whether it kept its promises.

    make rotation-drill                    as operators would do it: processes look every 5 s
    make rotation-drill ARGS="--interval 1 --clients 100"

Ends with 1 if a promise was broken.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.drill import WORKERS, Drill, Report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--interval", type=float, default=5.0, help="seconds between two looks at the keyring"
    )
    parser.add_argument("--clients", type=int, default=200)
    options = parser.parse_args()
    if options.clients < 20 or not 0.1 <= options.interval <= 60:
        parser.error("at least 20 clients, and an interval from 0.1 to 60 seconds")
    start = time.monotonic()

    def tell(step: str) -> None:
        print(f"{time.monotonic() - start:6.1f} s  {step}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        report = Drill(Path(folder), options.interval, options.clients, tell).run()
    tell(f"{report.requests} requests while the first rotation ran")
    promises = judged(report)
    for what, figure, kept in promises:
        print(f"{'ok' if kept else 'BROKEN':7} {what}: {figure}")
    for problem in [*report.failures, *report.leaked_alive, *report.signing_leak_alive][:20]:
        print(f"        {problem}")
    return int(not all(kept for _, _, kept in promises))


def judged(report: Report) -> list[tuple[str, str, bool]]:
    """Return each promise, what was found, and whether it was kept."""
    return [
        ("failed requests", str(len(report.failures)), not report.failures and report.requests > 0),
        (
            "idle clients that came back, still signed in",
            f"{report.returned} of {report.expected}",
            report.returned == report.expected,
        ),
        (
            "logged out, as revoke --dry-run announced",
            f"{report.logged_out}, announced {report.announced}, stayed away {report.silent}",
            report.logged_out == report.announced == report.silent,
        ),
        (
            "active clients with cookie and row under the new key",
            f"{report.under_new} of {report.active}",
            report.under_new == report.active,
        ),
        ("acknowledged changes that were lost", str(report.lost), report.lost == 0),
        (
            "sessions of a leaked key alive after the interval",
            str(len(report.leaked_alive)),
            not report.leaked_alive,
        ),
        (
            "sessions of another key alive after it",
            f"{report.spared} of {report.others}",
            report.spared == report.others,
        ),
        (
            "sessions of a leaked signing key alive after the interval",
            str(len(report.signing_leak_alive)),
            not report.signing_leak_alive,
        ),
        ("worker processes asked", f"{len(report.probed)} of {WORKERS}", len(report.probed) == WORKERS),
        ("a login under the key that took its place", "yes" if report.new_login else "no", report.new_login),
    ]


if __name__ == "__main__":
    sys.exit(main())
