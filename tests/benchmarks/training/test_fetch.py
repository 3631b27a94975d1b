"""Fetching from a server of this machine: the same records as the original files, or an error."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import _base, _openml, _twenty_newsgroups

from samegrad.benchmarks.training.data import datasets, fetch, originals
from samegrad.benchmarks.training.data.records import DataError, Records
from tests.benchmarks.training.test_originals import COUNTS, archive, documents, news_file
from tests.helpers.shared_data import data_dir


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """path -> answer; scikit-learn asks this server instead of the real ones."""
    answers: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = answers.get(self.path)
            self.send_response(200 if answer is not None else 404)
            self.send_header("Content-Length", str(len(answer or b"")))
            self.end_headers()
            self.wfile.write(answer or b"")

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=served.serve_forever, daemon=True)
    thread.start()
    base = f"http://127.0.0.1:{served.server_address[1]}"
    answers["base"] = base.encode()
    for name in ("_SEARCH_NAME", "_DATA_INFO", "_DATA_FEATURES", "_DATA_QUALITIES"):
        path = getattr(_openml, name).split("/api", 1)[1]
        monkeypatch.setattr(_openml, name, f"{base}/api{path}")
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path / "cache"))
    yield answers
    served.shutdown()
    served.server_close()
    thread.join()


def serve_table(answers: dict[str, bytes], name: str, table: pd.DataFrame) -> None:
    """A table as OpenML hands it out: descriptions as JSON, the data as ARFF."""
    known, version = fetch.OPENML[name]
    number_of_set = str(list(fetch.OPENML).index(name))
    lines, features = [f"@RELATION {known}"], []
    for number, column in enumerate(table.columns):
        numeric = table[column].dtype.kind == "f"
        values = sorted(table[column].dropna().unique()) if not numeric else []
        kind = "NUMERIC" if numeric else "{" + ",".join(f"'{value}'" for value in values) + "}"
        lines.append(f"@ATTRIBUTE '{column}' {kind}")
        feature = {
            "index": str(number),
            "name": column,
            "data_type": "numeric" if numeric else "nominal",
            "is_target": str(name == "mnist" and column == table.columns[-1]).lower(),
            "is_ignore": "false",
            "number_of_missing_values": str(int(table[column].isna().sum())),
            "is_row_identifier": "false",
        }
        features.append(feature | ({"nominal_value": values} if values else {}))
    lines.append("@DATA")
    for row in table.itertuples(index=False):
        texts = ["?" if pd.isna(v) else f"{v!r}" if isinstance(v, float) else f"'{v}'" for v in row]
        lines.append(",".join(texts))
    arff = "\n".join(lines).encode()
    base = answers["base"].decode()
    api = "/api/v1/json/data"
    data_set = {"did": number_of_set, "name": known, "version": str(version), "status": "active"}
    description = data_set | {
        "id": number_of_set,
        "description": "a table of a test",
        "format": "ARFF",
        "url": f"{base}/{known}.arff",
        "md5_checksum": hashlib.md5(arff).hexdigest(),
    }
    quality = [{"name": "NumberOfInstances", "value": str(len(table))}]
    answers |= {
        f"{api}/list/data_name/{known}/limit/2/data_version/{version}": _json(
            {"data": {"dataset": [data_set]}}
        ),
        f"{api}/{number_of_set}": _json({"data_set_description": description}),
        f"{api}/features/{number_of_set}": _json({"data_features": {"feature": features}}),
        f"{api}/qualities/{number_of_set}": _json({"data_qualities": {"quality": quality}}),
        f"/{known}.arff": arff,
    }


def _json(data: Any) -> bytes:
    return json.dumps(data).encode()


def test_cars_from_the_network_are_those_of_the_original_file(server: dict[str, bytes]) -> None:
    """Other column order, another file format, the same hash; said while it goes on."""
    table = originals.automobile(data_dir("automobile")).X
    serve_table(server, "automobile", table[[*table.columns[1:], table.columns[0]]])
    lines: list[str] = []

    records = datasets.load("automobile", None, lines.append)

    assert originals.automobile(data_dir("automobile")).sha256 == records.sha256
    assert lines and lines[0].startswith("fetching automobile into ")


def test_other_records_than_the_original_are_refused(server: dict[str, bytes]) -> None:
    """One number differs: that is not the data set that the task is about."""
    table = originals.automobile(data_dir("automobile")).X
    table.loc[3, "horsepower"] += 1
    serve_table(server, "automobile", table)

    with pytest.raises(DataError, match="the records are not those of the original files"):
        datasets.load("automobile", None)


def test_second_time_comes_from_the_cache(server: dict[str, bytes]) -> None:
    """No request is needed."""
    table = originals.automobile(data_dir("automobile")).X
    serve_table(server, "automobile", table)
    first = datasets.load("automobile", None)
    server.clear()

    assert first.sha256 == datasets.load("automobile", None).sha256


def test_data_in_another_form_are_an_error(server: dict[str, bytes]) -> None:
    """Neither a traceback nor a wrong array."""
    table = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    serve_table(server, "automobile", table)
    with pytest.raises(DataError, match="without symboling"):
        datasets.load("automobile", None)
    serve_table(server, "mnist", table)
    with pytest.raises(DataError, match=r"\(2, 1\) values from 1.0 to 2.0 were fetched"):
        datasets.load("mnist", None)


def test_what_is_nowhere_to_be_fetched_is_said() -> None:
    """OpenML's passengers are 1,309, not Kaggle's 891: another data set."""
    with pytest.raises(DataError, match="titanic cannot be fetched; give --data-dir"):
        datasets.load("titanic", None)


@pytest.fixture
def news(tmp_path: Path, server: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small archive, in a directory and on the server."""
    archive(news_file(tmp_path), documents())
    data = news_file(tmp_path).read_bytes()
    server["/news.tar.gz"] = data
    remote = _base.RemoteFileMetadata(
        filename="news.tar.gz",
        url=f"{server['base'].decode()}/news.tar.gz",
        checksum=hashlib.sha256(data).hexdigest(),
    )
    monkeypatch.setattr(_twenty_newsgroups, "ARCHIVE", remote)
    monkeypatch.setattr(fetch, "NEWS_COUNTS", COUNTS)
    return tmp_path


def test_documents_from_the_network_are_those_of_the_archive(news: Path) -> None:
    """The same order, the same bytes."""
    fetched: Records = fetch.fetch("newsgroups")
    read = originals.newsgroups(news, COUNTS)

    assert read.sha256 == fetched.sha256
    assert np.array_equal(read.y, fetched.y)
    assert read.X[0] == fetched.X[0]


def test_server_that_does_not_answer_is_said_with_the_way_out(
    server: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line, no traceback."""
    with pytest.raises(DataError, match=r"automobile cannot be fetched: .*give --data-dir"):
        datasets.load("automobile", None)


@pytest.mark.full  # it reads 170 MB
def test_whole_of_cifar_is_held_to_its_known_batches(tmp_path: Path) -> None:
    """Its first batch and its test data have known hashes; others in their places are refused."""
    known = datasets.load("cifar10_batch1", data_dir("cifar-10"))
    more = np.zeros((40_000, 3072), np.uint8)
    X = np.vstack([known.X[:10_000], more, known.X[10_000:]])
    y = np.concatenate([known.y[:10_000], np.zeros(40_000, np.int64), known.y[10_000:]])

    assert known.sha256 == datasets._ends(Records(X, y, 50_000), 10_000).sha256
    X[3, 5] += 1
    assert known.sha256 != datasets._ends(Records(X, y, 50_000), 10_000).sha256


def test_records_of_another_order_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same cars, shuffled: batches and splits would not be the same."""
    right = originals.automobile(data_dir("automobile"))
    shuffled = Records(right.X.iloc[::-1].reset_index(drop=True), right.y, right.training)
    monkeypatch.setattr(fetch, "fetch", lambda name, say: shuffled)

    with pytest.raises(DataError, match="the records are not those of the original files"):
        datasets.load("automobile", None)
