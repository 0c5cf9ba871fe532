"""The rows of the fault matrix, which of them are open, and why.

A row is covered by tests named after it: `test_a01_…`, as a function or as a file. The house
test holds this list against the tests that there are.
"""

from __future__ import annotations

ROWS = {
    "a01": "one digit of a digest flipped",
    "a02": "one package's hash removed",
    "a03": "only md5/sha1 present",
    "a04": "a path becomes file:, ../ or another scheme",
    "a05": "a package added to or missing from a lock",
    "a06": "inputs changed after the lock",
    "a07": "newer schema version",
    "a08": "merge-conflict markers, half a file",
    "a09": "baseline edited by hand",
    "a10": "base image tag moved",
    "a11": "a wheel's inner name/version differs from the lock",
    "b12": "bit flip in a stored artifact, online",
    "b13": "the same, offline",
    "b14": "truncated or empty object",
    "b15": "object or folder is a symlink",
    "b16": "store read-only",
    "b17": "store world-writable or owned by another user",
    "c18": ".., absolute, NUL names",
    "c19": "symlink then write through it; hardlink to outside",
    "c20": "sibling prefix (/dst-evil against /dst)",
    "c21": "zip whose central directory and local headers disagree",
    "c22": "duplicate, case-folded or Unicode-normalised collisions",
    "c23": "bomb: ratio, size, a million entries",
    "c24": "device, FIFO, setuid member (wheel, conda)",
    "c25": "PAX size ≠ header size; archive cut at 9 offsets",
    "c26": "conda build string or entry point holding ../",
    "d27": "404/410",
    "d28": "429/500/503",
    "d29": "slow drip or hang",
    "d30": "truncated body",
    "d31": "resume answered with 200 or another offset",
    "d32": "200 with wrong bytes",
    "d33": "redirect loop; https to http",
    "d34": "cross-origin redirect",
    "d35": "bad TLS certificate",
    "d36": "apt: expired, rolled-back, unsigned, index mismatch",
    "d37": "higher version on a second index",
    "e38": "Ctrl-C at each step (through a pty)",
    "e39": "SIGTERM",
    "e40": "SIGKILL at the Nth write/fsync/rename, for all N",
    "e41": "ENOSPC/EIO at the Nth call; 1 MB tmpfs",
    "e42": "two runs of one project",
    "e43": "two projects, one store",
    "e44": "lock left by a dead process",
    "e45": "stdout closed; /dev/full",
    "f46": "daemon down, no permission, wrong context",
    "f47": "daemon dies mid-run",
    "f48": "out-of-memory kill",
    "f49": "timeout; SIGTERM ignored",
    "f50": "image removed or another image under its tag",
    "f51": "old engine without buildx",
    "f52": "engine's disk full during load",
    "g53": "non-zero exit",
    "g54": "metrics file absent or empty",
    "g55": "malformed metrics: duplicate keys, 1e999, 5,000 digits, deep, BOM, lone surrogate",
    "g56": "NaN/Inf metric",
    "g57": "metric added, missing or of another type",
    "g58": "10 GB of stdout or metrics",
    "g59": "data missing or changed since the baseline",
    "g60": "differs between repeats",
    "g61": "no baseline yet",
    "h62": "opens the network",
    "h63": "writes to data or the root file system; writes into the project",
    "h64": "fork bomb",
    "h65": "fills the disk",
    "h66": "output is a symlink, FIFO, device or hardlink",
    "h67": "prints CI workflow commands, ANSI, OSC sequences",
    "h68": "metric named <script>, |, =cmd(), control characters",
    "h69": "daemonised child",
    "h70": "reads host environment, CI variables, engine socket",
    "i71": "credentials in an index, channel, apt source or git URL",
    "i72": "token in a redirect Location or an exception text",
    "i73": ".netrc, pip.conf, keyring, environment",
    "i74": ".env, .git, keys in the project",
    "j75": "repro.toml is a symlink to outside",
    "j76": "../ or absolute path for an output or data",
    "j77": "huge or deep TOML, YAML alias bomb, duplicate keys",
    "j78": "!!python/object in YAML",
    "j79": "non-UTF-8, BOM, UTF-16",
    "j80": "file names with newline, leading -, quotes",
    "j81": "a package name that injects a Dockerfile line or an option",
}
"""Each row of the matrix: the fault or attack, as a heading."""

OPEN = {
    "a10": "a base image by digest (`image = …`) comes in a later release",
    "c26": "conda comes in a later release",
    "g60": "`--repeats` comes in a later release: verify runs once",
    "i74": "no file of the project is in an image; the warning of keys that a run sees is missing",
}
"""Rows without a test, and why."""

PENDING = frozenset(
    {
        "b15", "b16", "b17", "d36", "e39", "e40", "e41", "e42", "e43", "e44", "e45", "i71",
    }
)  # fmt: skip
"""Rows whose tests are being written: empty once they are in."""
