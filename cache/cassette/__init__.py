"""Replies and vectors as reviewable text files, for git."""

from __future__ import annotations

from cache.cassette.store import CassetteStore

__all__ = ["CassetteStore"]
