"""Each format's records become events: the documented variants, one by one."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from auditbus.console.sources import FORMATS
from auditbus.producers.testing import RecordingProducer
from auditbus.schemas.errors import InvalidEvent, RejectCode
from auditbus.schemas.timestamps import parse_rfc3339
from auditbus.schemas.validation import validate
from tests.source_records import RECORDS, cloudtrail, github, kubernetes, okta

_NAMES = sorted(FORMATS)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def mapped(name: str, record: dict[str, Any], account: str | None = None) -> dict[str, Any]:
    """Return the event, having made sure that it is one."""
    event = FORMATS[name].map_record(orjson.loads(orjson.dumps(record)), account)
    validate(orjson.dumps({"schema_version": 1, **event}))
    return event


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for member in value.values() for leaf in _leaves(member)]
    if isinstance(value, list):
        return [leaf for member in value for leaf in _leaves(member)]
    return [] if value is None else [value]


@pytest.mark.parametrize("name", _NAMES)
def test_nothing_of_a_record_is_lost(name: str) -> None:
    record = RECORDS[name](7, added_tomorrow={"deep": [1, {"x": "y"}]})
    kept = _leaves(mapped(name, record, "acme"))
    own_time = {"@timestamp", "created_at"} & record.keys()
    for leaf in _leaves({key: value for key, value in record.items() if key not in own_time}):
        assert leaf in kept, leaf


@pytest.mark.parametrize("name", _NAMES)
def test_the_id_is_that_of_the_record_and_of_its_time(name: str) -> None:
    record = RECORDS[name](7)
    event = mapped(name, record, "acme")
    shuffled = dict(reversed(record.items())) | {"added_tomorrow": 1}
    assert mapped(name, shuffled, "acme")["id"] == event["id"]
    assert mapped(name, RECORDS[name](8), "acme")["id"] != event["id"]
    # UUIDv7: the first 48 bits are the time in milliseconds.
    at_ms = int(event["id"].replace("-", "")[:12], 16)
    assert at_ms == int(parse_rfc3339(event["occurred_at"]).timestamp() * 1000)


@pytest.mark.parametrize(
    ("name", "own_id"),
    [
        ("cloudtrail", "eventID"),
        ("github", "_document_id"),
        ("kubernetes", "auditID"),
        ("okta", "uuid"),
    ],
)
def test_a_record_without_an_id_is_known_by_all_that_it_says(name: str, own_id: str) -> None:
    record = RECORDS[name](7, **{own_id: None})
    first = mapped(name, record, "acme")["id"]
    assert mapped(name, dict(reversed(record.items())), "acme")["id"] == first
    assert mapped(name, {**record, "more": 1}, "acme")["id"] != first


@pytest.mark.parametrize("name", _NAMES)
def test_the_account_that_is_given_wins(name: str) -> None:
    assert mapped(name, RECORDS[name](), "given")["account"] == {"id": "given"}


@pytest.mark.parametrize(
    ("name", "changed", "field", "code"),
    [
        ("cloudtrail", {"eventTime": None}, "eventTime", RejectCode.MISSING_FIELD),
        ("cloudtrail", {"eventTime": "yesterday"}, "eventTime", RejectCode.INVALID_VALUE),
        (
            "cloudtrail",
            {"eventTime": "1999-01-01T00:00:00Z"},
            "eventTime",
            RejectCode.INVALID_VALUE,
        ),
        ("cloudtrail", {"eventName": "Two Words"}, "eventName", RejectCode.INVALID_VALUE),
        (
            "cloudtrail",
            {"userIdentity": {"arn": 7}},
            "userIdentity.arn",
            RejectCode.WRONG_TYPE,
        ),
        ("cloudtrail", {"resources": [{}, 7]}, "resources[1]", RejectCode.WRONG_TYPE),
        ("github", {"action": ""}, "action", RejectCode.MISSING_FIELD),
        ("github", {"@timestamp": None, "created_at": None}, "@timestamp", "missing_field"),
        ("github", {"@timestamp": 2**62}, "@timestamp", RejectCode.INVALID_VALUE),
        ("github", {"@timestamp": 1.5}, "@timestamp", RejectCode.WRONG_TYPE),
        ("kubernetes", {"verb": None}, "verb", RejectCode.MISSING_FIELD),
        ("kubernetes", {"kind": "Pod"}, "kind", RejectCode.INVALID_VALUE),
        ("kubernetes", {"sourceIPs": "1.2.3.4"}, "sourceIPs", RejectCode.WRONG_TYPE),
        (
            "kubernetes",
            {"objectRef": {"resource": "a b"}},
            "objectRef.resource",
            RejectCode.INVALID_VALUE,
        ),
        ("okta", {"published": 5}, "published", RejectCode.WRONG_TYPE),
        ("okta", {"eventType": None}, "eventType", RejectCode.MISSING_FIELD),
        ("okta", {"actor": []}, "actor", RejectCode.WRONG_TYPE),
    ],
)
def test_what_cannot_be_mapped_is_named_by_the_records_own_field(
    name: str, changed: dict[str, Any], field: str, code: str
) -> None:
    with pytest.raises(InvalidEvent) as refused:
        FORMATS[name].map_record(RECORDS[name](0, **changed), "acme")
    assert (refused.value.field, refused.value.code) == (field, code)


@pytest.mark.parametrize("name", _NAMES)
@given(noise=st.dictionaries(st.text(), _JSON, max_size=4), data=st.data())
@example(noise={}, data=None)
def test_a_mapper_raises_nothing_but_invalid_event(name: str, noise: Any, data: Any) -> None:
    """For any object, and for any value in the place of any that a record has, at any depth."""
    record = RECORDS[name]()
    if data is None:
        record = {}
    else:
        where: Any = record
        while isinstance(where, dict) and where:
            key = data.draw(st.sampled_from(sorted(where)))
            if not isinstance(where[key], dict) or data.draw(st.booleans()):
                where[key] = data.draw(_JSON)
                break
            where = where[key]
    for candidate in (noise, {**record, **noise}, dict.fromkeys(record)):
        try:
            event = FORMATS[name].map_record(candidate, "acme")
        except InvalidEvent:
            continue
        assert {"id", "action", "occurred_at", "actor", "metadata"} <= event.keys()


def test_cloudtrail_a_role_that_was_assumed() -> None:
    event = mapped("cloudtrail", cloudtrail(7))
    assert event["action"] == "TerminateInstances"
    assert event["account"] == {"id": "111122223333"}
    assert event["actor"] == {
        "type": "service",
        "id": "arn:aws:sts::111122223333:assumed-role/Deployer/ann@example.com",
        "name": "ann@example.com",
        "email": "ann@example.com",
        "credential": {"type": "access_key", "id": "ASIAMADEUP"},
        "on_behalf_of": {
            "type": "role",
            "id": "arn:aws:iam::111122223333:role/Deployer",
            "name": "Deployer",
        },
    }
    assert event["targets"] == [{"type": "instance", "id": "i-00000007"}]
    assert event["outcome"] == "success"
    assert "error" not in event
    assert event["context"] == {
        "ip": "81.2.69.142",
        "user_agent": "aws-cli/2.17.0",
        "request_id": "request-7",
    }
    assert event["description"] == "TerminateInstances (ec2.amazonaws.com)"


def _who(**identity: Any) -> dict[str, Any]:
    actor = mapped("cloudtrail", cloudtrail(userIdentity=identity))["actor"]
    assert isinstance(actor, dict)
    return actor


def test_cloudtrail_everybody_who_may_act() -> None:
    user = _who(type="IAMUser", arn="arn:aws:iam::1:user/ann", userName="ann", accessKeyId="AKIA1")
    assert user == {
        "type": "user",
        "id": "arn:aws:iam::1:user/ann",
        "name": "ann",
        "credential": {"type": "access_key", "id": "AKIA1"},
    }
    assert _who(type="Root", principalId="1")["type"] == "user"
    assert _who(type="AWSService", invokedBy="autoscaling.amazonaws.com") == {
        "type": "service",
        "id": "autoscaling.amazonaws.com",
        "name": "autoscaling.amazonaws.com",
    }
    assert _who(type="AWSAccount", accountId="444455556666")["id"] == "444455556666"
    assert _who(type="Unknown") == {"type": "system"}
    center = _who(type="IdentityCenterUser", credentialId="c-1", onBehalfOf={"userId": "u-1"})
    assert center["credential"] == {"type": "identity_center_session", "id": "c-1"}
    assert center["on_behalf_of"] == {"type": "identity_center_user", "id": "u-1"}
    arn = "arn:aws:sts::1:assumed-role/AWSReservedSSO_Admin_1/ann"
    issuer = {"userName": "AWSReservedSSO_Admin_1"}
    signed_on = _who(type="AssumedRole", arn=arn, sessionContext={"sessionIssuer": issuer})
    assert (signed_on["type"], signed_on["name"]) == ("user", "ann")
    assert mapped("cloudtrail", cloudtrail(userIdentity=None))["actor"] == {"type": "system"}


def test_cloudtrail_what_failed() -> None:
    denied = mapped("cloudtrail", cloudtrail(errorCode="AccessDenied", errorMessage="no"))
    assert denied["outcome"] == "failure"
    assert denied["error"] == {"code": "AccessDenied", "message": "no"}
    sign_in = cloudtrail(eventName="ConsoleLogin", responseElements={"ConsoleLogin": "Failure"})
    assert mapped("cloudtrail", sign_in)["outcome"] == "failure"
    sign_in = cloudtrail(eventName="ConsoleLogin", responseElements={"ConsoleLogin": "Success"})
    assert mapped("cloudtrail", sign_in)["outcome"] == "success"


def test_cloudtrail_a_service_as_source_and_resources_as_targets() -> None:
    event = mapped(
        "cloudtrail",
        cloudtrail(
            sourceIPAddress="autoscaling.amazonaws.com",
            resources=[{"ARN": "arn:aws:s3:::x", "type": "AWS::S3::Bucket", "accountId": "1"}],
        ),
    )
    assert event["context"]["ip"] == "autoscaling.amazonaws.com"
    assert event["targets"] == [{"type": "AWS::S3::Bucket", "id": "arn:aws:s3:::x"}]


def test_cloudtrail_an_insight_is_no_call_of_anybody() -> None:
    insight = cloudtrail(
        userIdentity=None,
        eventName=None,
        eventSource=None,
        eventType="AwsCloudTrailInsight",
        eventCategory="Insight",
        insightDetails={
            "state": "Start",
            "eventSource": "autoscaling.amazonaws.com",
            "eventName": "CompleteLifecycleAction",
            "insightType": "ApiCallRateInsight",
            "insightContext": {"statistics": {}},
        },
    )
    event = mapped("cloudtrail", insight)
    assert event["action"] == "AwsCloudTrailInsight"
    assert event["actor"] == {"type": "system"}
    about = "CompleteLifecycleAction (autoscaling.amazonaws.com)"
    assert event["description"] == f"ApiCallRateInsight Start: {about}"
    with pytest.raises(InvalidEvent) as refused:
        mapped("cloudtrail", {**insight, "eventType": None})
    assert refused.value.field == "eventType"


def test_cloudtrail_keys_that_acted_or_were_issued_keep_their_ids_and_nothing_else() -> None:
    made_up = "ASIA" + "MADEUPKEYID12345"  # of the length and letters of a real one
    record = cloudtrail(
        userIdentity={"type": "IAMUser", "userName": "ann", "accessKeyId": made_up},
        responseElements={
            "credentials": {
                "accessKeyId": made_up,
                "secretAccessKey": "wJalrXUtnFEMI/K7MDENG",
                "sessionToken": "IQoJb3JpZ2lu",
                "expiration": "Nov 20, 2026",
            }
        },
    )
    audit = RecordingProducer(redactor=FORMATS["cloudtrail"].redactor())
    audit.emit(mapped("cloudtrail", record))
    event = audit.events[0]
    assert event["actor"]["credential"] == {"type": "access_key", "id": made_up}
    kept = event["metadata"]["cloudtrail"]
    assert kept["userIdentity"]["accessKeyId"] == made_up
    assert kept["responseElements"]["credentials"] == {
        "accessKeyId": made_up,
        "secretAccessKey": "[redacted]",
        "sessionToken": "[redacted]",
        "expiration": "Nov 20, 2026",
    }


def test_github_a_repository_that_was_deleted() -> None:
    event = mapped("github", github(7))
    assert event["action"] == "repo.destroy"
    assert event["account"] == {"id": "acme"}
    assert event["actor"] == {
        "type": "user",
        "id": "4711",
        "name": "octavia",
        "credential": {"type": "Personal access token (classic)", "id": "n0tARealHash="},
    }
    assert event["targets"] == [{"type": "repository", "id": "1007", "name": "acme/made-up-7"}]
    assert event["context"] == {
        "ip": "81.2.69.142",
        "user_agent": "gh/2.60",
        "request_id": "AAAA:7",
    }
    assert event["occurred_at"].endswith(".007Z")
    assert event["metadata"]["github"]["visibility"] == "private"


def test_github_bots_enterprises_and_failures() -> None:
    assert mapped("github", github(actor="dependabot[bot]"))["actor"]["type"] == "service"
    assert mapped("github", github(actor=None, actor_id=None))["actor"]["type"] == "system"
    several = github(org=["acme", "beta"], business="holding")
    assert mapped("github", several)["account"] == {"id": "holding"}
    assert mapped("github", github(org=None, business="holding"))["account"] == {"id": "holding"}
    assert mapped("github", github(org=["acme"]))["account"] == {"id": "acme"}
    assert "account" not in mapped("github", github(org=None))
    assert mapped("github", github(action="user.failed_login"))["outcome"] == "failure"
    refused = mapped("github", github(action="api.request", status_code=403))
    assert (refused["outcome"], refused["error"]) == ("failure", {"code": "403"})
    text = mapped("github", {**github(), "@timestamp": None, "created_at": "2026-11-20T10:00:00Z"})
    assert text["occurred_at"] == "2026-11-20T10:00:00Z"
    added = mapped("github", github(repo=None, repo_id=None, user="bo", user_id=5, team="a/b"))
    assert added["targets"] == [
        {"type": "team", "name": "a/b"},
        {"type": "user", "id": "5", "name": "bo"},
    ]
    touched = mapped("github", github(repo=["acme/a", "acme/b"], repo_id=[1, 2], name="CI"))
    assert touched["targets"] == [{"name": "CI"}]
    assert touched["metadata"]["github"]["repo"] == ["acme/a", "acme/b"]


def test_kubernetes_somebody_as_a_service_account() -> None:
    event = mapped("kubernetes", kubernetes(7), "prod")
    assert event["action"] == "pods.delete"
    assert event["account"] == {"id": "prod"}
    assert event["actor"] == {
        "type": "user",
        "id": "ann@example.com",
        "name": "ann@example.com",
        "email": "ann@example.com",
        "credential": {"type": "token", "id": "made-up"},
        "on_behalf_of": {
            "type": "service",
            "id": "system:serviceaccount:shop:deployer",
            "name": "system:serviceaccount:shop:deployer",
        },
    }
    assert event["targets"] == [{"type": "pods", "id": "shop/web-7", "name": "web-7"}]
    assert event["context"] == {
        "ip": "10.0.0.7",
        "forwarded_for": ["81.2.69.142"],
        "user_agent": "kubectl/v1.31.0",
        "request_id": kubernetes(7)["auditID"],
    }
    assert event["outcome"] == "success"
    assert event["occurred_at"].endswith(".012345Z")


def test_kubernetes_each_stage_is_an_event_of_its_own() -> None:
    stages = ("RequestReceived", "ResponseStarted", "ResponseComplete", "Panic")
    events = [
        mapped("kubernetes", kubernetes(7, stage=stage, responseStatus=status))
        for stage, status in zip(stages, (None, {"code": 200}, {"code": 200}, None), strict=True)
    ]
    assert [event["outcome"] for event in events] == ["unknown", "unknown", "success", "failure"]
    assert len({event["id"] for event in events}) == 4
    assert len({event["context"]["request_id"] for event in events}) == 1
    assert events[3]["error"] == {"code": "Panic"}


def test_kubernetes_subresources_urls_and_refusals() -> None:
    shell = {"resource": "pods", "subresource": "exec", "namespace": "shop", "name": "web"}
    event = mapped("kubernetes", kubernetes(verb="create", objectRef=shell))
    assert event["action"] == "pods.exec.create"
    health = kubernetes(verb="get", objectRef=None, requestURI="/healthz")
    assert mapped("kubernetes", health)["action"] == "nonResource.get"
    status = {"code": 403, "reason": "Forbidden", "message": "may not"}
    denied = mapped("kubernetes", kubernetes(responseStatus=status))
    assert denied["outcome"] == "failure"
    assert denied["error"] == {"code": "Forbidden", "message": "may not"}
    node = kubernetes(user={"username": "system:node:a"}, impersonatedUser=None)
    assert mapped("kubernetes", node)["actor"]["type"] == "system"
    stranger = kubernetes(user={"username": "system:anonymous"}, impersonatedUser=None)
    assert mapped("kubernetes", stranger)["actor"]["type"] == "user"
    early = kubernetes(stageTimestamp=None)
    assert mapped("kubernetes", early)["occurred_at"] == early["requestReceivedTimestamp"]


def test_okta_a_sign_in_that_failed() -> None:
    event = mapped("okta", okta(7), "acme.okta.com")
    assert event["action"] == "user.session.start"
    assert event["account"] == {"id": "acme.okta.com"}
    assert event["actor"] == {
        "type": "user",
        "id": "00umadeup",
        "name": "Ann Smith",
        "email": "ann@example.com",
        "credential": {"type": "PASSWORD"},
    }
    assert event["targets"] == [
        {"type": "AppInstance", "id": "0oamadeup", "name": "Okta Dashboard"}
    ]
    assert event["outcome"] == "failure"
    assert event["error"] == {"code": "FAILURE", "message": "INVALID_CREDENTIALS"}
    assert event["context"] == {
        "ip": "81.2.69.142",
        "forwarded_for": ["81.2.69.142"],
        "user_agent": "curl/8.10.0",
        "request_id": "transaction-7",
        "session_id": "idxmadeup",
    }
    assert event["description"] == "User login to Okta"


def test_okta_tokens_applications_and_outcomes() -> None:
    token = {"id": "t", "detail": {"requestApiTokenId": "00Tmadeup"}}
    event = mapped("okta", okta(transaction=token))
    assert event["actor"]["credential"] == {"type": "api_token", "id": "00Tmadeup"}
    client = okta(client={"id": "0oaclient"}, actor={"id": "0oaclient", "type": "PublicClientApp"})
    assert mapped("okta", client)["actor"] == {
        "type": "service",
        "id": "0oaclient",
        "credential": {"type": "oauth_client", "id": "0oaclient"},
    }
    system = okta(actor={"id": "s", "type": "SystemPrincipal"}, authenticationContext=None)
    assert mapped("okta", system)["actor"] == {"type": "system", "id": "s"}
    outcomes = {"SUCCESS": "success", "ALLOW": "success", "DENY": "failure", "SKIPPED": "unknown"}
    for result, outcome in outcomes.items():
        assert mapped("okta", okta(outcome={"result": result}))["outcome"] == outcome
