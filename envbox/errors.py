"""Errors a person meets, as one tree. Anything else that reaches the front end is a bug of ours (status 70).

EnvboxError
├── UserError (1)             the input asks for what cannot be
│   ├── ProjectNotFound       EB-PROJECT    no envbox.toml here or above
│   ├── SpecInvalid           EB-SPEC       envbox.toml has problems, all of them listed
│   ├── LockInvalid           EB-LOCK       envbox.lock cannot be read
│   ├── LockStale             EB-STALE      envbox.toml and envbox.lock disagree
│   ├── UnknownPackage        EB-PACKAGE    the distribution has no such package or version
│   ├── Unsatisfiable         EB-CONFLICT   the solver found no solution; its reason follows
│   ├── BuildFailed           EB-BUILD      a build step failed; its last lines follow
│   └── CommandNotStarted     EB-COMMAND    the command cannot be started in the environment
├── HostError (2)             the host or the network does not allow it
│   ├── NetworkFailed         EB-NETWORK    a download failed after every retry
│   ├── NamespacesDenied      EB-USERNS     the host forbids unprivileged user namespaces
│   ├── SandboxFailed         EB-SANDBOX    a step of the isolation failed
│   └── StoreFailed           EB-STORE      the store is full, read-only or not ours
└── PromiseBroken (3)         something is not what it was promised to be
    ├── SignatureInvalid      EB-SIGNATURE  an archive's signature or its validity
    ├── ArtifactMismatch      EB-ARTIFACT   a download has other bytes than promised
    ├── ArtifactHostile       EB-HOSTILE    an artifact tries to leave its root
    ├── LayerDamaged          EB-DAMAGED    the store is not what it was; the paths follow
    └── DigestMismatch        EB-DIGEST     a layer does not reproduce; the differing files follow
"""

from __future__ import annotations


class EnvboxError(Exception):
    """What is wrong and where (`message`), what mends it (`hint`), a documented `code`, an `exit_status`."""

    code = "EB-ERROR"
    exit_status = 70

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UserError(EnvboxError):
    """The input asks for what cannot be."""

    exit_status = 1


class ProjectNotFound(UserError):
    """No envbox.toml in this folder or any above it."""

    code = "EB-PROJECT"


class SpecInvalid(UserError):
    """envbox.toml has problems; the message lists every one with line and key."""

    code = "EB-SPEC"


class LockInvalid(UserError):
    """envbox.lock cannot be read, or was written by a newer envbox or for another architecture."""

    code = "EB-LOCK"


class LockStale(UserError):
    """envbox.toml and envbox.lock disagree; the message names what changed."""

    code = "EB-STALE"


class UnknownPackage(UserError):
    """The distribution or the index has no such package, or not in that version."""

    code = "EB-PACKAGE"


class Unsatisfiable(UserError):
    """The solver found no solution; the message carries its reason."""

    code = "EB-CONFLICT"


class BuildFailed(UserError):
    """A build step failed; the message ends with its last lines and where the whole log is."""

    code = "EB-BUILD"


class CommandNotStarted(UserError):
    """The command cannot be started in the environment, or is not one that envbox knows."""

    code = "EB-COMMAND"


class HostError(EnvboxError):
    """The host or the network does not allow what is needed."""

    exit_status = 2


class NetworkFailed(HostError):
    """A download failed after every retry; the message names the host and the last reason."""

    code = "EB-NETWORK"


class NamespacesDenied(HostError):
    """The host forbids unprivileged user namespaces; the hint names the setting."""

    code = "EB-USERNS"


class SandboxFailed(HostError):
    """A step of the isolation failed; the message names the step, its target and the kernel's reason."""

    code = "EB-SANDBOX"


class StoreFailed(HostError):
    """The store is full, read-only, or not this user's."""

    code = "EB-STORE"


class PromiseBroken(EnvboxError):
    """Something is not what it was promised to be."""

    exit_status = 3


class SignatureInvalid(PromiseBroken):
    """An archive's signature is missing, wrong, by an unknown key, or the archive has expired."""

    code = "EB-SIGNATURE"


class ArtifactMismatch(PromiseBroken):
    """A download has other bytes than the lock or the signed index promised, from every source."""

    code = "EB-ARTIFACT"


class ArtifactHostile(PromiseBroken):
    """An artifact is malformed, or tries to write outside the root file system it is unpacked into."""

    code = "EB-HOSTILE"


class LayerDamaged(PromiseBroken):
    """A layer, package tree or artifact in the store is not what it was; the message names the paths."""

    code = "EB-DAMAGED"


class DigestMismatch(PromiseBroken):
    """A layer did not reproduce its recorded digest; the message names the files that differ."""

    code = "EB-DIGEST"
