"""The columns of Parquet and TsFile: a row a value, in the column of its type, so that nothing is converted.

Both need packages that nothing else needs; they are loaded on use only.
"""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from chalicelib.model import Reading, Value
from infra.bootstrap import ROOT, VENV
from infra.failure import Exit, Failure

PACKAGES = ROOT / "infra" / "requirements" / "columns.txt"
TABLE = "readings"
VALUE_COLUMNS = {int: "int_value", float: "float_value", bool: "bool_value", str: "text_value"}
CHUNK_VALUES = 100_000
"""Rows that are held in memory, and of a row group."""


def load(module: str) -> Any:
    """Import a package that is an extra.

    Raises:
        Failure: It is not installed; says how to install it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        pip = f"{VENV.name}/bin/python -m pip install -r {PACKAGES.relative_to(ROOT)}"
        message = f"Parquet and TsFile need the package {error.name}: {pip}"
        raise Failure(message, Exit.INSTALLATION) from None


class Rows:
    """Values that wait to be written."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, str, int, Value]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, device: str, reading: Reading) -> None:
        """Append the reading's values."""
        self._rows += [(device, name, reading.timestamp_ms, value) for name, value in reading.values.items()]

    def take(self, *, by_series: bool) -> dict[str, list[Any]]:
        """All rows as columns, and forget them; by time, or first by device and measurement."""
        rows = sorted(self._rows, key=lambda row: row[:3]) if by_series else self._rows
        self._rows = []
        devices, names, times, values = (list(column) for column in zip(*rows, strict=True))
        columns = {"device": devices, "time": times, "measurement": names}
        for kind, column in VALUE_COLUMNS.items():
            columns[column] = [value if type(value) is kind else None for value in values]
        return columns


class ParquetWriter:
    """A Parquet file at *path*."""

    def __init__(self, path: Path) -> None:
        pa = load("pyarrow")
        self._pa, self._rows = pa, Rows()
        fields = {
            "device": pa.dictionary(pa.int32(), pa.string()),
            "timestamp": pa.timestamp("ms", tz="UTC"),
            "measurement": pa.dictionary(pa.int32(), pa.string()),
            "int_value": pa.int64(),
            "float_value": pa.float64(),
            "bool_value": pa.bool_(),
            "text_value": pa.string(),
        }
        self._schema = pa.schema(list(fields.items()))
        self._writer = load("pyarrow.parquet").ParquetWriter(path, self._schema, compression="zstd")

    def write(self, device: str, reading: Reading) -> None:
        """Append a reading."""
        self._rows.add(device, reading)
        if len(self._rows) >= CHUNK_VALUES:
            self._flush()

    def close(self) -> None:
        """Write what is left, and the footer."""
        if len(self._rows):
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        columns = self._rows.take(by_series=False)
        columns["timestamp"] = columns.pop("time")
        self._writer.write_table(self._pa.Table.from_pydict(columns, schema=self._schema))


class TsFileWriter:
    """A TsFile at *path*: one table, whose tags are device and measurement."""

    def __init__(self, path: Path) -> None:
        self._pa, self._rows = load("pyarrow"), Rows()
        tsfile = load("tsfile")
        kinds, types = tsfile.ColumnCategory, tsfile.TSDataType
        tags = [tsfile.ColumnSchema(name, types.STRING, kinds.TAG) for name in ("device", "measurement")]
        numbers = {int: types.INT64, float: types.DOUBLE, bool: types.BOOLEAN, str: types.STRING}
        values = [tsfile.ColumnSchema(name, numbers[kind], kinds.FIELD) for kind, name in VALUE_COLUMNS.items()]
        path.unlink(missing_ok=True)
        self._writer = tsfile.TsFileTableWriter(str(path), tsfile.TableSchema(TABLE, [*tags, *values]))

    def write(self, device: str, reading: Reading) -> None:
        """Append a reading."""
        self._rows.add(device, reading)
        if len(self._rows) >= CHUNK_VALUES:
            self._flush()

    def close(self) -> None:
        """Write what is left, and the footer."""
        if len(self._rows):
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        pa = self._pa
        types = {"time": pa.int64(), "int_value": pa.int64(), "float_value": pa.float64(), "bool_value": pa.bool_()}
        columns = self._rows.take(by_series=True)
        arrays = {name: pa.array(column, types.get(name, pa.string())) for name, column in columns.items()}
        self._writer.write_arrow_batch(pa.record_batch(arrays))


Row = tuple[str | None, int | None, str | None, list[Value]]
"""Device, time, measurement, and the values of all columns that are not null: one, in a good file."""


def parquet_rows(path: Path) -> Iterator[Row]:
    """The rows of a file that `ParquetWriter` made, or one with the same columns."""
    pa, parquet = load("pyarrow"), load("pyarrow.parquet")
    try:
        with parquet.ParquetFile(path) as file:
            names = ["device", "timestamp", "measurement", *VALUE_COLUMNS.values()]
            _require_columns(path, names, file.schema_arrow.names)
            for batch in file.iter_batches(batch_size=CHUNK_VALUES // 4, columns=names):
                times = batch.column("timestamp").cast(pa.timestamp("ms", tz="UTC")).cast(pa.int64())
                yield from _rows(batch.set_column(batch.schema.names.index("timestamp"), "time", times))
    except pa.ArrowException as error:
        message = f"{path} cannot be read: {str(error).splitlines()[0]}"
        raise Failure(message) from None


def tsfile_rows(path: Path) -> Iterator[Row]:
    """The rows of a file that `TsFileWriter` made."""
    tsfile = load("tsfile")
    names = ["device", "measurement", *VALUE_COLUMNS.values()]
    try:
        with (
            tsfile.TsFileReader(str(path)) as reader,
            reader.query_table(TABLE, names, batch_size=CHUNK_VALUES // 4) as found,
        ):
            while (batch := found.read_arrow_batch()) is not None:
                yield from _rows(batch)
    except tsfile.LibraryError as error:
        message = f"{path} is not a TsFile of an export, or is damaged: {error}"
        raise Failure(message) from None


def _require_columns(path: Path, wanted: list[str], found: list[str]) -> None:
    missing = [name for name in wanted if name not in found]
    if missing:
        message = f"{path} has no column {missing[0]}: an import reads {', '.join(wanted)}"
        raise Failure(message)


def _rows(batch: Any) -> Iterator[Row]:
    times, devices, names, *values = (
        batch.column(name).to_pylist() for name in ("time", "device", "measurement", *VALUE_COLUMNS.values())
    )
    for device, timestamp_ms, name, *row in zip(devices, times, names, *values, strict=True):
        yield device, timestamp_ms, name, [value for value in row if value is not None]
