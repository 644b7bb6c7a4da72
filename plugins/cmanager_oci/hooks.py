"""Which OCI hook a program means that tells of "hook #0" alone."""

from __future__ import annotations

import re
from typing import Any

from cmanager.errors import CmanagerError

#: Kinds by the verb that runs them; newer programs name the kind too.
KINDS = {"create": ("prestart", "createRuntime", "createContainer"), "start": ("startContainer", "poststart")}


def named(error: CmanagerError, verb: str, hooks: dict[str, Any]) -> CmanagerError:
    """The error, with the kind and program of the hook that it is about; hooks: of config.json."""
    text = str(error)
    found = re.search(r"hook #(\d+)", text)
    if not found:
        return error
    number = int(found[1])
    kinds = [kind for kind in KINDS[verb] if number < len(hooks.get(kind, ()))]
    kinds = [kind for kind in kinds if re.search(rf"\b{kind}\b", text, re.IGNORECASE)] or kinds
    names = " or ".join(f"{kind} hook {hooks[kind][number]['path']}" for kind in kinds)
    return CmanagerError(f"{text} ({names})") if names else error
