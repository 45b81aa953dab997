"""The rows of csv files, taken one by one, with their lines; and which column has which name."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dettoolkit.errors import DataError, did_you_mean, listed


def read_rows(path: Path, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Yield (line, cells) of each row that is not blank; no more than one row is held.

    Args:
        path: a file in UTF-8, with or without a byte order mark, and with any line ends.
        delimiter: what stands between cells; cells may be in double quotes, and blanks around them do not count.

    Raises:
        DataError: the file cannot be read as such, with the line.
    """
    line = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True)
            for cells in reader:
                first, line = line + 1, reader.line_num  # a quoted cell may span lines
                stripped = list(map(str.strip, cells))
                if any(stripped):
                    yield first, stripped
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: after line {line}: is not UTF-8 ({error.reason}). Save it as CSV in UTF-8.") from error
    except csv.Error as error:
        raise DataError(f"{path}:{line + 1}: is no row of a csv file: {error}") from error


def columns_of(header: Sequence[str], wanted: Mapping[str, Sequence[str]], place: str) -> dict[str, int]:
    """Return the index of each wanted column.

    Args:
        header: the names of the columns, in any case.
        wanted: what a column holds -> the names that it may have.
        place: file and line, for messages.

    Raises:
        DataError: a column is missing or stands twice; the message has what is accepted, what is there and the nearest name.
    """
    folded = [name.casefold() for name in header]
    found: dict[str, int] = {}
    missing = []
    for meaning, names in wanted.items():
        indices = [index for index, name in enumerate(folded) if name in {known.casefold() for known in names}]
        if len(indices) > 1:
            raise DataError(f"{place}: several columns hold {meaning}: {listed(header[index] for index in indices)}")
        if indices:
            found[meaning] = indices[0]
        else:
            near = next(filter(None, (did_you_mean(known, header) for known in names)), "")
            missing.append(f"no column {' or '.join(names)}.{near}")
    if missing:
        raise DataError(f"{place}: {' '.join(word[0].upper() + word[1:] for word in missing)} Its columns: {listed(header)}.")
    return found
