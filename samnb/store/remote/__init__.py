"""Remote tiers of the embedding cache: stores that several machines share."""

from .protocol import Tier, TierStats
from .tiers import CLOSE_TIMEOUT, TIMEOUT, RemoteTiers, open_tiers

__all__ = ["CLOSE_TIMEOUT", "TIMEOUT", "RemoteTiers", "Tier", "TierStats", "open_tiers"]
