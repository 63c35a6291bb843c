"""Packs without what is too large: what is kept is byte for byte the same."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
from dulwich.object_store import MemoryObjectStore

from penstock_runner.git.sifting import sift
from penstock_runner.git.trouble import GitTrouble


def packed(folder: Path, files: dict[str, bytes], *versions: dict[str, bytes]) -> bytes:
    """A pack as Git's own program makes it: deltas with offsets, newest first."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    named = ["-c", "user.name=a", "-c", "user.email=a@example.org"]

    def git(*arguments: str) -> bytes:
        done = subprocess.run(
            ["git", *named, *arguments],
            cwd=folder,
            capture_output=True,
            env=environment,
            check=True,
        )
        return done.stdout

    git("init", "-q")
    for contents in (files, *versions):
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        git("add", ".")
        git("commit", "-q", "-m", "x")
    git("repack", "-adfq", "--depth=20", "--window=20")
    [pack] = (folder / ".git" / "objects" / "pack").glob("*.pack")
    return pack.read_bytes()


def sifted(pack: bytes, limit: int) -> tuple[int, bytes]:
    out = io.BytesIO()
    count = sift(io.BytesIO(pack), out, limit)
    return count, out.getvalue()


def contents(pack: bytes) -> list[bytes]:
    """What the objects of a pack hold; dulwich checks the pack when it takes it."""
    store = MemoryObjectStore()
    file, commit, _ = store.add_pack()
    file.write(pack)
    commit()
    return [store[sha].as_raw_string() for sha in store]


def text(number: int) -> bytes:
    return b"".join(b"line %d of %d\n" % (line, number) for line in range(300))


def test_a_pack_without_large_files_stays_as_it_is(tmp_path: Path) -> None:
    files = {f"{n}.yml": text(n) for n in range(20)}
    pack = packed(tmp_path, files, {"3.yml": text(3) + b"more\n"}, {"4.yml": b""})
    assert sifted(pack, 10_000) == (0, pack)


def test_what_is_too_large_stays_behind_and_all_else_can_be_read(tmp_path: Path) -> None:
    noise = os.urandom(300_000)
    files = {"a.yml": text(1), "big": noise, "b.yml": text(2), "zeros": bytes(5_000_000)}
    pack = packed(tmp_path, files, {"a.yml": text(1) + b"more\n"})
    count, left = sifted(pack, 100_000)
    assert count == 2
    kept = contents(left)
    assert len(kept) == len(contents(pack)) - 2
    assert max(len(one) for one in kept) < 100_000
    assert {text(1), text(1) + b"more\n", text(2)} <= set(kept)


def test_what_is_only_a_difference_to_something_left_out_stays_behind_too(tmp_path: Path) -> None:
    noise = os.urandom(200_000)
    pack = packed(tmp_path, {"big": noise}, {"big": noise + b"more"}, {"a.yml": text(1)})
    _, left = sifted(pack, 100_000)
    assert max(len(one) for one in contents(left)) < 100_000
    assert text(1) in contents(left)


def entry(kind: int, size: int, content: bytes) -> bytes:
    first = (kind << 4) | (size & 15)
    rest, header = size >> 4, b""
    while rest:
        header += bytes([first | 0x80])
        first, rest = rest & 0x7F, rest >> 7
    return header + bytes([first]) + zlib.compress(content)


@pytest.mark.parametrize(
    ("pack", "told"),
    [
        (b"KCAP" + bytes(8), "does not begin"),
        (struct.pack(">4sLL", b"PACK", 2, 1), "ends too early"),
        (struct.pack(">4sLL", b"PACK", 2, 1) + entry(3, 2, bytes(1_000_000)), "longer"),
        (struct.pack(">4sLL", b"PACK", 2, 1) + entry(3, 200, b"short") + bytes(20), "shorter"),
    ],
)
def test_a_pack_that_lies_is_refused(pack: bytes, told: str) -> None:
    with pytest.raises(GitTrouble, match=told) as raised:
        sifted(pack, 10_000_000)
    assert raised.value.code == "GIT_CORRUPT"


def test_a_bomb_is_never_held_whole() -> None:
    """A file of a gigabyte that says its size is passed over piece by piece."""
    bomb = zlib.compressobj()
    squeezed = b"".join(bomb.compress(bytes(1 << 20)) for _ in range(1024)) + bomb.flush()
    header = struct.pack(">4sLL", b"PACK", 2, 1)
    size, first = (1 << 30) >> 4, (3 << 4) | 0
    said = b""
    while size:
        said += bytes([first | 0x80])
        first, size = size & 0x7F, size >> 7
    count, left = sifted(header + said + bytes([first]) + squeezed + bytes(20), 1 << 20)
    assert (count, len(left)) == (1, 32)
