"""Proposals: masks that a search offers and nobody accepted yet, found on cached embeddings."""

from .everything import Everything
from .like import Like
from .phrase import Phrase
from .proposal import Proposal, Proposals
from .query import Query, Search, query_key
from .tiled import InRegion

__all__ = ["Everything", "InRegion", "Like", "Phrase", "Proposal", "Proposals", "Query", "Search", "query_key"]
