"""The web app before the engine: what is the app's, what goes through, and with which headers."""

from __future__ import annotations

import asyncio
import json

import pytest

from spaceport_local.endpoint import Endpoint
from spaceport_local.site import Site

OUTPUTS = {
    "ApiId": "api1",
    "WebSocketApiId": "ws1",
    "UserPoolId": "us-east-1_abc",
    "UserPoolClientId": "client",
    "DataBucket": "data",
    "AccessTokenSecretArn": "arn:secret",
}


async def engine(scope, receive, send):
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b"the engine"})


@pytest.fixture
def site(repository):
    return Site(engine, repository, Endpoint(4566), lambda: OUTPUTS)


def ask(site, path, method="GET", host="127.0.0.1:4566", accept="*/*", query=b""):
    """(status, headers, body) of the answer."""
    sent = []

    async def send(message):
        sent.append(message)

    headers = [(b"host", host.encode()), (b"accept", accept.encode())]
    scope = {"type": "http", "method": method, "path": path, "query_string": query, "headers": headers}
    asyncio.run(site(scope, None, send))
    told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], told, sent[1]["body"]


def test_the_page_comes_with_a_policy_that_lets_in_nothing_else(site):
    status, headers, body = ask(site, "/_app/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert body.startswith(b"<!doctype html>")
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert "connect-src 'self' ws://127.0.0.1:4566;" in headers["content-security-policy"]


def test_its_configuration_names_this_cloud_and_holds_no_secret(site):
    _, _, body = ask(site, "/_app/config.json")
    config = json.loads(body)
    assert config["apiUrl"] == "/_aws/execute-api/api1/prod"
    assert config["resultsUrl"] == "/data"
    assert b"arn:secret" not in body


def test_a_cloud_without_a_stack_has_no_configuration(repository):
    site = Site(engine, repository, Endpoint(4566), dict)
    assert ask(site, "/_app/config.json")[0] == 503


@pytest.mark.parametrize(
    "path",
    ["/_app/../template.yaml", "/_app/app", "/_app/%2e%2e/pyproject.toml", "/_app//etc/passwd", "/_app/no"],
)
def test_nothing_but_the_app_is_there(site, path):
    assert ask(site, path)[0] == 404


@pytest.mark.parametrize(
    "asked",
    [{"path": "/", "accept": "text/html"}, {"path": "/_app"}, {"path": "/_app/", "host": "localhost:4566"}],
)
def test_people_are_sent_to_the_app_s_own_address(site, asked):
    status, headers, _ = ask(site, **asked)
    assert (status, headers["location"]) == (307, "http://127.0.0.1:4566/_app/")


@pytest.mark.parametrize(
    "asked",
    [
        {"path": "/"},
        {"path": "/", "accept": "text/html", "query": b"list-type=2"},
        {"path": "/_app/", "method": "POST"},
        {"path": "/data/jobs/a/compressed/viewer/index.html", "accept": "text/html"},
    ],
)
def test_all_else_is_the_engine_s(site, asked):
    assert ask(site, **asked)[0] == 299


def test_the_site_on_aws_has_the_same_policy(repository, site):
    template = (repository / "template.yaml").read_text()
    _, headers, _ = ask(site, "/_app/")
    for directive in headers["content-security-policy"].split("; "):
        name, *_ = directive.split()
        assert name in template
        if name != "connect-src":  # there it names AWS's services
            assert directive in template
