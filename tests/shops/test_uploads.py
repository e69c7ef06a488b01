"""Uploads: content decides, sizes are bounded, files are their owner's and the admins'."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.shops.errors import UnsupportedFile
from matcher.shops.uploads import MAX_FILE_BYTES, MAX_UPLOADS, recognise

PDF = b"%PDF-1.7\n1 0 obj\nendobj\ntrailer\n%%EOF\n"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR" + bytes(30)
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(30) + b"\xff\xd9"
WEBP = b"RIFF\x24\x00\x00\x00WEBPVP8 " + bytes(30)


@pytest.mark.parametrize(
    ("content", "content_type"),
    [(PDF, "application/pdf"), (PNG, "image/png"), (JPEG, "image/jpeg"), (WEBP, "image/webp")],
)
def test_content_is_recognised(content: bytes, content_type: str) -> None:
    assert recognise(content) == content_type


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<script>alert(1)</script>",
        b"GIF89a" + bytes(30),
        b"MZ\x90\x00",
        b"PK\x03\x04",
        b"%PDF-1.7\n<script>",
        b"\x89PNG\r\n\x1a\n<script>",
        b"\xff\xd8\xff<script>",
        b"RIFF\x24\x00\x00\x00WAVEfmt ",
        b" " + PNG,
    ],
)
def test_anything_else_is_refused(content: bytes) -> None:
    with pytest.raises(UnsupportedFile):
        recognise(content)


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_or_recognised_never_a_crash(content: bytes) -> None:
    try:
        assert recognise(content).split("/")[0] in ("application", "image")
    except UnsupportedFile:
        assert not content.startswith(PNG[:16])


async def test_an_upload_comes_back_as_it_was(world: Any) -> None:
    owner = await world.person()
    response = await owner.call("POST", "/uploads", files={"file": ("x.pdf", PDF, "application/pdf")})
    assert response.status_code == 201
    view = response.json()
    assert (view["contentType"], view["sizeBytes"]) == ("application/pdf", len(PDF))
    file = await owner.call("GET", f"/uploads/{view['id']}")
    assert file.content == PDF
    assert file.headers["content-type"] == "application/pdf"
    assert file.headers["x-content-type-options"] == "nosniff"
    assert file.headers["content-disposition"] == "attachment"


async def test_the_content_decides_not_the_name(world: Any) -> None:
    owner = await world.person()
    view = await owner.do("POST", "/uploads", files={"file": ("x.exe", JPEG, "application/x-msdownload")})
    assert view["contentType"] == "image/jpeg"
    script = {"file": ("x.png", b"<html><script>", "image/png")}
    problem = await owner.refused("POST", "/uploads", files=script)
    assert (problem["status"], problem["code"]) == (422, "unsupported_file")


async def test_a_file_is_its_owners_and_the_admins(world: Any) -> None:
    owner, other, admin = await world.person(), await world.person(), await world.person("admin")
    path = "/uploads/" + (await owner.do("POST", "/uploads", files={"file": ("x", PNG)}))["id"]
    assert (await other.refused("GET", path))["status"] == 404
    assert (await admin.call("GET", path)).content == PNG
    assert (await owner.refused("GET", f"/uploads/{uuid4()}"))["status"] == 404
    assert (await world.client.get(f"/api/v1{path}")).status_code == 401


@pytest.mark.parametrize(
    ("kwargs", "status", "code"),
    [
        ({"json": {"file": "x"}}, 415, "unsupported_media_type"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400, "invalid_request"),
        (
            {"content": b"x", "headers": {"content-type": "multipart/form-data; boundary=b"}},
            400,
            "invalid_request",
        ),
        (
            {"content": b"", "headers": {"content-type": "multipart/form-data; boundary=b"}},
            400,
            "invalid_request",
        ),
        ({"files": {"other": ("x.png", PNG)}}, 400, "invalid_request"),
        ({"files": {"file": (None, "text")}}, 400, "invalid_request"),
        ({"files": [("file", ("a", PNG)), ("file", ("b", PNG))]}, 400, "invalid_request"),
        ({"files": {"file": (None, b"\xff\xfe")}}, 400, "invalid_request"),
        (
            {
                "content": b'--b\r\nContent-Disposition: form-data; name="file"\r\n'
                b"Content-Type: text/plain; charset=klingon\r\n\r\nx\r\n--b--\r\n",
                "headers": {"content-type": "multipart/form-data; boundary=b"},
            },
            400,
            "invalid_request",
        ),
    ],
)
async def test_a_bad_form_is_refused(world: Any, kwargs: dict[str, Any], status: int, code: str) -> None:
    owner = await world.person()
    problem = await owner.refused("POST", "/uploads", **kwargs)
    assert (problem["status"], problem["code"]) == (status, code)


async def test_sizes_are_bounded(world: Any) -> None:
    owner = await world.person()
    largest = PNG + bytes(MAX_FILE_BYTES - len(PNG))
    assert (await owner.do("POST", "/uploads", files={"file": ("x", largest)}))["sizeBytes"] == MAX_FILE_BYTES
    for extra in (1, 2**21):
        problem = await owner.refused("POST", "/uploads", files={"file": ("x", largest + bytes(extra))})
        assert (problem["status"], problem["code"]) == (413, "payload_too_large")
    assert await world.pool.fetchval("SELECT count(*) FROM uploads") == 1


async def test_uploads_of_an_account_are_bounded(world: Any) -> None:
    owner = await world.person()
    await world.pool.execute(
        "INSERT INTO uploads (id, owner_id, content_type, size_bytes, sha256, content)"
        " SELECT gen_random_uuid(), $1, 'image/png', 0, '', '' FROM generate_series(1, $2)",
        owner.id,
        MAX_UPLOADS,
    )
    problem = await owner.refused("POST", "/uploads", files={"file": ("x", PNG)})
    assert (problem["status"], problem["code"]) == (409, "too_many_uploads")


async def test_a_repeated_upload_with_its_key_is_stored_once(world: Any) -> None:
    owner = await world.person()
    key = {"Idempotency-Key": "once"}
    # Each form has another boundary.
    first = await owner.do("POST", "/uploads", files={"file": ("x", PNG)}, headers=key)
    again = await owner.call("POST", "/uploads", files={"file": ("x", PNG)}, headers=key)
    assert again.json() == first
    assert again.headers["idempotency-replayed"] == "true"
    other = await owner.refused("POST", "/uploads", files={"file": ("x", JPEG)}, headers=key)
    assert other["code"] == "idempotency_key_reused"
    assert await world.pool.fetchval("SELECT count(*) FROM uploads") == 1


async def test_foreign_files_are_found_among_ids(world: Any) -> None:
    owner, other = await world.person(), await world.person()
    own = UUID((await owner.do("POST", "/uploads", files={"file": ("x", PNG)}))["id"])
    foreign = UUID((await other.do("POST", "/uploads", files={"file": ("x", PNG)}))["id"])
    unknown = uuid4()
    assert await world.uploads.find_foreign(owner.id, {own, foreign, unknown}) == {foreign, unknown}
