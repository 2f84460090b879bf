"""The action catalogue: the product page's 41 actions, and an operator's file over them."""

from pathlib import Path

import pytest

from auditbus.schemas import Action, AuditbusError, Catalogue, CatalogueError, Severity

# As the product page lists them under "Interpreting Audit Log Entries".
# fmt: off
_PRODUCT_PAGE = [
    "Login", "Logout", "AuditLogExported", "UserSettingsUpdated", "InstantNotificationSent",
    "EmailNotificationSent", "StorageCreated", "StorageUpdated", "StorageDeleted",
    "ScheduleCreated", "ScheduleUpdated", "ScheduleDeleted", "RetentionPolicyCreated",
    "RetentionPolicyUpdated", "RetentionPolicyDeleted", "BackupTriggered", "BackupCompleted",
    "BackupDeleted", "BackupDownloaded", "RestoreTriggered", "RestoreCompleted",
    "AccountCreated", "AccountDeleted", "AccountRenamed", "AccountSettingsUpdated",
    "InstallationCreated", "InstallationSuspended", "InstallationUnsuspended",
    "InstallationDeleted", "InstallationNewPermissionsAccepted", "PurchaseCreated",
    "PurchaseChanged", "PurchaseCancelled", "RepositoryAdded", "RepositoryUpdated",
    "RepositoryPublicized", "RepositoryPrivatized", "RepositoryArchived",
    "RepositoryUnarchived", "RepositoryRenamed", "RepositoryRemoved",
]
# fmt: on


def test_the_built_in_catalogue_is_the_product_pages() -> None:
    assert len(_PRODUCT_PAGE) == 41
    assert set(Catalogue.builtin()) == set(_PRODUCT_PAGE)


def test_every_built_in_action_is_described() -> None:
    for name, action in Catalogue.builtin().items():
        assert action.name == name
        assert action.description
        assert "other" not in {action.category, action.operation}


def test_the_actions_that_alerts_need_are_signals() -> None:
    actions = Catalogue.builtin()
    for name in ("Login", "StorageDeleted", "AuditLogExported", "RepositoryPublicized"):
        assert actions[name].signal, name
    assert not actions["InstantNotificationSent"].signal


def test_what_deletes_or_exposes_is_more_serious_than_what_tells() -> None:
    actions = Catalogue.builtin()
    for name in ("StorageDeleted", "RepositoryPublicized", "AccountDeleted"):
        assert actions[name].severity.rank > actions["EmailNotificationSent"].severity.rank


def test_severities_are_ordered() -> None:
    assert [severity.rank for severity in Severity] == [0, 1, 2, 3, 4]
    assert Severity.CRITICAL.rank > Severity.HIGH.rank > Severity.INFORMATIONAL.rank


def test_an_unknown_action_is_neutral() -> None:
    unknown = Action("KeyRotated", "other", "other", "", Severity.LOW, signal=False)
    assert Catalogue.builtin().describe("KeyRotated") == unknown
    with pytest.raises(KeyError):
        Catalogue.builtin()["KeyRotated"]


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "actions.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_operators_file_adds_and_replaces(tmp_path: Path) -> None:
    path = _file(
        tmp_path,
        """
        [KeyRotated]
        category = "security"
        operation = "rotate"
        description = "Rotated a key"
        severity = "high"
        signal = true

        ["billing.invoice:paid"]
        category = "billing"
        operation = "pay"

        [Login]
        category = "authentication"
        operation = "login"
        severity = "critical"
        """,
    )
    loaded = Catalogue.load(path)
    assert len(loaded) == 43
    assert loaded["KeyRotated"] == Action(
        "KeyRotated", "security", "rotate", "Rotated a key", Severity.HIGH, signal=True
    )
    assert loaded["billing.invoice:paid"].severity is Severity.LOW
    assert loaded["Login"].severity is Severity.CRITICAL
    assert Catalogue.builtin()["Login"].severity is not Severity.CRITICAL
    assert Catalogue.load() is Catalogue.builtin()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("not toml", "actions.toml"),
        ("['no spaces']\ncategory='a'\noperation='b'", "no spaces"),
        ("[KeyRotated]\noperation='b'", "action KeyRotated.*category"),
        ("[KeyRotated]\ncategory='a'\noperation='b'\nseverity='dire'", "action KeyRotated"),
        ("[KeyRotated]\ncategory='a'\noperation='b'\nsignal='yes'", "action KeyRotated.*signal"),
        ("[KeyRotated]\ncategory='a'\noperation='b'\ncolour='red'", "action KeyRotated.*colour"),
        ("[KeyRotated]\ncategory='Two Words'\noperation='b'", "action KeyRotated: category"),
        ("[KeyRotated]\ncategory='a'\noperation=''", "action KeyRotated: operation"),
        ("KeyRotated = 7", "action KeyRotated"),
    ],
)
def test_a_wrong_file_names_itself_and_what_is_wrong(tmp_path: Path, text: str, named: str) -> None:
    path = _file(tmp_path, text)
    with pytest.raises(CatalogueError, match=named) as caught:
        Catalogue.load(path)
    assert str(path) in str(caught.value)
    assert isinstance(caught.value, AuditbusError)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"missing\.toml"):
        Catalogue.load(tmp_path / "missing.toml")
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b"# \xfc\n")
    with pytest.raises(CatalogueError, match=r"latin\.toml"):
        Catalogue.load(latin)
