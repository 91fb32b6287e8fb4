"""`spaceport publish-web`: put the web app where a stack on AWS serves it, told where its cloud is."""

from __future__ import annotations

import argparse
import hashlib
import json
import mimetypes
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from spaceport.errors import UserError
from spaceport_cli.clouds import AwsCloud, Cloud, output
from spaceport_cli.exits import ExitCode, UsageError

FOLDER, API_DOCUMENT = "web", "docs/openapi.json"
CONFIG, ENTRY = "config.json", "index.html"
CHARSET = b'<meta charset="utf-8">\n'


def execute(args: argparse.Namespace) -> ExitCode:
    """Send the app's files, the page itself last, and print its address."""
    publish(AwsCloud(args.stack), args.project)
    return ExitCode.DONE


def publish(cloud: Cloud, project: Path) -> None:
    """Put the app of the checkout `project` into the cloud's bucket, and let nobody see an older one.

    Raises:
        UserError: `no_output` where the stack has no site, `publish_failed`.
        UsageError: `project` is no checkout.
    """
    address, bucket = cloud.app_url(), output(cloud, "WebBucket")
    config = web_config(cloud)
    files = {**dict(site_files(project)), CONFIG: json.dumps(config, indent=1).encode()}
    page = with_policy(files.pop(ENTRY), cloud, config)
    try:
        s3 = cloud.client("s3")
        for name, content in {**files, ENTRY: page}.items():
            _put(s3, bucket, name, content)
        _forget_copies(cloud.client("cloudfront"), output(cloud, "DistributionId"), [*files.values(), page])
    except (BotoCoreError, ClientError) as error:
        raise UserError(
            "publish_failed",
            f"The web app could not be published: {error}",
            "It takes the rights s3:PutObject on the stack's WebBucket, and cloudfront:CreateInvalidation.",
        ) from error
    print(address)
    origin = address.rstrip("/")
    if output(cloud, "WebOrigin") != origin:
        print(
            f"The page may not call its cloud yet: deploy the stack with WebOrigin={origin}.", file=sys.stderr
        )


def site_files(project: Path) -> Iterator[tuple[str, bytes]]:
    """(name, content) of each of the app's files but its configuration."""
    folder = project / FOLDER
    if not (folder / ENTRY).is_file():
        raise UsageError(f"There is no web app in {folder}.", "Name a checkout of Spaceport with --project.")
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            yield file.relative_to(folder).as_posix(), file.read_bytes()
    document = project / API_DOCUMENT
    yield document.name, document.read_bytes()


def web_config(cloud: Cloud) -> Mapping[str, str]:
    """`config.json`: where the page finds its cloud."""
    return {
        "apiUrl": cloud.api_url(),
        "webSocketUrl": cloud.websocket_url(),
        "cognitoUrl": f"https://cognito-idp.{_region(cloud)}.amazonaws.com",
        "userPoolId": output(cloud, "UserPoolId"),
        "userPoolClientId": output(cloud, "UserPoolClientId"),
        "resultsUrl": "/",
    }


def with_policy(page: bytes, cloud: Cloud, config: Mapping[str, str]) -> bytes:
    """The page, told which hosts it may ask: its site's policy, which applies too, can't name them."""
    api = _host(config["apiUrl"])
    asked = [
        api,
        _host(config["webSocketUrl"]),
        _host(config["cognitoUrl"]),
        *_hosts_of(cloud, "UploadsBucket"),
    ]
    # What a link shows: a page of the API's, and a picture that the API sends on to the bucket.
    policy = "; ".join(
        [
            f"connect-src 'self' {' '.join(asked)}",
            f"frame-src 'self' {api}",
            f"img-src 'self' blob: {' '.join([api, *_hosts_of(cloud, 'DataBucket')])}",
        ]
    )
    told = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    return page.replace(CHARSET, CHARSET + told.encode(), 1)


def _host(address: str) -> str:
    return "{0.scheme}://{0.netloc}".format(urlsplit(address))


def _hosts_of(cloud: Cloud, bucket_output: str) -> list[str]:
    """Where a signed address may lead: a bucket's has either form."""
    bucket, region = output(cloud, bucket_output), _region(cloud)
    return [f"https://{bucket}.s3.{place}amazonaws.com" for place in ("", f"{region}.")]


def _region(cloud: Cloud) -> str:
    return output(cloud, "UserPoolId").partition("_")[0]  # a pool's id is REGION_NAME


def _put(s3: Any, bucket: str, name: str, content: bytes) -> None:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    # Names stay the same from one version to the next, so a browser asks each time whether its copy is good.
    s3.put_object(Bucket=bucket, Key=name, Body=content, ContentType=kind, CacheControl="no-cache")


def _forget_copies(cloudfront: Any, distribution: str, contents: list[bytes]) -> None:
    reference = hashlib.sha256(b"".join(contents)).hexdigest()  # the same files again need no second time
    paths = {"Quantity": 1, "Items": ["/*"]}
    cloudfront.create_invalidation(
        DistributionId=distribution, InvalidationBatch={"Paths": paths, "CallerReference": reference}
    )
