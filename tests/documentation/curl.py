"""A stand-in for curl with the options that the pages use: ``-s -i -b -c -d -X -H``.

A machine may lack curl. Cookies are kept and sent as curl does; see ``shell.py`` for the ports.
"""

from __future__ import annotations

import argparse
import http.cookiejar
import json
import os
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path


class StayHere(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """Follow no redirect, as curl does not."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("-s", action="store_true")
    parser.add_argument("-i", action="store_true", dest="head")
    parser.add_argument("-b", dest="cookies")
    parser.add_argument("-c", dest="keep")
    parser.add_argument("-d", dest="data", action="append")
    parser.add_argument("-X", dest="method")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("url")
    given = parser.parse_args()
    jar = http.cookiejar.MozillaCookieJar(policy=http.cookiejar.DefaultCookiePolicy(rfc2965=False))
    if given.cookies and Path(given.cookies).exists():
        jar.load(given.cookies, ignore_discard=True)
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(jar), StayHere
    )
    data = "&".join(given.data).encode() if given.data else None
    request = urllib.request.Request(real(given.url), data=data, method=given.method)
    for header in given.headers:
        name, _, value = header.partition(":")
        request.add_header(name, value.strip())
    if given.cookies and "=" in given.cookies:
        request.add_header("Cookie", given.cookies)
    try:
        response = opener.open(request)
    except urllib.error.HTTPError as error:
        response = error
    if given.head:
        print(f"HTTP/1.1 {response.status} {response.reason}")
        print("\n".join(f"{name}: {value}" for name, value in response.headers.items()), end="\n\n")
    sys.stdout.write(response.read().decode())
    if given.keep:
        jar.save(given.keep, ignore_discard=True)


def real(url: str) -> str:
    """Return *url* with the port on which the page's server really listens."""
    url = url if "://" in url else f"http://{url}"
    ports = json.loads(os.environ["DOCS_PORTS"])
    return re.sub(r"(?<=localhost):(\d+)", lambda match: f":{ports.get(match[1], match[1])}", url)


if __name__ == "__main__":
    main()
