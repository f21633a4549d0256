from __future__ import annotations

from . import FOLDER, PICTURES

for name, draw in PICTURES.items():
    (FOLDER / f"{name}.svg").write_text(draw(), "utf-8")
