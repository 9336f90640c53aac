"""Shows what a statement found, as a table."""

from chalicelib.adapters.iotdb_client import Client
from infra import terminal

_QUERIES = ("SELECT", "SHOW", "COUNT", "LIST")


def show(client: Client, statement: str) -> None:
    """Run a statement and print its answer.

    Raises:
        Refusal: The server's answer is no.
        Unavailable: There is no answer.
    """
    if not statement.lstrip().upper().startswith(_QUERIES):
        client.execute(statement)
        return
    answer = client.rows(statement)
    lines = [("Time", *(column.name for column in answer.columns))]
    for block in answer.blocks:
        columns = [block.columns[column.place] for column in answer.columns]
        lines += [tuple(map(str, row)) for row in zip(block.times, *columns, strict=True)]
    print("\n".join(terminal.table(lines)))
