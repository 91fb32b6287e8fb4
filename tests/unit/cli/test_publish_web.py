"""Publishing the web app: which files go, what they are told, and that the page goes last."""

from __future__ import annotations

import json
import re

import boto3
import pytest
from moto import mock_aws

from spaceport_cli.commands.publish_web import publish
from spaceport_cli.exits import UsageError

OUTPUTS = {
    "WebBucket": "drones-web",
    "DistributionId": "E1",
    "UploadsBucket": "drones-uploads",
    "DataBucket": "drones-data",
    "WebOrigin": "https://none.invalid",
    "UserPoolId": "eu-central-1_abc",
    "UserPoolClientId": "client",
    "ApiUrl": "https://api1.execute-api.eu-central-1.amazonaws.com/prod",
    "WebSocketUrl": "wss://ws1.execute-api.eu-central-1.amazonaws.com/prod",
}


class Site:
    """A stack with a site, its bucket on moto; notes what is asked of CloudFront, and in which order."""

    outputs = OUTPUTS

    def __init__(self) -> None:
        self.s3 = boto3.client("s3", region_name="us-east-1")
        self.s3.create_bucket(Bucket=OUTPUTS["WebBucket"])
        self.calls: list[str] = []
        self.s3.meta.events.register("before-call.s3.PutObject", self._put)

    def client(self, service):
        return self.s3 if service == "s3" else self

    def create_invalidation(self, **asked):
        self.calls.append(f"{asked['DistributionId']} {asked['InvalidationBatch']['Paths']['Items']}")

    def _put(self, params, **_):
        self.calls.append(params["url_path"].rpartition("drones-web/")[2].lstrip("/"))

    def app_url(self):
        return "https://d1.cloudfront.net/"

    def api_url(self):
        return OUTPUTS["ApiUrl"]

    def websocket_url(self):
        return OUTPUTS["WebSocketUrl"]


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    with mock_aws():
        yield Site()


def test_the_app_is_published_with_its_configuration_and_the_page_last(site, repository, capsys):
    publish(site, repository)

    kept = {found["Key"] for found in site.s3.list_objects_v2(Bucket="drones-web")["Contents"]}
    assert {"index.html", "app/main.js", "styles/base.css", "openapi.json", "config.json"} <= kept
    page = site.s3.head_object(Bucket="drones-web", Key="app/main.js")
    assert page["ContentType"] in {"text/javascript", "application/javascript"}
    assert site.calls[-2:] == ["index.html", "E1 ['/*']"]
    told = capsys.readouterr()
    assert told.out.strip() == "https://d1.cloudfront.net/"
    assert "WebOrigin=https://d1.cloudfront.net." in told.err


def test_the_configuration_names_the_cloud_and_holds_no_secret(site, repository):
    publish(site, repository)

    config = json.loads(site.s3.get_object(Bucket="drones-web", Key="config.json")["Body"].read())
    assert config == {
        "apiUrl": OUTPUTS["ApiUrl"],
        "webSocketUrl": OUTPUTS["WebSocketUrl"],
        "cognitoUrl": "https://cognito-idp.eu-central-1.amazonaws.com",
        "userPoolId": OUTPUTS["UserPoolId"],
        "userPoolClientId": "client",
        "resultsUrl": "/",
    }


def test_the_page_may_ask_its_own_cloud_and_nobody_else(site, repository):
    publish(site, repository)

    page = site.s3.get_object(Bucket="drones-web", Key="index.html")["Body"].read().decode()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    allowed = {name: hosts for name, *hosts in (part.split() for part in policy.split("; "))}
    api = "https://api1.execute-api.eu-central-1.amazonaws.com"
    assert allowed == {
        "connect-src": [
            "'self'",
            api,
            "wss://ws1.execute-api.eu-central-1.amazonaws.com",
            "https://cognito-idp.eu-central-1.amazonaws.com",
            "https://drones-uploads.s3.amazonaws.com",
            "https://drones-uploads.s3.eu-central-1.amazonaws.com",
        ],
        "frame-src": ["'self'", api],
        "img-src": [
            "'self'",
            "blob:",
            api,
            "https://drones-data.s3.amazonaws.com",
            "https://drones-data.s3.eu-central-1.amazonaws.com",
        ],
    }


def test_a_folder_without_the_app_is_refused(site, tmp_path):
    with pytest.raises(UsageError, match="no web app"):
        publish(site, tmp_path)
