import pyarrow.parquet as pq
import pytest

from franca.data.scenes.metadata import Row, caption, image_url, md5, write_metadata


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("metadata") / "metadata.parquet"
    rows = [
        Row(image_url(f"{i}.jpg"), "a cone", (64, 48), md5(bytes([i % 256]))) for i in range(999)
    ]
    rows.append(Row("ftp://x", "a disc", (9, 8), md5(b""), {"punsafe": 0.4, "caption": "img"}))
    write_metadata(path, rows, seed=0)
    return pq.read_table(path)


def test_columns_and_types_are_those_of_relaion(table):
    assert [f"{field.name}:{field.type}" for field in table.schema] == [
        "url:string",
        "caption:string",
        "similarity:double",
        "hash:int64",
        "pwatermark:float",
        "punsafe:float",
        "key:string",
        "status:string",
        "error_message:string",
        "width:int32",
        "height:int32",
        "original_width:int32",
        "original_height:int32",
        "exif:string",
        "md5:string",
    ]


def test_scores_spread_as_in_the_real_table(table):
    frame = table.to_pandas()
    quintiles = frame[["similarity", "pwatermark", "punsafe"]].quantile([0.2, 0.4, 0.6, 0.8])
    expected = {
        "similarity": [0.30, 0.315, 0.33, 0.35],
        "pwatermark": [0.1, 0.2, 0.35, 0.6],
        "punsafe": [1e-5, 1e-4, 1e-3, 1e-2],
    }
    for column, values in expected.items():
        assert list(quintiles[column]) == pytest.approx(
            values, rel=0.5 if column == "punsafe" else 0.15
        )
    assert frame["punsafe"].max() < 0.45


def test_rows_keep_their_facts_in_an_order_of_their_own(table):
    rows = {row["url"]: row for row in table.to_pylist()}
    assert len(rows) == 1000
    row = rows["http://{origin}/images/7.jpg"]
    assert (row["width"], row["height"], row["original_height"]) == (64, 48, 48)
    assert row["md5"] == "89e74e640b8c46257a29de0616794d5d"
    order = [int(url.split("/")[-1][:-4]) for url in rows if url.startswith("http")]
    assert order != sorted(order)
    assert [row["key"] for row in rows.values()] == [f"{n:09d}" for n in range(1000)]


def test_columns_of_a_row_win(table):
    [row] = [row for row in table.to_pylist() if row["url"] == "ftp://x"]
    assert (row["caption"], row["punsafe"]) == ("img", pytest.approx(0.4))


def test_caption_names_what_is_shown():
    captions = {caption(0, "photo", index, ["cone", "disc"]) for index in range(30)}
    assert len(captions) > 3
    assert all("cone and disc" in text for text in captions)
