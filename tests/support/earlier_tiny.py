"""Where the weights of the earlier embedded model lie."""

from __future__ import annotations

from pathlib import Path

EARLIER_TINY = Path(__file__).parents[2] / "training" / "earlier_weights" / "tiny.safetensors"
"""They shipped until version 0.2; a session opens them by this file."""
