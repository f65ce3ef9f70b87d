"""What in an OpenAI-shaped request points at something only the provider's server holds."""

from __future__ import annotations

from typing import Any

REFERENCES = ("file_id", "file_ids", "vector_store_ids", "container_id", "skill_id", "knowledge_id")
"""Members that name uploaded files, search indexes, sandboxes and the like."""

# Schemas describe such members without holding one; citations and results only tell where a text came from.
_BESIDE = frozenset({"parameters", "input_schema", "output_schema", "schema", "arguments", "annotations", "results"})


def reference(value: Any) -> str | None:
    """The name of the first reference found anywhere in `value`, or None."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting.extend(reversed(item))
        elif isinstance(item, dict):
            found = next((name for name in REFERENCES if _names(item.get(name))), None)
            if found:
                return found
            if isinstance(item.get("container"), str):
                return "container"
            waiting.extend(member for name, member in item.items() if name not in _BESIDE)
    return None


def _names(value: Any) -> bool:
    """Whether `value` is an id or holds one."""
    if isinstance(value, list):
        return any(_names(item) for item in value)
    return isinstance(value, str) and bool(value)
