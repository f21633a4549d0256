"""The colours of every picture, on a light page and on a dark one: greys, and one accent."""

from __future__ import annotations

LIGHT = {
    "card": "#ffffff",
    "edge": "#d0d7de",
    "ink": "#1f2328",
    "muted": "#57606a",
    "soft": "#f3f5f8",
    "line": "#7d8590",
    "accent": "#0b5cad",
    "tint": "#e4effb",
    "over": "#ffffff",
}
DARK = {
    "card": "#161b22",
    "edge": "#3d444d",
    "ink": "#e6edf3",
    "muted": "#a3adb8",
    "soft": "#222932",
    "line": "#7d8793",
    "accent": "#79b8ff",
    "tint": "#13304f",
    "over": "#0d1117",
}
TEXTS = (
    ("ink", "card"),
    ("muted", "card"),
    ("accent", "card"),
    ("ink", "soft"),
    ("muted", "soft"),
    ("ink", "tint"),
    ("muted", "tint"),
    ("accent", "tint"),
    ("over", "accent"),
)
"""Each colour of text, and what it stands on."""

FONT = 'system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif'
MONO = "ui-monospace,SFMono-Regular,Menlo,Consolas,monospace"


def variables() -> str:
    """Return the CSS that sets each colour, for both kinds of page."""
    light, dark = (
        ";".join(f"--{name}:{value}" for name, value in colours.items()) for colours in (LIGHT, DARK)
    )
    return f"svg{{{light}}}@media(prefers-color-scheme:dark){{svg{{{dark}}}}}"


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours by WCAG 2, from 1 to 21; text needs 4.5."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
