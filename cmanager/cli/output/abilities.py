"""The capability table of the runtimes."""

from __future__ import annotations

from typing import Any

from ...engine.abilities import Ability


def document(abilities: list[Ability]) -> dict[str, dict[str, Any]]:
    """By the runtime's name, in the spelling of `info`."""
    return {ability.name: _entry(ability) for ability in abilities}


def lines(abilities: list[Ability]) -> list[str]:
    """For people: a line for each runtime, its notes and warnings below it."""
    found = []
    for ability in abilities:
        if ability.features is None:
            found.append(f"{ability.name}: does not work: {ability.error}")
            continue
        version = f" ({ability.features.version})" if ability.features.version else ""
        found.append(f"{ability.name}{version}: {lacking(ability)}")
        found += [f"  {text}" for text in (*ability.features.notes, *ability.features.warnings)]
    return found


def lacking(ability: Ability) -> str:
    """ "everything", or everything but what it lacks."""
    return f"all but {', '.join(ability.lacks)}" if ability.lacks else "everything"


def _entry(ability: Ability) -> dict[str, Any]:
    features = ability.features
    return {
        "Version": features.version if features else "",
        "Namespaces": list(features.namespaces) if features else [],
        "Options": list(features.options) if features else [],
        "Exec": ability.exec,
        "Lacks": list(ability.lacks),
        "Notes": list(features.notes) if features else [],
        "Warnings": list(features.warnings) if features else [],
        "Error": ability.error,
    }
