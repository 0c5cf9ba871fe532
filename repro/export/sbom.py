"""A software bill of materials: CycloneDX 1.6, of apt's, conda's and pip's packages together.

Format: https://cyclonedx.org/docs/1.6/json/. The same lock is the same bytes: there is no moment in
it, and its serial number follows from the environment key.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping

import repro
from repro.export.facts import distribution, head
from repro.models.lock import BaseImage, CondaPackage, Deb, Lock, PipArtifact

_ROOT = "environment"


def render(lock: Lock, *, name: str) -> str:
    """Return the JSON text; `name` is the project's."""
    components = sorted(_components(lock), key=lambda one: str(one["bom-ref"]))
    references = [one["bom-ref"] for one in components]
    bill = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, lock.key)}",
        "version": 1,
        "metadata": {
            "tools": {
                "components": [
                    {"type": "application", "name": "repro", "version": repro.__version__}
                ]
            },
            "component": {
                "type": "container",
                "bom-ref": _ROOT,
                "name": name,
                "version": lock.key,
                "description": head("sbom", lock),
            },
        },
        "components": components,
        "dependencies": [{"ref": _ROOT, "dependsOn": references}],
        # what a foreign base image holds beside its digest is not known
        "compositions": [
            {
                "aggregate": "complete" if lock.seal.base is None else "incomplete",
                "assemblies": [_ROOT],
            }
        ],
    }
    return json.dumps(bill, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _components(lock: Lock) -> Iterator[dict[str, object]]:
    if lock.seal.base is not None:
        yield _image(lock.seal.base)
    for deb in lock.debs:
        yield _deb(deb, distribution(lock), lock.seal.suite)
    for package in lock.conda:
        yield _conda(package)
    for item in lock.pip:
        yield _pip(item)


def _component(
    kind: str,
    name: str,
    version: str,
    purl: str,
    sha256: str,
    properties: Mapping[str, str] | None = None,
) -> dict[str, object]:
    found: dict[str, object] = {
        "type": kind,
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": sha256}],
    }
    if properties:
        found["properties"] = [
            {"name": f"repro:{key}", "value": value} for key, value in sorted(properties.items())
        ]
    return found


def _purl(kind: str, name: str, version: str, *, owner: str = "", **qualifiers: str) -> str:
    from packageurl import PackageURL

    given = {key: value for key, value in qualifiers.items() if value}
    url = PackageURL(
        type=kind, namespace=owner or None, name=name, version=version, qualifiers=given
    )
    return url.to_string()


def _deb(deb: Deb, owner: str, suite: str) -> dict[str, object]:
    purl = _purl("deb", deb.name, deb.version, owner=owner, arch=deb.architecture, distro=suite)
    source = dict(deb.fields).get("Source", "")
    return _component(
        "library",
        deb.name,
        deb.version,
        purl,
        deb.sha256,
        {"file": deb.filename, **({"source": source} if source else {})},
    )


def _conda(package: CondaPackage) -> dict[str, object]:
    kind = "conda" if package.filename.endswith(".conda") else "tar.bz2"
    purl = _purl(
        "conda",
        package.name,
        package.version,
        build=package.build,
        channel=package.channel,
        subdir=package.subdir,
        type=kind,
    )
    return _component(
        "library",
        package.name,
        package.version,
        purl,
        package.sha256,
        {"file": package.filename},
    )


def _pip(item: PipArtifact) -> dict[str, object]:
    purl = _purl("pypi", item.name, item.version)
    properties = {"file": item.filename}
    if item.build is not None:
        properties |= {"built-wheel": item.build.wheel, "built-wheel-sha256": item.build.sha256}
        properties["reproducible-build"] = str(item.build.reproducible).lower()
    return _component("library", item.name, item.version, purl, item.sha256, properties)


def _image(base: BaseImage) -> dict[str, object]:
    repository, _, tag = base.reference.rpartition("/")[2].partition(":")
    address = base.reference.removesuffix(f":{tag}") if tag else base.reference
    purl = _purl("oci", repository, base.digest, repository_url=address, tag=tag)
    sha256 = base.digest.removeprefix("sha256:")
    return _component("container", base.reference, base.digest, purl, sha256)
