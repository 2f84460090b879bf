"""Okta: LogEvent of the System Log API.

After "System Log API" in Okta's developer documentation.
"""

from __future__ import annotations

from typing import Any

from auditbus.console.sources.mapping import (
    EventMapping,
    Members,
    SourceFormat,
    action_of,
    canonical,
    compact,
    email_in,
    identity,
    members,
    metadata,
    moment,
    object_of,
    objects_of,
    required,
    text,
)

__all__ = ["FORMAT"]

_NAME = "okta"
_OUTCOMES = {"SUCCESS": "success", "ALLOW": "success", "FAILURE": "failure", "DENY": "failure"}


def _map(record: Members, account: str | None) -> EventMapping:
    uuid = record.get("uuid")
    source_id = uuid.encode() if type(uuid) is str and uuid else canonical(record)
    at = moment("published", required(record, "published"))
    action = action_of("eventType", required(record, "eventType"))
    client = object_of(record, "client")
    transaction = object_of(record, "transaction")
    session = object_of(record, "authenticationContext")
    outcome, error = _outcome(object_of(record, "outcome"))
    return compact(
        {
            "id": identity(at, _NAME, source_id),
            "action": action,
            "occurred_at": at[0],
            "account": {"id": account} if account else None,
            "actor": _actor(object_of(record, "actor"), client, transaction, session),
            "targets": _targets(record),
            "description": text(record, "displayMessage"),
            "outcome": outcome,
            "error": error,
            "context": members(
                ip=text(client, "ipAddress", "client."),
                forwarded_for=_chain(record),
                user_agent=text(object_of(client, "userAgent", "client."), "rawUserAgent"),
                request_id=text(transaction, "id", "transaction."),
                session_id=text(session, "externalSessionId", "authenticationContext."),
            ),
            "metadata": metadata(_NAME, record),
        }
    )


def _actor(actor: Members, client: Members, transaction: Members, session: Members) -> Members:
    kind = text(actor, "type", "actor.")
    alternate = text(actor, "alternateId", "actor.")
    if kind is None or kind == "SystemPrincipal":
        auditbus_kind = "system"
    else:
        auditbus_kind = "user" if kind in {"User", "AdminUser"} else "service"
    return members(
        type=auditbus_kind,
        id=text(actor, "id", "actor.") or alternate,
        name=text(actor, "displayName", "actor.") or alternate,
        email=email_in(alternate),
        credential=_credential(client, transaction, session),
    )


def _credential(client: Members, transaction: Members, session: Members) -> Members | None:
    """Return the API token, the OAuth client, or the kind of proof that was shown."""
    detail = object_of(transaction, "detail", "transaction.")
    if token := text(detail, "requestApiTokenId", "transaction.detail."):
        return {"type": "api_token", "id": token}
    if client_id := text(client, "id", "client."):
        return {"type": "oauth_client", "id": client_id}
    return members(type=text(session, "credentialType", "authenticationContext."))


def _targets(record: Members) -> list[dict[str, str]]:
    found = []
    for index, target in enumerate(objects_of(record, "target")):
        path = f"target[{index}]."
        alternate = text(target, "alternateId", path)
        found.append(
            members(
                type=text(target, "type", path),
                id=text(target, "id", path) or alternate,
                name=text(target, "displayName", path) or alternate,
            )
        )
    return [target for target in found if target]


def _chain(record: Members) -> list[str]:
    """Return the addresses that the request passed, in Okta's order."""
    request = object_of(record, "request")
    chain = request.get("ipChain")
    if type(chain) is not list:
        return []
    found = [link.get("ip") for link in chain if type(link) is dict]
    return [address for address in found if type(address) is str and address]


def _outcome(outcome: Members) -> tuple[str, dict[str, Any] | None]:
    result, reason = text(outcome, "result", "outcome."), text(outcome, "reason", "outcome.")
    judged = _OUTCOMES.get(result or "", "unknown")
    return judged, members(code=result, message=reason) if judged == "failure" else None


FORMAT = SourceFormat(_NAME, _map, names_account=False)
