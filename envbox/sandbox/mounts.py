"""Assembling the root, in the mount namespace of the sandbox: the overlay, binds, empty file systems."""

from __future__ import annotations

import errno
import os

from envbox.sandbox import devices
from envbox.sandbox.attach import bind
from envbox.sandbox.failure import LaunchError, Stage
from envbox.sandbox.syscalls import (
    ATTRIBUTE_NODEV,
    ATTRIBUTE_NOSUID,
    ATTRIBUTE_READ_ONLY,
    attach,
    clone_tree,
    lock,
    new_filesystem,
    set_attributes,
)
from envbox.sandbox.targets import open_target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TAME = ATTRIBUTE_NOSUID | ATTRIBUTE_NODEV
_FOLDER = os.O_PATH | os.O_CLOEXEC | os.O_DIRECTORY
_SOURCE = os.O_PATH | os.O_CLOEXEC


def open_sources(spec: dict[str, Any]) -> list[int]:
    """A descriptor for the source of every bind, -1 where there is none.

    Opened before anything is mounted, so that no mount of ours and no later change of the path redirects one.
    """
    return [_open_source(mount) if mount["kind"] == "bind" else -1 for mount in spec["mounts"]]


def _open_source(mount: dict[str, Any]) -> int:
    try:
        return os.open(mount["source"], _SOURCE)
    except FileNotFoundError as error:
        if mount["optional"]:
            return -1
        raise LaunchError("bind source", error.errno or 0, mount["source"]) from error
    except OSError as error:
        raise LaunchError("bind source", error.errno or 0, mount["source"]) from error


def open_writable(spec: dict[str, Any]) -> tuple[int, int] | None:
    """Descriptors of the upper and work folders; the second holds a lock that keeps other sandboxes off."""
    if not spec["upper"]:
        return None
    upper = _open_folder("upper", spec["upper"])
    with Stage("work", spec["work"]):
        work = os.open(spec["work"], os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    with Stage("upper in use", spec["upper"]):
        lock(work)
    _forget_unsynced(work)
    return upper, work


def mount_root(spec: dict[str, Any], writable: tuple[int, int] | None) -> int:
    """Mounts the layers on `spec["root"]` and returns a descriptor of the mounted root."""
    layers = [_open_folder("layer", path) for path in spec["layers"]]
    if not layers:
        raise LaunchError("layer", errno.EINVAL, "no layers")
    place = _open_folder("root", spec["root"])
    try:
        if writable is None and len(layers) == 1:
            tree = clone_tree(layers[0], recursive=False)
            set_attributes(tree, _TAME | ATTRIBUTE_READ_ONLY, recursive=False)
        else:
            tree = new_filesystem("overlay", _overlay_options(layers, writable), _TAME)
        attach(tree, place)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EINVAL):
            raise LaunchError("overlay", error.errno or 0, error.strerror or "") from error
        return _mount_root_by_old_means(spec["root"], layers, writable, error)
    return tree


def _mount_root_by_old_means(root: str, layers: list[int], writable: tuple[int, int] | None, first: OSError) -> int:
    """mount(2), for kernels whose overlay takes no layers one by one (before 6.8)."""
    from envbox.sandbox import legacy

    with Stage("overlay", first.strerror or ""):
        if writable is None and len(layers) == 1:
            legacy.bind_root(layers[0], root)
        else:
            legacy.overlay(layers, writable, root)
        return os.open(root, _FOLDER)


def _open_folder(stage: str, path: str) -> int:
    with Stage(stage, path):
        return os.open(path, _FOLDER)


def _overlay_options(layers: list[int], writable: tuple[int, int] | None) -> list[tuple[str, str]]:
    """Layers go in by descriptor: no character of their paths means anything, and none shows inside."""
    options = [("lowerdir+", f"/proc/self/fd/{layer}") for layer in reversed(layers)]
    options.append(("userxattr", ""))
    if writable is not None:
        options.append(("upperdir", f"/proc/self/fd/{writable[0]}"))
        options.append(("workdir", f"/proc/self/fd/{writable[1]}"))
        options.append(("volatile", ""))  # whoever keeps an upper syncs it; unmounting need not
        options.append(("uuid", "null"))  # else a random one is written to the upper
    return options


def _forget_unsynced(work: int) -> None:
    """Removes the mark a volatile overlay leaves; with it the kernel would not mount the same upper again."""
    try:
        os.unlink("work/incompat/volatile/dirty", dir_fd=work)
        os.rmdir("work/incompat/volatile", dir_fd=work)
    except OSError:
        return  # a new one, or one that this kernel does not mark


def mount_all(root: int, spec: dict[str, Any], sources: list[int]) -> None:
    """Mounts everything in `spec["mounts"]` below `root`, in order."""
    for mount, source in zip(spec["mounts"], sources):  # noqa: B905 - the lists are of one length by construction
        kind, target = mount["kind"], mount["target"]
        if kind == "bind":
            if source >= 0:
                _bind(root, mount, source)
            continue
        with Stage(f"mount {target}", "the target must be a folder, not a symbolic link"):
            place = open_target(root, target, folder=True, follow=False)
        with Stage(f"mount {target}", kind):
            if kind == "tmpfs":
                devices.mount_tmpfs(place, mount["mode"], _TAME)
            elif kind == "proc":
                devices.mount_processes(place)
            elif kind == "devices":
                devices.mount_devices(place)
            elif kind == "system":
                devices.mount_system(place)
            else:
                raise LaunchError(f"mount {target}", errno.EINVAL, f"unknown kind {kind!r}")


def _bind(root: int, mount: dict[str, Any], source: int) -> None:
    attributes = _TAME | (0 if mount["access"] == "write" else ATTRIBUTE_READ_ONLY)
    folder = (os.fstat(source).st_mode & 0o170000) == 0o040000
    with Stage("mount target", mount["target"]):
        place = open_target(root, mount["target"], folder=folder, follow=True)
    with Stage(f"mount {mount['target']}", mount["source"]):
        bind(source, place, attributes)
