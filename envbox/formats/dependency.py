"""Relations between packages (Debian Policy 7.1): `a (>= 1), b | c [amd64], d:any <!nocheck>`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from envbox.errors import ArtifactHostile
from envbox.formats import debian_version

_RELATION = re.compile(
    r"""(?P<name>[a-zA-Z0-9][a-zA-Z0-9+.-]*)
        (?::(?P<qualifier>[a-z0-9-]+))?
        [ ]?(?:\([ ]?(?P<operator><<|<=|>=|>>|=|<|>)[ ]?(?P<version>[^ ()<>=]+)[ ]?\))?
        [ ]?(?:\[(?P<architectures>[^\]]*)\])?
        [ ]?(?P<profiles>(?:<[^<>]*>[ ]?)*)""",
    re.VERBOSE,
)
_PROFILES = re.compile(r"<([^<>]*)>")
_OBSOLETE = {"<": "<=", ">": ">="}


@dataclass(frozen=True)
class Relation:
    """One alternative: a package, and what its version must be. `operator` and `version` are empty for any.

    `qualifier` is what follows the colon: `any`, `native`, an architecture, or empty.
    """

    name: str
    operator: str = ""
    version: str = ""
    qualifier: str = ""

    def satisfied_by(self, version: str) -> bool:
        """True if a package of this name in `version` is what is asked for."""
        if not self.operator:
            return True
        order = debian_version.compare(version, self.version)
        return {"<<": order < 0, "<=": order <= 0, "=": order == 0, ">=": order >= 0, ">>": order > 0}[self.operator]


def parse(text: str, architecture: str) -> tuple[tuple[Relation, ...], ...]:
    """All of these, each by any of its alternatives, as they apply to `architecture` with no build profile.

    A clause that does not apply there is left out. Raises ArtifactHostile quoting what is malformed.
    """
    clauses = []
    for clause in text.split(","):
        if not clause.strip():
            continue
        parsed = [_relation(alternative, architecture) for alternative in clause.split("|")]
        relations = tuple(relation for relation in parsed if relation)
        if relations:
            clauses.append(relations)
    return tuple(clauses)


def _relation(text: str, architecture: str) -> Relation | None:
    spaced = " ".join(text.split())
    match = _RELATION.fullmatch(spaced)
    if not match:
        raise ArtifactHostile(f"{spaced!r} is not a relation to a package.")
    restrictions = match["architectures"]
    if restrictions is not None and not _applies(restrictions.split(), architecture):
        return None
    profiles = _PROFILES.findall(match["profiles"])
    if profiles and not any(all(term.startswith("!") for term in profile.split()) for profile in profiles):
        return None
    operator = match["operator"] or ""
    return Relation(match["name"], _OBSOLETE.get(operator, operator), match["version"] or "", match["qualifier"] or "")


def _applies(restrictions: list[str], architecture: str) -> bool:
    wanted = [name for name in restrictions if not name.startswith("!")]
    if wanted:
        return any(_matches(name, architecture) for name in wanted)
    return not any(_matches(name[1:], architecture) for name in restrictions)


def _matches(pattern: str, architecture: str) -> bool:
    # A name without a system is one of Linux; a wildcard may name the library, the system and the processor.
    parts = pattern.split("-")
    if parts == ["any"]:
        return True
    actual = ["gnu", "linux", architecture]
    padded = (["gnu", "linux"] if len(parts) == 1 else ["any"])[: 3 - len(parts)] + parts
    return len(padded) == 3 and all(part in {"any", own} for part, own in zip(padded, actual, strict=True))
