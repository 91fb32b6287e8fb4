"""Uploads in parts, for those who lack S3's own tools: a web page PUTs each part to an address it is given.

A zip of gigabytes outlives a lost connection that way: parts go up side by side, each is tried again by
itself, and after a reload the page asks which are there. S3 keeps the state, and forgets an upload that
nobody finishes after a day; here is only who may do what: an upload is of whom its key names, and its id
says how large it is. S3 refuses a part of another length than its address is signed for: so nobody stores
more than an upload may have, whatever they make of the id.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from botocore.exceptions import ClientError

from spaceport.archive import Limits
from spaceport.callers import Caller
from spaceport.errors import UserError
from spaceport.intake import Intake
from spaceport.job import REQUEST_METADATA, JobRequest, job_id_for, owner_of
from spaceport.sidecar import to_metadata

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

MAX_UPLOAD_BYTES = Limits().max_unpacked_bytes  # photos hardly shrink: a larger zip would be refused anyway
# S3 takes 10,000, but all of them in one request's body; 500 of the longest etags are half of that.
MAX_PARTS = 500
# S3's least is 5 MiB. Eight go up in a second or two on a good line, and are soon sent again on a bad one.
MIN_PART_BYTES = 8 * 2**20
ADDRESSES_A_CALL = 100
ADDRESS_LIFE_S = 3600  # for the slowest line to send the parts of one call, and for no longer
_MEDIA_TYPE = "application/zip"
_UPLOAD_ID = re.compile(r"(?P<size>[1-9][0-9]{0,19})-(?P<s3_id>.+)", re.DOTALL)  # as `UploadId` writes it
# What S3 says of parts that are not those that it has.
_WRONG_PARTS = frozenset({"InvalidPart", "InvalidPartOrder", "EntityTooSmall", "MalformedXML"})


@dataclass(frozen=True)
class Upload:
    """An upload that S3 waits for. `part_bytes` is the size of each part but the last."""

    upload_id: str
    key: str
    part_bytes: int
    parts: int


@dataclass(frozen=True)
class UploadId:
    """An upload's id as a client has it: `{size}-{S3's id}`."""

    size: int  # bytes
    s3_id: str

    @classmethod
    def read(cls, told: str) -> Self:
        """Raises UserError `no_such_upload` for what is none."""
        found = _UPLOAD_ID.fullmatch(told)
        if found is None or int(found["size"]) > MAX_UPLOAD_BYTES:
            raise _no_such_upload()
        return cls(int(found["size"]), found["s3_id"])

    def __str__(self) -> str:
        return f"{self.size}-{self.s3_id}"

    def length(self, number: int) -> int:
        """The bytes of a part. Raises UserError `wrong_parts` for one that there is not."""
        a_part = part_size(self.size)
        length = min(a_part, self.size - (number - 1) * a_part)
        if length <= 0:
            raise _wrong_parts(f"there is no part {number} of {self.size} bytes.")
        return length


@dataclass(frozen=True)
class Part:
    """A part that S3 has: numbered from 1, with its ETag as S3 writes it."""

    number: int
    size: int
    etag: str


# The last part of an `upload_key`.
MAX_STEM = 80
_NAME = re.compile(rf"[A-Za-z0-9._-]{{1,{MAX_STEM}}}-[0-9a-f]{{8}}\.zip")


def part_size(size: int) -> int:
    """The bytes of each part but the last of `size` bytes: whole MiB, and MAX_PARTS parts at most."""
    a_part = -(-size // MAX_PARTS)
    return max(MIN_PART_BYTES, -(-a_part // 2**20) * 2**20)


def key_stem(name: str) -> str:
    """`name` in letters that every part of the way to SageMaker takes in an S3 URI."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-.")[:MAX_STEM] or "photos"


def upload_key(caller: Caller, file_name: str, digits: str) -> str:
    """Where a zip of the caller's goes: below their own prefix, under a name that no other upload has.

    Raises:
        UserError: `bad_user_name` where that would be another owner's.
    """
    key = f"uploads/{caller.name}/{key_stem(re.sub(r'[.]zip$', '', file_name, flags=re.I))}-{digits}.zip"
    if owner_of(key) != caller.name:
        raise UserError(
            "bad_user_name", "Your user name has a slash in it.", "Ask an admin for a user without one."
        )
    return key


class Uploads:
    """The unfinished uploads of one bucket."""

    def __init__(self, s3: S3Client, intake: Intake, bucket: str) -> None:
        self._s3 = s3
        self._intake = intake
        self._bucket = bucket

    def begin(self, caller: Caller, file_name: str, size: int, request: JobRequest) -> Upload:
        """A new upload of `size` bytes; its job will be done as `request` says.

        Raises:
            UserError: `too_large`, `not_a_zip`, `request_too_long`, `bad_user_name`.
        """
        if size > MAX_UPLOAD_BYTES:
            raise _too_large()
        if not file_name.lower().endswith(".zip"):
            raise UserError("not_a_zip", "fileName does not end in .zip.", "Put the photos into a .zip.")
        key = upload_key(caller, file_name, secrets.token_hex(4))
        begun = self._s3.create_multipart_upload(
            Bucket=self._bucket,
            Key=key,
            ContentType=_MEDIA_TYPE,
            Metadata={REQUEST_METADATA: to_metadata(request)},
        )
        a_part = part_size(size)
        return Upload(str(UploadId(size, begun["UploadId"])), key, a_part, -(-size // a_part))

    def addresses(self, caller: Caller, upload_id: str, key: str, numbers: Sequence[int]) -> dict[int, str]:
        """Where to PUT each of these parts, with its very length, for an hour.

        Raises:
            UserError: `no_such_upload` of another's; `wrong_parts`.
        """
        self._check_owner(caller, key)
        upload = UploadId.read(upload_id)
        whose = {"Bucket": self._bucket, "Key": key, "UploadId": upload.s3_id}
        return {
            number: self._s3.generate_presigned_url(
                "upload_part",
                Params={**whose, "PartNumber": number, "ContentLength": upload.length(number)},
                ExpiresIn=ADDRESS_LIFE_S,
            )
            for number in numbers
        }

    def parts(self, caller: Caller, upload_id: str, key: str) -> list[Part]:
        """The parts that are there, in order. Raises UserError `no_such_upload`."""
        self._check_owner(caller, key)
        s3_id = UploadId.read(upload_id).s3_id
        found: list[Part] = []
        after = 0
        while True:
            try:
                page = self._s3.list_parts(
                    Bucket=self._bucket, Key=key, UploadId=s3_id, PartNumberMarker=after
                )
            except ClientError as error:
                raise _refused(error) from error
            found += [Part(part["PartNumber"], part["Size"], part["ETag"]) for part in page.get("Parts", [])]
            if not page["IsTruncated"]:
                return found
            after = page["NextPartNumberMarker"]

    def complete(self, caller: Caller, upload_id: str, key: str, etags: Sequence[tuple[int, str]]) -> str:
        """Make one zip of the parts with these numbers and ETags; the id of its job, which starts by itself.

        Completed once more, for an answer that was lost, it is the same job.

        Raises:
            UserError: `no_such_upload`, `wrong_parts`; `too_large`, after which the upload is gone.
        """
        try:
            there = self.parts(caller, upload_id, key)
        except UserError:
            self._check_owner(caller, key)
            return self._job_of(key, self._finished(key))
        if sum(part.size for part in there) > MAX_UPLOAD_BYTES:
            self.abort(caller, upload_id, key)
            raise _too_large()
        known = {(part.number, _bare(part.etag)) for part in there}
        if untold := {(number, _bare(etag)) for number, etag in etags} - known:
            # Not left to S3 alone: it may have got another part since these were counted.
            raise _wrong_parts(f"part {min(untold)[0]} is not there with that ETag.")
        parts: list[CompletedPartTypeDef] = [{"PartNumber": number, "ETag": etag} for number, etag in etags]
        try:
            made = self._s3.complete_multipart_upload(
                Bucket=self._bucket,
                Key=key,
                UploadId=UploadId.read(upload_id).s3_id,
                MultipartUpload={"Parts": parts},
            )
        except ClientError as error:
            raise _refused(error) from error
        return self._job_of(key, made["VersionId"])

    def abort(self, caller: Caller, upload_id: str, key: str) -> None:
        """Forget the upload and its parts. Raises UserError `no_such_upload`."""
        self._check_owner(caller, key)
        s3_id = UploadId.read(upload_id).s3_id
        try:
            self._s3.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=s3_id)
        except ClientError as error:
            raise _refused(error) from error

    def s3_uri(self, key: str) -> str:
        """The zip as `POST /start-job` names it."""
        return f"s3://{self._bucket}/{key}"

    def _job_of(self, key: str, version: str) -> str:
        return job_id_for(self._bucket, key, version)

    def _finished(self, key: str) -> str:
        """The version of the zip that an upload to `key` has become. Raises UserError `no_such_upload`."""
        try:
            return self._intake.newest_version(self._bucket, key)
        except UserError as error:
            raise _no_such_upload() from error

    def _check_owner(self, caller: Caller, key: str) -> None:
        """Only what `upload_key` makes is asked of S3: of other keys it knows errors that nobody expects."""
        folder, _, name = key.rpartition("/")
        if folder != f"uploads/{caller.name}" or owner_of(key) != caller.name or not _NAME.fullmatch(name):
            raise _no_such_upload()


def _bare(etag: str) -> str:
    """S3 takes it with its quotes and without."""
    return etag.strip('"')


def _refused(error: ClientError) -> Exception:
    code = error.response["Error"]["Code"]
    if code == "NoSuchUpload":
        return _no_such_upload()
    if code in _WRONG_PARTS:
        return _wrong_parts(error.response["Error"]["Message"])
    return error


def _wrong_parts(why: str) -> UserError:
    return UserError(
        "wrong_parts",
        f"The parts that are there are not those that you tell: {why}",
        "Ask which parts are there, send the others again, and complete with their ETags.",
    )


def _no_such_upload() -> UserError:
    return UserError(
        "no_such_upload",
        "There is no such unfinished upload of yours.",
        "Begin a new one: uploads that nobody finishes are forgotten after a day.",
    )


def _too_large() -> UserError:
    return UserError(
        "too_large",
        f"An upload may have {MAX_UPLOAD_BYTES >> 30} GB.",
        "Split the flight into several zips.",
    )
