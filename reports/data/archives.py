"""Journals in an archive that somebody has sent: read as data, and nothing else of it."""

import contextlib
import os
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from samegrad.benchmarks.records.journal import NotAJournalError
from samegrad.implementations.contract.files import ordinary
from samegrad.implementations.contract.scratch import scratch

MEMBER = re.compile(r"([a-z0-9][a-z0-9_-]{0,40})/journal\.jsonl")  # by `samegrad gpu-proof`
MOST_BYTES = 2**28  # of all journals of an archive; a run of an hour has some 2**24
MOST_MEMBERS = 1000


def is_archive(path: Path) -> bool:
    """Whether a place is an archive, by its name."""
    return path.suffix == ".zip" and path.is_file()


@contextlib.contextmanager
def unpacked(places: Sequence[str | os.PathLike[str]]) -> Iterator[list[str | os.PathLike[str]]]:
    """The places, a folder in that of an archive; the folders are removed afterwards.

    Raises:
        NotAJournalError: an archive cannot be read, or has no journal.
    """
    with scratch() as made:
        opened = list[str | os.PathLike[str]]()
        for number, place in enumerate(places):
            if is_archive(Path(place)):
                folder = made / str(number)
                _unpack(Path(place), folder)
                opened.append(folder)
            else:
                opened.append(place)
        yield opened


def _unpack(path: Path, folder: Path) -> None:
    """Write the journals of an archive, whose other members are not looked at."""
    try:
        if ordinary(path).stat().st_size > MOST_BYTES:  # all of it may be names
            raise ValueError(f"it has more than {MOST_BYTES / 2**20:.0f} MiB")
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > MOST_MEMBERS:
                raise ValueError(f"it has {len(members):,} members")
            left, seen = MOST_BYTES, set[str]()
            for member in members:
                name = MEMBER.fullmatch(member.filename)
                if name is None or name[1] in seen or member.flag_bits & 1:  # encrypted
                    continue
                seen.add(name[1])
                with archive.open(member) as file:
                    data = file.read(left + 1)  # whatever it says of its size
                left -= len(data)
                if left < 0:
                    raise ValueError(f"its journals have more than {MOST_BYTES / 2**20:.0f} MiB")
                target = folder / name[1]
                target.mkdir(parents=True)
                (target / "journal.jsonl").write_bytes(data)
    except Exception as error:  # whatever zipfile and its decompressors make of a bad file
        raise NotAJournalError(f"{path}: no archive that can be read: {error}") from None
    if not folder.exists():
        raise NotAJournalError(f"{path}: an archive without a journal")
