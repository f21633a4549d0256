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

from fluidauth.keys.follower import RELOAD_INTERVAL
from harness.drill import WATCHED, WORKERS, Drill, Leak, Report

FEWEST = 5 * WATCHED  # so that some of the clients of each leak are not watched
SHOWN = 20  # problems printed in full

Promise = tuple[str, str, bool]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--interval",
        type=float,
        default=RELOAD_INTERVAL,
        help="seconds between two looks of a process at the keyring (%(default)s)",
    )
    parser.add_argument("--clients", type=int, default=200, help="how many are signed in (%(default)s)")
    options = parser.parse_args()
    if options.clients < FEWEST or not 0.1 <= options.interval <= 60:
        parser.error(f"at least {FEWEST} clients, and an interval from 0.1 to 60 seconds")
    start = time.monotonic()

    def tell(step: str) -> None:
        print(f"{time.monotonic() - start:6.1f} s  {step}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        report = Drill(Path(folder), options.interval, options.clients, tell).run()
    promises = judged(report, options.interval)
    width = max(len(what) for what, _, _ in promises)
    print(f"\n{'promise':{width}}  {'verdict':7}  figure")
    for what, figure, is_kept in promises:
        print(f"{what:{width}}  {'kept' if is_kept else 'BROKEN':7}  {figure}")
    for problem in [*report.failures, *report.former.alive, *report.signing.alive][:SHOWN]:
        print(f"  {problem}")
    return int(not all(is_kept for _, _, is_kept in promises))


def judged(report: Report, interval: float) -> list[Promise]:
    """Return each promise, what was found, and whether it was kept."""
    return [
        (
            "no request fails",
            f"{len(report.failures)} of {report.requests}",
            not report.failures and report.requests > 0,
        ),
        (
            "idle clients that come back are signed in",
            f"{report.returned} of {report.expected}",
            report.returned == report.expected,
        ),
        (
            "only those are logged out that were announced",
            f"{report.logged_out} logged out, {report.announced} announced, {report.silent} stayed away",
            report.logged_out == report.announced == report.silent and not report.payloads,
        ),
        (
            "active clients: cookie and row under the new key",
            f"{report.under_new} of {report.active}",
            report.under_new == report.active,
        ),
        ("no acknowledged change is lost", f"{report.lost} lost", not report.lost),
        ("a leaked key is dead within the interval", *over(report.former, interval)),
        (
            "sessions of another key live on",
            f"{report.spared} of {report.others}",
            report.spared == report.others,
        ),
        ("a leaked signing key is dead within the interval", *over(report.signing, interval)),
        ("a login works under the key in its place", "yes" if report.new_login else "no", report.new_login),
    ]


def over(leak: Leak, interval: float) -> tuple[str, bool]:
    """Return what a leak came to, and whether it was over in time wherever it was felt."""
    figure = (
        f"alive in {leak.before} processes before, last for {leak.lasted:.2f} of {interval:g} s; "
        f"{len(leak.alive)} alive in {leak.after} processes after"
    )
    return figure, not leak.alive and leak.before == leak.after == WORKERS


if __name__ == "__main__":
    sys.exit(main())
