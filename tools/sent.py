"""What Chromium says of where a request comes from: print it as a table, or put it where the tests have it.

``python -m tools.sent`` prints it; with ``--write`` it becomes what tests/browser expects.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from harness import ROOT
from harness.browser import browsing
from harness.origins import make_certificate, serving_pages
from harness.ways import table_of_sent


def main(arguments: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        certificate = make_certificate(Path(folder))
        with (
            serving_pages(certificate) as secure,
            serving_pages() as plain,
            browsing(certificate.pin) as chromium,
        ):
            table = table_of_sent(chromium, secure, plain)
    print(table, end="")
    if arguments == ["--write"]:
        (ROOT / "tests" / "browser" / "sent.txt").write_text(table, "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
