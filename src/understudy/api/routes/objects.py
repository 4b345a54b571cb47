"""Signed URLs of stored audio: ``GET`` (with ``HEAD`` and ranges) and one ``PUT``."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from understudy.api import answers
from understudy.api.auth import ContextDep, refuse_when_frozen
from understudy.api.downloads import ObjectResponse
from understudy.api.errors import error_response
from understudy.api.ranges import ByteRange, UnsatisfiableRangeError, parse_range
from understudy.store.buckets import check_size
from understudy.store.objects import ObjectStat, ObjectStore, OpenObject

router = APIRouter(tags=["objects"])

Signature = Annotated[str, Query(max_length=200)]
Expires = Annotated[str, Query(max_length=20)]
SignedType = Annotated[str, Query(alias="type", max_length=100)]


def _objects(ctx: ContextDep) -> ObjectStore:
    return ctx.objects


ObjectsDep = Annotated[ObjectStore, Depends(_objects)]


@router.get("/objects/{bucket}/{key:path}", summary="Read stored audio", response_class=Response)
@router.head("/objects/{bucket}/{key:path}", include_in_schema=False)
async def read_object(
    *,
    request: Request,
    objects: ObjectsDep,
    bucket: str,
    key: str,
    expires: Expires = "",
    signature: Signature = "",
) -> Response:
    """Send the audio, or one byte range of it; 403 for a forged or expired link."""
    objects.verify_get(bucket, key, expires=expires, signature=signature)
    reader = await objects.open(bucket, key)
    try:
        answer = _answer(request, reader, key)
    except BaseException:
        await reader.close()
        raise
    if not isinstance(answer, ObjectResponse):
        await reader.close()
    return answer


@router.put(
    "/objects/{bucket}/{key:path}",
    summary="Upload audio once",
    response_model=answers.StoredObject,
    dependencies=[Depends(refuse_when_frozen)],
)
async def write_object(
    *,
    request: Request,
    objects: ObjectsDep,
    bucket: str,
    key: str,
    expires: Expires = "",
    signature: Signature = "",
    signed_type: SignedType = "",
) -> dict[str, Any]:
    """Store the body; 409 when something is there already, 413 over the bucket's limit, nothing kept then."""
    content_type = objects.verify_put(
        bucket,
        key,
        expires=expires,
        signature=signature,
        signed_type=signed_type,
        content_type=request.headers.get("content-type", ""),
    )
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit():
        check_size(bucket, int(announced[:20]))
    stored = await objects.put_stream(bucket, key, request.stream(), content_type, exclusive=True)
    return {"key": f"{bucket}/{key}", "size": stored.size, "sha256": stored.sha256}


def _answer(request: Request, reader: OpenObject, key: str) -> Response:
    stat = reader.stat
    headers = _headers(stat, key)
    if _matches(request.headers.get("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    wanted = request.headers.get("range") if request.method == "GET" else None
    condition = request.headers.get("if-range")
    if condition is not None and condition != headers["ETag"]:
        wanted = None
    try:
        part = parse_range(wanted, stat.size)
    except UnsatisfiableRangeError:
        return _unsatisfiable(request, stat)
    whole = part or ByteRange(0, stat.size, stat.size)
    if part:
        headers["Content-Range"] = part.content_range
    return ObjectResponse(
        reader, whole.start, whole.length, status_code=206 if part else 200, headers=headers
    )


def _headers(stat: ObjectStat, key: str) -> dict[str, str]:
    # Keys are letters, digits and ._- only, so the name needs no quoting beyond the quotes.
    return {
        "Content-Type": stat.content_type,
        "Content-Disposition": f'inline; filename="{key.rsplit("/", 1)[-1]}"',
        "Accept-Ranges": "bytes",
        "ETag": f'"{stat.sha256}"',
        "Cache-Control": "private, max-age=60",
    }


def _matches(header: str | None, etag: str) -> bool:
    if not header:
        return False
    candidates = {part.strip().removeprefix("W/") for part in header.split(",")}
    return "*" in candidates or etag in candidates


def _unsatisfiable(request: Request, stat: ObjectStat) -> JSONResponse:
    return error_response(
        request,
        416,
        "The range lies outside the audio.",
        headers={"Content-Range": f"bytes */{stat.size}", "Accept-Ranges": "bytes"},
    )
