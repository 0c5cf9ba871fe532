"""Choose conda packages with rattler: a program of its own.

rattler crashes where an interpreter that used it ends, so this one ends before (DESIGN.md §6).
The job comes on standard input, because the addresses in it may hold logins; the answer goes to
standard output. See `repro.ecosystems.conda.resolve`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rattler import RepoDataRecord
    from rattler.networking import Client

_RETRIES = 2


def main() -> None:
    """Do the job that standard input holds; write the answer."""
    job = json.loads(sys.stdin.buffer.read())
    answer: dict[str, Any]
    try:
        answer = asyncio.run(asyncio.wait_for(_solved(job), job["deadline"]))
    except BaseException as error:  # noqa: BLE001 - a panic of rattler's is none of Exception
        answer = {"error": type(error).__name__, "said": str(error)}
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()


async def _solved(job: Mapping[str, Any]) -> dict[str, Any]:
    import rattler
    from rattler.repo_data.gateway import Gateway, SourceConfig

    client = _client(job)
    gateway = Gateway(cache_dir=job["cache"], default_config=SourceConfig(), client=client)
    sources = [rattler.Channel(place) for place in job["channels"]]
    platforms = [rattler.Subdir(name) for name in (job["platform"], "noarch")]
    locked: list[RepoDataRecord] = []
    if job["locked"]:
        names = sorted({item["name"] for item in job["locked"]})
        groups = await gateway.query(
            sources, platforms, names, recursive=False, channel_relations="disabled"
        )
        known: dict[tuple[str, str, str], list[RepoDataRecord]] = {}
        for record in (record for group in groups for record in group):
            known.setdefault(_identity(record), []).append(record)
        locked = [_kept(item, known) for item in job["locked"]]
    as_of = datetime.fromtimestamp(job["as_of"], UTC) if job["as_of"] is not None else None
    records = await rattler.solve(
        sources,
        [rattler.MatchSpec(spec) for spec in job["specs"]],
        gateway=gateway,
        platforms=platforms,
        locked_packages=locked,
        virtual_packages=[
            rattler.GenericVirtualPackage(
                rattler.PackageName(name), rattler.Version(version), rattler.BuildString(build)
            )
            for name, version, build in job["virtual"]
        ],
        exclude_newer=as_of,
        channel_relations="disabled",  # only what is listed is asked
    )
    return {
        "packages": [_said(record) for record in records],
        "channels": [source.base_url for source in sources],
    }


def _client(job: Mapping[str, Any]) -> Client:
    """Return rattler's client, with the logins of conda's configuration before those of netrc."""
    from rattler.networking import (
        AddHeadersMiddleware,
        AuthenticationMiddleware,
        Client,
        RetryMiddleware,
    )

    def login(host: str, path: str) -> dict[str, str] | None:
        for its_host, below, value in job["logins"]:
            if host == its_host and path.startswith(below):
                return {"Authorization": value}
        return None

    return Client(
        [RetryMiddleware(_RETRIES), AuthenticationMiddleware(), AddHeadersMiddleware(login)],
        timeout=job["timeout"],
    )


def _identity(record: RepoDataRecord) -> tuple[str, str, str]:
    sha256 = record.sha256.hex() if record.sha256 else ""
    return str(record.subdir), record.file_name, sha256


def _kept(
    item: Mapping[str, Any], known: Mapping[tuple[str, str, str], Sequence[RepoDataRecord]]
) -> RepoDataRecord:
    """The record of a locked package: its channel's, else the first one that has it.

    What the lock says where none has it.
    """
    import rattler

    found = known.get((item["subdir"], item["filename"], item["sha256"]), ())
    if found:
        return next((one for one in found if one.url == item["address"]), found[0])
    return rattler.RepoDataRecord(
        package_record=rattler.PackageRecord(
            name=item["name"],
            version=item["version"],
            build=rattler.BuildString(item["build"]),
            build_number=0,
            subdir=item["subdir"],
            noarch="generic" if item["subdir"] == "noarch" else None,
            depends=item["depends"],
            sha256=bytes.fromhex(item["sha256"]),
            md5=bytes.fromhex(item["md5"]) if item["md5"] else None,
            size=item["size"] or None,
        ),
        file_name=item["filename"],
        url=item["address"],
        channel=item["channel"],
    )


def _said(record: RepoDataRecord) -> dict[str, Any]:
    return {
        "name": record.name.normalized,
        "version": str(record.version),
        "build": str(record.build),
        "subdir": str(record.subdir),
        "url": record.url,
        "sha256": record.sha256.hex() if record.sha256 else "",
        "md5": record.md5.hex() if record.md5 else "",
        "size": record.size or 0,
        "depends": _texts(record.depends),
    }


def _texts(depends: Sequence[str]) -> list[str]:
    return [str(one) for one in depends]


if __name__ == "__main__":
    main()
    os._exit(0)
