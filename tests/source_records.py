"""Records in the shapes that AWS, GitHub, Kubernetes and Okta document, made up for the tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

_START = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)


def _at(number: int, timespec: str = "seconds") -> str:
    moment = _START + timedelta(seconds=number)
    return moment.isoformat(timespec=timespec).replace("+00:00", "Z")


def _uuid(number: int) -> str:
    return str(UUID(int=number + 1, version=4))


def cloudtrail(number: int = 0, **fields: Any) -> dict[str, Any]:
    """A call by a role that somebody assumed."""
    record = {
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "AssumedRole",
            "principalId": "AROAMADEUP:ann@example.com",
            "arn": "arn:aws:sts::111122223333:assumed-role/Deployer/ann@example.com",
            "accountId": "111122223333",
            "accessKeyId": "ASIAMADEUP",
            "sessionContext": {
                "sessionIssuer": {
                    "type": "Role",
                    "principalId": "AROAMADEUP",
                    "arn": "arn:aws:iam::111122223333:role/Deployer",
                    "accountId": "111122223333",
                    "userName": "Deployer",
                },
                "attributes": {"creationDate": _at(0), "mfaAuthenticated": "true"},
            },
        },
        "eventTime": _at(number),
        "eventSource": "ec2.amazonaws.com",
        "eventName": "TerminateInstances",
        "awsRegion": "eu-central-1",
        "sourceIPAddress": "81.2.69.142",
        "userAgent": "aws-cli/2.17.0",
        "requestParameters": {"instanceId": f"i-{number:08x}", "force": False},
        "responseElements": None,
        "requestID": f"request-{number}",
        "eventID": _uuid(number),
        "readOnly": False,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": "111122223333",
        "eventCategory": "Management",
    }
    return {**record, **fields}


def github(number: int = 0, **fields: Any) -> dict[str, Any]:
    """A repository that somebody deleted with a token."""
    epoch_ms = int(_START.timestamp()) * 1000 + number
    record = {
        "@timestamp": epoch_ms,
        "_document_id": f"doc-{number}",
        "action": "repo.destroy",
        "actor": "octavia",
        "actor_id": 4711,
        "actor_ip": "81.2.69.142",
        "actor_is_bot": False,
        "actor_location": {"country_code": "GB"},
        "created_at": epoch_ms,
        "hashed_token": "n0tARealHash=",
        "operation_type": "remove",
        "org": "acme",
        "org_id": 99,
        "programmatic_access_type": "Personal access token (classic)",
        "repo": f"acme/made-up-{number}",
        "repo_id": 1000 + number,
        "request_id": f"AAAA:{number}",
        "user_agent": "gh/2.60",
        "visibility": "private",
    }
    return {**record, **fields}


def kubernetes(number: int = 0, **fields: Any) -> dict[str, Any]:
    """A pod that somebody deleted, as a service account."""
    record = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": _uuid(number),
        "stage": "ResponseComplete",
        "requestURI": f"/api/v1/namespaces/shop/pods/web-{number}",
        "verb": "delete",
        "user": {
            "username": "ann@example.com",
            "groups": ["admins", "system:authenticated"],
            "extra": {"authentication.kubernetes.io/credential-id": ["JTI=made-up"]},
        },
        "impersonatedUser": {"username": "system:serviceaccount:shop:deployer"},
        "sourceIPs": ["81.2.69.142", "10.0.0.7"],
        "userAgent": "kubectl/v1.31.0",
        "objectRef": {
            "resource": "pods",
            "namespace": "shop",
            "name": f"web-{number}",
            "apiVersion": "v1",
        },
        "responseStatus": {"metadata": {}, "code": 200},
        "requestReceivedTimestamp": _at(number, "microseconds"),
        "stageTimestamp": _at(number, "microseconds").replace("000000Z", "012345Z"),
        "annotations": {"authorization.k8s.io/decision": "allow"},
    }
    return {**record, **fields}


def okta(number: int = 0, **fields: Any) -> dict[str, Any]:
    """A sign-in that failed."""
    record = {
        "actor": {
            "id": "00umadeup",
            "type": "User",
            "alternateId": "ann@example.com",
            "displayName": "Ann Smith",
            "detailEntry": None,
        },
        "client": {
            "userAgent": {"rawUserAgent": "curl/8.10.0", "os": "Unknown", "browser": "UNKNOWN"},
            "zone": "null",
            "device": "Unknown",
            "id": None,
            "ipAddress": "81.2.69.142",
            "geographicalContext": {"city": "London", "country": "United Kingdom"},
        },
        "device": None,
        "authenticationContext": {
            "authenticationProvider": None,
            "credentialType": "PASSWORD",
            "externalSessionId": "idxmadeup",
            "authenticationStep": 0,
        },
        "displayMessage": "User login to Okta",
        "eventType": "user.session.start",
        "outcome": {"result": "FAILURE", "reason": "INVALID_CREDENTIALS"},
        "published": _at(number, "milliseconds"),
        "securityContext": {"asNumber": 20712, "isProxy": False},
        "severity": "WARN",
        "debugContext": {"debugData": {"requestUri": "/api/v1/authn"}},
        "legacyEventType": "core.user_auth.login_failed",
        "transaction": {"type": "WEB", "id": f"transaction-{number}", "detail": {}},
        "uuid": _uuid(number),
        "version": "0",
        "request": {"ipChain": [{"ip": "81.2.69.142", "version": "V4"}]},
        "target": [
            {
                "id": "0oamadeup",
                "type": "AppInstance",
                "alternateId": "Dashboard",
                "displayName": "Okta Dashboard",
            }
        ],
    }
    return {**record, **fields}


RECORDS = {"cloudtrail": cloudtrail, "github": github, "kubernetes": kubernetes, "okta": okta}
