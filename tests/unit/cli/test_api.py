"""The command as a client of the HTTP API: how it signs in, and how it tells what it is refused."""

from __future__ import annotations

import boto3
import pytest

from spaceport.errors import UserError
from spaceport_cli.api import ApiClient, sign_in
from spaceport_cli.clouds import AwsCloud, output

PASSWORD = "a&b=c&d="  # in the secret of the `stack` fixture


@pytest.fixture
def cloud(stack) -> AwsCloud:
    stack()
    return AwsCloud("drones")


def set_password(cloud: AwsCloud, password: str, permanent: bool) -> None:
    boto3.client("cognito-idp").admin_set_user_password(
        UserPoolId=output(cloud, "UserPoolId"), Username="operator", Password=password, Permanent=permanent
    )


def test_the_first_to_sign_in_gives_the_operator_the_password(cloud: AwsCloud):
    # Given the account as CloudFormation makes it
    assert sign_in(cloud)
    # Then it has the secret's password as its own from now on
    user = boto3.client("cognito-idp").admin_get_user(
        UserPoolId=output(cloud, "UserPoolId"), Username="operator"
    )
    assert user["UserStatus"] == "CONFIRMED"
    assert sign_in(cloud)


def test_a_temporary_password_becomes_the_operators_own(cloud: AwsCloud):
    set_password(cloud, PASSWORD, permanent=False)
    assert sign_in(cloud)


def test_a_password_that_somebody_chose_is_left_alone(cloud: AwsCloud):
    set_password(cloud, "some other one", permanent=True)
    with pytest.raises(UserError, match="operator can't sign in") as refused:
        sign_in(cloud)
    assert refused.value.code == "no_access"
    assert "AdminSetUserPassword" in refused.value.hint


def test_a_problem_is_raised_in_its_own_words(cloud: AwsCloud, http_api):
    told = {"code": "job_over", "detail": "The job is COMPLETED.", "hint": "There is nothing to stop."}
    http_api.answers["POST /stop-job"] = (409, told)
    with pytest.raises(UserError) as refused:
        ApiClient(cloud).post("/stop-job", {"jobId": "job-1"})
    error = refused.value
    assert (error.code, error.message, error.hint) == ("job_over", told["detail"], told["hint"])
    assert http_api.posted == [("POST /stop-job", {"jobId": "job-1"})]


def test_what_the_gateway_refuses_is_told_too(cloud: AwsCloud, http_api):
    http_api.answers["GET /nothing"] = (404, {"message": "Not Found"})
    with pytest.raises(UserError, match="answered 404: Not Found"):
        ApiClient(cloud).get("/nothing")


@pytest.mark.parametrize(
    ("answer", "said"),
    [((599, {}), "answered 599: without a reason"), ((200, ["a page"]), "something that is not its own")],
)
def test_what_somebody_in_between_answers_is_told_as_such(cloud: AwsCloud, http_api, answer, said):
    http_api.answers["GET /jobs?limit=1"] = answer
    with pytest.raises(UserError, match=said):
        ApiClient(cloud).get("/jobs?limit=1")


def test_a_token_that_is_worth_nothing_is_replaced_once(cloud: AwsCloud, http_api):
    http_api.answers["GET /jobs/job-1"] = (401, {"message": "Unauthorized"})
    with pytest.raises(UserError, match="401"):
        ApiClient(cloud).get("/jobs/job-1")
    assert len(http_api.requests) == 2


def test_a_busy_gateway_is_asked_again_for_what_changes_nothing(cloud: AwsCloud, http_api):
    http_api.answers["GET /jobs/job-1"] = http_api.answers["POST /stop-job"] = (503, {"message": "Busy"})
    for ask in (lambda: ApiClient(cloud).get("/jobs/job-1"), lambda: ApiClient(cloud).post("/stop-job", {})):
        with pytest.raises(UserError, match="503"):
            ask()
    calls = [call for call, _ in http_api.requests]
    assert (calls.count("GET /jobs/job-1"), calls.count("POST /stop-job")) == (4, 1)


def test_an_api_that_is_not_there_is_told(cloud: AwsCloud, http_api, monkeypatch):
    monkeypatch.setattr(AwsCloud, "api_url", lambda self: "http://127.0.0.1:9/prod")
    with pytest.raises(UserError, match="can't be asked") as refused:
        ApiClient(cloud).get("/jobs")
    assert refused.value.code == "api_unreachable"


def test_a_proxy_is_asked_for_what_is_elsewhere_alone(cloud: AwsCloud, http_api, monkeypatch):
    # Given a proxy in the environment, which refuses everybody
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    # Then this machine's own address is asked directly, another one through the proxy
    assert ApiClient(cloud).get("/jobs?limit=1") == {"jobs": [], "next": None}
    monkeypatch.setattr(AwsCloud, "api_url", lambda self: "http://api.example/prod")
    with pytest.raises(UserError, match="proxy"):
        ApiClient(cloud).get("/jobs")


def test_each_connection_is_asked_a_ticket_of_its_own(cloud: AwsCloud, http_api):
    api = ApiClient(cloud)
    addresses = [api.socket_address() for _ in range(2)]
    assert addresses == [f"{cloud.websocket_url()}?ticket=ticket-{number}" for number in (1, 2)]


def test_a_ticket_that_there_is_not_now_is_a_lost_connection_and_a_refused_one_is_told(cloud, http_api):
    # Given an API that is busy, or broken
    for status, told in ((503, {"message": "Busy"}), (500, {"code": "fault", "detail": "x"}), (429, {})):
        http_api.answers["POST /ws-ticket"] = (status, told)
        with pytest.raises(ConnectionError):
            ApiClient(cloud).socket_address()
    # When it is one that knows no tickets
    http_api.answers["POST /ws-ticket"] = (404, {"message": "Not Found"})
    # Then no later try would help
    with pytest.raises(UserError, match="404"):
        ApiClient(cloud).socket_address()
