from __future__ import annotations

from dataclasses import replace

from repro.compare.locks import diff_locks
from repro.models.lock import Deb, Lock, PackageChange, PipArtifact, Seal, SourceBuild

SEAL = Seal(platform="linux-amd64", suite="bullseye", python="2.7", inputs=(), locks=(), pip=())


def deb(name: str, version: str, sha256: str = "a", architecture: str = "amd64") -> Deb:
    return Deb(
        name=name,
        version=version,
        architecture=architecture,
        filename=f"pool/{name}",
        size=1,
        sha256=sha256,
        archive="debian",
    )


def pip(
    name: str, version: str, sha256: str = "a", build: SourceBuild | None = None
) -> PipArtifact:
    return PipArtifact(
        name=name, version=version, filename=f"{name}.whl", size=1, sha256=sha256, build=build
    )


def lock(*packages: Deb | PipArtifact, seal: Seal = SEAL) -> Lock:
    return Lock(
        debs=tuple(p for p in packages if isinstance(p, Deb)),
        pip=tuple(p for p in packages if isinstance(p, PipArtifact)),
        seal=seal,
        key="k",
    )


def changes(old: Lock, new: Lock) -> list[tuple[str, str, str | None, str | None]]:
    return [(c.ecosystem, c.name, c.old, c.new) for c in diff_locks(old, new).changes]


def test_equal_locks_have_no_changes() -> None:
    one = lock(deb("libc6", "2.31"), pip("pandas", "0.20.3"))
    assert changes(one, one) == []


def test_versions_additions_and_removals_sorted() -> None:
    old = lock(deb("z", "1"), deb("b", "1"), pip("pandas", "0.20.3"), pip("six", "1"))
    new = lock(deb("b", "2"), deb("z", "1"), pip("pandas", "0.21.0"), pip("numpy", "1"))
    assert changes(old, new) == [
        ("apt", "b", "1", "2"),
        ("pip", "numpy", None, "1"),
        ("pip", "pandas", "0.20.3", "0.21.0"),
        ("pip", "six", "1", None),
    ]


def test_other_content_under_one_version_is_a_change() -> None:
    old, new = (
        lock(deb("b", "1", "a"), pip("p", "1", "a")),
        lock(deb("b", "1", "x"), pip("p", "1", "x")),
    )
    assert changes(old, new) == [
        ("apt", "b", "1", "1 (other content)"),
        ("pip", "p", "1", "1 (other content)"),
    ]


def test_another_built_wheel_is_another_content() -> None:
    old = lock(pip("p", "1", build=SourceBuild(requires=(), wheel="p.whl", sha256="1")))
    new = lock(pip("p", "1", build=SourceBuild(requires=(), wheel="p.whl", sha256="2")))
    assert changes(old, new) == [("pip", "p", "1", "1 (other content)")]


def test_base_and_interpreter() -> None:
    new = replace(SEAL, suite="bookworm", python="3.11", system_site_packages=True)
    assert changes(lock(), lock(seal=new)) == [
        ("base", "suite", "bullseye", "bookworm"),
        ("python", "python", "2.7", "3.11"),
        ("python", "system-site-packages", "no", "yes"),
    ]


def test_a_second_architecture_is_an_addition() -> None:
    old, new = lock(deb("b", "1")), lock(deb("b", "1"), deb("b", "1", architecture="i386"))
    assert changes(old, new) == [("apt", "b:i386", None, "1")]


def test_one_package_in_two_architectures() -> None:
    old = lock(deb("libc6", "1"), deb("libc6", "1", architecture="i386"))
    new = lock(deb("libc6", "1"), deb("libc6", "2", architecture="i386"))
    assert diff_locks(old, new).changes == (
        PackageChange(ecosystem="apt", name="libc6:i386", old="1", new="2"),
    )
