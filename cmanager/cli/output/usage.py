"""What a container has used, told after its end."""

from __future__ import annotations

from typing import Any

from ...model import Usage
from ...model.codec import to_data
from .human import binary_size, size

_WORDS = {"io": "IO", "oom": "OOM", "ooms": "OOMs"}


def described(usage: Usage) -> dict[str, Any]:
    """Every counter, in the spelling of `inspect`: "CpuSeconds"; null where the host does not offer it."""
    found: dict[str, Any] = _spelled(to_data(usage))
    return found


def summary(usage: Usage) -> str:
    """ "1.20 s CPU, 12.5MiB memory at most, …", one line of what is known."""
    parts = []
    if usage.cpu_seconds is not None:
        parts.append(f"{usage.cpu_seconds:.2f} s CPU")
    if usage.cpu_throttled_periods:
        parts.append(f"held back in {usage.cpu_throttled_periods} of {usage.cpu_periods} periods")
    if usage.memory_peak_bytes is not None:
        parts.append(f"{binary_size(usage.memory_peak_bytes)} memory at most")
    if usage.oom_kills:
        parts.append(f"{usage.oom_kills} killed for memory")
    if usage.block_io is not None:
        read, written = (sum(getattr(b, name) for b in usage.block_io) for name in ("read_bytes", "written_bytes"))
        parts.append(f"{size(read)} read and {size(written)} written")
    if usage.network is not None:
        received, sent = (sum(getattr(t, name) for t in usage.network) for name in ("received_bytes", "sent_bytes"))
        parts.append(f"{size(received)} received and {size(sent)} sent")
    if usage.pids_peak is not None:
        parts.append(f"{usage.pids_peak} {'process' if usage.pids_peak == 1 else 'processes'} at most")
    return ", ".join(parts) or "nothing was counted"


def _spelled(data: Any) -> Any:
    if isinstance(data, dict):
        return {"".join(map(_word, key.split("_"))): _spelled(value) for key, value in data.items()}
    return [_spelled(item) for item in data] if isinstance(data, list) else data


def _word(word: str) -> str:
    return _WORDS.get(word, word.capitalize())
