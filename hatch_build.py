"""Put the SBOM that ``tools/dist.py`` made into the wheel (PEP 770); other builds have none."""

from __future__ import annotations

import os
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class AddSBOM(BuildHookInterface):  # type: ignore[type-arg]  # hatchling's own type of a configuration
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name == "wheel" and (sbom := os.environ.get("FLUIDAUTH_SBOM")):
            build_data["sbom_files"].append(sbom)
