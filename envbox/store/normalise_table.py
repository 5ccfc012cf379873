"""The one table of files that a build leaves behind by accident: random, dated, or in the order of a file system.

Rows follow the survey of what breaks reproducibility in Debian root file systems. What is cured where it arises has
no row: umask, names, clock, zone, language, host name and kernel of builds are those of envbox.build_sandbox, and
caches that their own tools must write anew are those of envbox.managers.apt.settling.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from envbox.formats import jks, listings

if TYPE_CHECKING:
    from collections.abc import Callable


class Row(NamedTuple):
    """What becomes of the paths that `pattern` names, a shell pattern whose wildcards cross no folder.

    `content` gives a file's new content from the old one and the epoch; None removes file, folder or link.
    With `link`, only symbolic links are meant, and only those whose text this pattern names.
    """

    pattern: str
    reason: str
    content: Callable[[bytes, int], bytes] | None = None
    link: str = ""


def _nothing(_content: bytes, _epoch: int) -> bytes:
    return b""


def _redated(content: bytes, epoch: int) -> bytes:
    return jks.with_date(content, epoch) or content


_BEFORE = "the state before the last change, which depends on what was changed last"
_LOCK = "a lock file, there if some program took the lock"
_UNSORTED = "in the order of the file system"
_DATED = "says when something was done"
_SECRET = "a private key that every copy of the environment would share"  # noqa: S105 - a reason, not a secret
_OWN = "an identity of one machine"
_DATA = "the first data folder of a server, with keys, passwords and identities: whoever runs one makes their own"
_KEPT = "what tools keep for later"
_SCRATCH = "of a running system only"

ROWS = (
    Row("var/cache/ldconfig/aux-cache", "inode numbers and times of libraries"),
    Row("var/log/dpkg.log", _DATED),
    Row("var/log/alternatives.log", _DATED),
    Row("var/log/bootstrap.log", _DATED),
    Row("var/log/apt/*", _DATED),
    Row("var/log/fontconfig.log", _UNSORTED),
    Row("var/lib/dpkg/*-old", _BEFORE),
    Row("var/lib/dpkg/lock", _LOCK),
    Row("var/lib/dpkg/lock-frontend", _LOCK),
    Row("var/lib/dpkg/triggers/Lock", _LOCK),
    Row("var/lib/dpkg/updates/*", "what dpkg has not yet put into its status file"),
    Row("var/cache/debconf/*-old", _BEFORE),
    Row("etc/passwd-", _BEFORE),
    Row("etc/group-", _BEFORE),
    Row("etc/shadow-", _BEFORE),
    Row("etc/gshadow-", _BEFORE),
    Row("etc/subuid-", _BEFORE),
    Row("etc/subgid-", _BEFORE),
    Row("etc/.pwd.lock", _LOCK),
    Row("var/cache/apt/*.bin", "pointers and times of package lists"),
    Row("var/cache/apt/archives/*", "downloads"),
    Row("var/lib/apt/lists/*", "downloads"),
    Row("var/lib/dbus/machine-id", _OWN),
    Row("etc/ssh/ssh_host_*_key", _SECRET),
    Row("etc/ssh/ssh_host_*_key.pub", "goes with its private key"),
    Row("etc/ssl/private/ssl-cert-snakeoil.key", _SECRET),
    Row("etc/ssl/certs/ssl-cert-snakeoil.pem", "goes with its private key"),
    Row("etc/ssl/certs/*", "a hash of what is gone", link="*ssl-cert-snakeoil.pem"),
    Row("etc/nvme/hostid", _OWN),
    Row("etc/bind/rndc.key", _SECRET),
    Row("etc/munge/munge.key", _SECRET),
    Row("etc/iscsi/initiatorname.iscsi", _OWN),
    Row("etc/nvme/hostnqn", _OWN),
    Row("var/lib/mysql/*", _DATA),
    Row("var/lib/postgresql/*", _DATA),
    Row("etc/postgresql/*", _DATA),
    Row("var/log/postgresql/*", _DATED),
    Row("etc/ldap/slapd.d", _DATA),
    Row("var/lib/ldap/*", _DATA),
    Row("etc/firebird/*/SYSDBA.password", _DATA),
    Row("var/lib/firebird/*/system/security*.fdb", _DATA),
    Row("usr/lib/jvm/java-11-*/lib/server/*.jsa", "addresses of a Java machine's memory, which starts without them"),
    Row("etc/apt/trustdb.gpg", _DATED),
    Row("var/lib/systemd/random-seed", _SECRET),
    Row("var/lib/systemd/credential.secret", _SECRET),
    Row("var/lib/systemd/catalog/database", "differs from build to build in Ubuntu"),
    Row("etc/console-setup/cached_*", _DATED),
    Row("usr/share/info/dir.old", _BEFORE),
    Row("var/lib/sgml-base/*.old", _BEFORE),
    Row("etc/.git", "etckeeper's history of a build"),
    Row("etc/.etckeeper", "goes with the history"),
    Row("usr/share/emacs/site-lisp/elpa/*/Install.log.gz", _DATED),
    Row("var/lib/texmf/web2c/*/*.log", _DATED),
    Row("var/lib/texmf/web2c/*.log", _DATED),
    Row("var/lib/texmf/web2c/lua*tex/*.fmt", "Lua's tables in a random order; mktexfmt makes it when first used"),
    Row("run/*", _SCRATCH),
    Row("tmp/*", _SCRATCH),
    Row("root/.cache", _KEPT),
    Row("etc/machine-id", "must be there; empty, each machine gets its own (machine-id(5))", _nothing),
    Row("var/lib/dpkg/triggers/Unincorp", "without it the next dpkg activates every trigger there is", _nothing),
    Row("var/lib/texmf/web2c/tex/*.fmt", "Knuth's TeX tells its date by the clock; mktexfmt makes it when first used"),
    Row("etc/gitconfig", "git-lfs writes its settings in a random order", listings.sorted_settings),
    Row("var/lib/texmf/updmap.cfg-*", _UNSORTED, listings.sorted_configuration),
    Row("var/lib/texmf/fmtutil.cnf-*", _UNSORTED, listings.sorted_configuration),
    Row("var/lib/texmf/ls-R*", _UNSORTED, listings.sorted_folders),
    Row("etc/ssl/certs/java/cacerts", "each certificate with the time it was added", _redated),
)
"""In this order: a row may speak of what those before it removed."""

ROWS_OF_STEPS = tuple(row for row in ROWS if row.reason not in {_DATA, _KEPT})
"""For what a step of the project's own leaves: a server's data, or a cache of models, that it makes is meant."""
