"""Attempts and refusals by number, targets, hosts, claims, grants."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import ValidationError

from auditbus.console.access import Attempts, Caller, Principal, Recorder, Refusals, Role, Scope
from auditbus.console.access.attempts import MAX_FAILURES, network_of
from auditbus.console.access.claims import person_of
from auditbus.console.access.refusals import MAX_COUNTED
from auditbus.console.access.secret import new_secret, new_token
from auditbus.console.access.sign_in_errors import SignInRefused
from auditbus.console.access.visibility import covers, visible
from auditbus.console.query.predicate import Predicate
from auditbus.console.web.sign_in.origins import Hosts
from auditbus.console.web.sign_in.targets import local_target
from auditbus.producers.redaction import Redactor
from auditbus.producers.secret_patterns import MARK
from auditbus.producers.testing import RecordingProducer
from auditbus.runtime.errors import QueueFull
from auditbus.runtime.settings import ConsoleSettings, OidcRule, OidcSettings, load_settings


class _Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def test_an_address_that_fails_often_waits_for_the_minute_to_end() -> None:
    clock = _Clock()
    attempts = Attempts(clock)
    for _ in range(MAX_FAILURES):
        assert attempts.wait_s("203.0.113.7") == 0
        attempts.failed("203.0.113.7")
    assert attempts.wait_s("203.0.113.7") == 60
    assert attempts.wait_s("203.0.113.8") == 0
    clock.now_s += 59
    assert attempts.wait_s("203.0.113.7") == 1
    clock.now_s += 1
    assert attempts.wait_s("203.0.113.7") == 0
    attempts.failed("203.0.113.7")
    assert attempts.wait_s("203.0.113.7") == 0, "a new minute"


def test_ipv6_callers_are_told_apart_by_their_network() -> None:
    attempts = Attempts()
    for number in range(MAX_FAILURES):
        attempts.failed(f"2001:db8:0:1::{number:x}")
    assert attempts.wait_s("2001:db8:0:1:ffff::1") > 0
    assert attempts.wait_s("2001:db8:0:2::1") == 0
    assert network_of("::ffff:203.0.113.7") == network_of("203.0.113.7")


def test_memory_of_attempts_is_bounded() -> None:
    attempts = Attempts()
    for number in range(25_000):
        attempts.failed(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        attempts.succeeded(str(number))
    assert len(attempts._failures) == len(attempts._good) == 10_000


def test_refusals_are_one_event_a_minute_with_their_number() -> None:
    clock, producer = _Clock(), RecordingProducer()
    refusals = Refusals(Recorder(producer), clock)
    ann = Principal("oidc:ann", "Ann", Role.MEMBER)
    caller = Caller("203.0.113.7", "curl")
    for _ in range(1_000):
        refusals.count("wrong token", None, caller)
    refusals.count("administrators only", ann, caller)
    refusals.flush()
    assert producer.events == [], "the minute has not ended"
    clock.now_s += 60
    refusals.flush()
    refusals.flush()
    assert len(producer.events) == 2
    producer.assert_recorded(
        action="AccessRefused", account={"id": "auditbus"}, metadata={"count": 1000},
        outcome=lambda value: value in {None, "failure"}, error={"message": "wrong token"},
        context={"ip": "203.0.113.7"},
    )  # fmt: skip
    producer.assert_recorded(actor={"id": "oidc:ann"}, metadata={"count": 1})


def test_an_attacker_with_many_addresses_makes_a_bounded_number_of_events() -> None:
    producer = RecordingProducer()
    refusals = Refusals(Recorder(producer))
    for number in range(5_000):
        refusals.count("wrong token", None, Caller(f"10.0.{number >> 8}.{number & 255}"))
    refusals.flush(everything=True)
    assert len(producer.events) == MAX_COUNTED + 1
    assert sum(event["metadata"]["count"] for event in producer.events) == 5_000


def test_what_cannot_be_recorded_breaks_nothing() -> None:
    producer = RecordingProducer()
    with producer.failing(QueueFull("full")):
        Recorder(producer).record("Login", "x", principal=None, caller=Caller())
    Recorder(producer).record("not a name", "x", principal=None, caller=Caller())
    assert producer.events == []


@pytest.mark.parametrize(
    ("asked", "target"),
    [
        ("/?text=a%20b#x", "/?text=a%20b#x"),
        ("/events/1", "/events/1"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("\\/evil.example", "/"),
        ("https://evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/\t/evil.example", "/"),
        ("/\n/evil.example", "/"),
        ("/x\r\nSet-Cookie: a=b", "/"),
        ("/\u2028", "/"),
        ("", "/"),
        (None, "/"),
        ("/" + "x" * 5_000, "/"),
    ],
)
def test_only_pages_of_ours_are_gone_to(asked: str | None, target: str) -> None:
    assert local_target(asked) == target


def test_hosts() -> None:
    hosts = Hosts(
        ConsoleSettings(public_url="https://audit.example.com", allowed_hosts=("other.example",))
    )
    for ours in (
        *("audit.example.com", "AUDIT.example.com:443", "audit.example.com.", "localhost"),
        *("localhost:8080", "127.0.0.1:1", "[::1]:8080", "10.1.2.3", "other.example"),
    ):
        assert ours in hosts, ours
    for foreign in ("", "evil.example", "audit.example.com.evil.example", "a/b", "127.0.0.1@evil",
                    "localhost:x", "[::1", "audit.example.com evil", "127.1.evil"):  # fmt: skip
        assert foreign not in hosts, foreign


def test_a_token_looks_like_one_and_our_own_redactor_takes_it_out() -> None:
    tokens = {new_token() for _ in range(1_000)}
    assert len(tokens) == 1_000
    assert all(re.fullmatch(r"abt_[A-Za-z0-9]{43}", token) for token in tokens)
    producer = RecordingProducer(redactor=Redactor())
    producer.emit(
        action="X", actor={"type": "user", "id": "u"}, description=f"used {tokens.pop()} today"
    )
    assert producer.events[0]["description"] == f"used {MARK} today"
    assert len(new_secret()) == 43


_OIDC = OidcSettings(
    accounts_claim="accounts",
    organizations_claim="orgs",
    actor_id_claim="actor",
    rules=(
        OidcRule(claim="groups", value="readers", role="auditor", organizations=("ruled",)),
        OidcRule(claim="groups", value="staff", accounts=("shared",), organizations=("never",)),
        OidcRule(claim="role", value="root", role="administrator"),
    ),
)


@pytest.mark.parametrize(
    ("claims", "role", "accounts", "organizations"),
    [
        ({}, Role.MEMBER, (), ()),
        ({"accounts": ["a", "b", 7, "", None, "a"]}, Role.MEMBER, ("a", "b"), ()),
        ({"accounts": "a"}, Role.MEMBER, ("a",), ()),
        ({"groups": ["readers", "staff"]}, Role.AUDITOR, ("shared",), ("ruled",)),
        ({"groups": "staff"}, Role.MEMBER, ("shared",), ()),
        ({"groups": "readers staff"}, Role.MEMBER, (), ()),
        ({"groups": {"readers": True}}, Role.MEMBER, (), ()),
        ({"role": ["root"]}, Role.ADMINISTRATOR, (), ()),
    ],
)
def test_claims_grant_what_the_rules_say(
    claims: dict[str, Any], role: Role, accounts: tuple[str, ...], organizations: tuple[str, ...]
) -> None:
    claimed = person_of({"sub": "ann", **claims}, _OIDC).claimed
    assert (claimed.role, claimed.accounts, claimed.organizations) == (
        role, accounts, organizations,
    )  # fmt: skip


@pytest.mark.parametrize("sub", [None, "", 7, ["ann"], {"a": 1}, "x" * 300, "  "])
def test_claims_that_name_nobody_are_refused(sub: object) -> None:
    with pytest.raises(SignInRefused):
        person_of({"sub": sub}, _OIDC)


def test_bounds_hold_in_every_scope() -> None:
    viewer = Principal(
        "viewer:k:u", "U", Role.AUDITOR, actor_id="u", accounts=frozenset({"a"}),
        bounds=frozenset({"a", "b"}),
    )  # fmt: skip
    for scope in Scope:
        condition = visible(viewer, scope)
        assert "bound_accounts" in condition.sql, scope
        assert condition.parameters["bound_accounts"] == ["a", "b"]


def test_what_covers_what_was_seen() -> None:
    def seen(scope: Scope = Scope.ACCOUNTS, **fields: Any) -> Predicate:
        role = fields.pop("role", Role.AUDITOR)
        fields = {name: frozenset(value) for name, value in fields.items()}
        return visible(Principal("p", "P", role, actor_id="u", **fields), scope)

    then = seen(accounts="ab")
    assert covers(then, then)
    assert covers(seen(accounts="abc"), then)
    assert not covers(seen(accounts="a"), then)
    assert not covers(seen(accounts="abc", bounds="ab"), then)  # bound since: asked anew
    assert not covers(seen(accounts="ab", bounds="a"), seen(accounts="ab", bounds="ab"))
    assert not covers(seen(Scope.MINE, accounts="ab"), then)
    assert covers(seen(Scope.ORGANIZATION, role=Role.ADMINISTRATOR), then)
    assert not covers(then, seen(Scope.ORGANIZATION, role=Role.ADMINISTRATOR))
    assert not covers(seen(), then)


def test_settings_of_sign_in(tmp_path: Any) -> None:
    file = tmp_path / "auditbus.toml"
    file.write_text(
        '[console]\npublic_url = "https://audit.example.com"\n[console.oidc]\n'
        'issuer = "https://id.example.com"\nclient_id = "a"\n'
        '[[console.oidc.rules]]\nclaim = "groups"\nvalue = "x"\nrole = "auditor"\n'
    )
    (tmp_path / "secret").write_text("s3cret\n")
    settings = load_settings(
        {
            "AUDITBUS_CONSOLE_OIDC_CLIENT_SECRET_FILE": str(tmp_path / "secret"),
            "AUDITBUS_CONSOLE_ALLOWED_HOSTS": "a.example, b.example",
            "AUDITBUS_CONSOLE_OIDC_NAME": "Example",
        },
        file,
    ).console
    assert settings.allowed_hosts == ("a.example", "b.example")
    assert settings.oidc.client_secret is not None
    assert settings.oidc.client_secret.get_secret_value() == "s3cret"
    assert "s3cret" not in repr(settings)
    assert (settings.oidc.name, settings.oidc.rules[0].role) == ("Example", "auditor")
    for wrong in (
        {"public_url": "https://audit.example.com/path"},
        {"embed_origins": "https://a.example; script-src *"},
        {"embed_origins": "'self'"},
        {"oidc": {"issuer": "http://id.example.com", "client_id": "a"}},
        {"oidc": {"issuer": "http://localhost.evil.example", "client_id": "a"}},
        {"oidc": {"issuer": "https://id.example.com"}},
        {"oidc": {"rules": [{"claim": "a", "value": "b", "role": "root"}]}},
    ):
        with pytest.raises(ValidationError):
            ConsoleSettings.model_validate(wrong)
