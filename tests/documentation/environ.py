"""Keep the environment of a command for the next one of its page."""

import json
import os
from pathlib import Path

if __name__ == "__main__":
    Path(os.environ["DOCS_ENVIRON"]).write_text(json.dumps(dict(os.environ)), "utf-8")
