"""What the demo's people and services do, as short stories.

A story is a generator: it yields a `Scene` at a time and is told whether that action failed, so
that what follows makes sense (a failed sign-in is tried again, a failed backup is reported so).
"""

from collections.abc import Callable, Mapping, Sequence

from auditbus.deploy.local.demo.scenes import Cast, Scene, Story, Via, edit, target


def _login() -> Story:
    while (yield Scene("Login", metadata={"method": "password", "mfa": True})):
        pass  # a mistyped password: again


def personal_settings(cast: Cast) -> Story:
    """Sign in and change a habit."""
    yield from _login()
    change = cast.random.choice(
        [
            edit("theme", "light", "dark"),
            edit("email_notifications", "all", "failures"),
            edit("time_zone", "UTC", "Europe/Berlin"),
            {"field": "recovery_codes", "redacted": True},
        ]
    )
    yield Scene("UserSettingsUpdated", description=f"Changed {change['field']}", changes=[change])
    yield Scene("Logout")


def nightly_backup(cast: Cast) -> Story:
    """Back up by the clock, and tell somebody how it went."""
    yield from _backup(cast, Via.SCHEDULER)


def backup_from_a_pipeline(cast: Cast) -> Story:
    """Back up from a script, before a release."""
    yield from _backup(cast, Via.API)


def _backup(cast: Cast, via: Via) -> Story:
    repository = cast.repository()
    name = repository["name"]
    backup = target("backup", f"{name}@{cast.number()}")
    yield Scene("BackupTriggered", via, f"Started a backup of {name}", [repository, backup])
    failed = yield Scene(
        "BackupCompleted",
        Via.WORKER,
        f"Backup of {name} ended",
        [repository, backup],
        metadata={
            "size_bytes": cast.random.randrange(10**6, 10**10),
            "duration_s": cast.random.randrange(5, 900),
        },
    )
    result = "failed" if failed else "succeeded"
    yield Scene(
        "InstantNotificationSent",
        Via.WORKER,
        f"Told #{cast.random.choice(['ops', 'backups', 'alerts'])}: backup of {name} {result}",
        [repository],
        metadata={"channel": "slack"},
    )


def expiry(cast: Cast) -> Story:
    """Remove what retention no longer keeps."""
    repository = cast.repository()
    for _ in range(2):
        backup = target("backup", f"{repository['name']}@{cast.number()}")
        description = f"Deleted a backup of {repository['name']} older than its retention"
        yield Scene("BackupDeleted", Via.WORKER, description, [repository, backup])


def restore(cast: Cast) -> Story:
    """Get back what was lost."""
    yield from _login()
    repository = cast.repository()
    name = repository["name"]
    backup = target("backup", f"{name}@{cast.number()}")
    copy = target("repository", f"{name}-restored")
    yield Scene("RestoreTriggered", Via.WEB, f"Started a restore of {name}", [backup, copy])
    failed = yield Scene("RestoreCompleted", Via.WORKER, f"Restore of {name} ended", [copy])
    yield Scene(
        "EmailNotificationSent",
        Via.WORKER,
        f"Told {cast.person.email}: restore of {name} {'failed' if failed else 'succeeded'}",
        [target("user", cast.person.email, cast.person.id)],
        metadata={"template": "restore-result"},
    )
    yield Scene("Logout")


def download(cast: Cast) -> Story:
    """Take a copy home."""
    yield from _login()
    repository = cast.repository()
    backup = target("backup", f"{repository['name']}@{cast.number()}")
    yield Scene("BackupDownloaded", Via.WEB, f"Downloaded {backup['name']}", [backup])
    yield Scene("Logout")


def review(cast: Cast) -> Story:
    """Read and export the log."""
    yield from _login()
    rows = cast.random.randrange(100, 100_000)
    description = f"Exported {rows:,} entries of the audit log as CSV"
    yield Scene("AuditLogExported", Via.WEB, description, metadata={"rows": rows, "format": "csv"})
    yield Scene("Logout")


def storages(cast: Cast) -> Story:
    """Make, correct and retire a storage; its keys never show."""
    yield from _login()
    storage = target("storage", f"s3-{cast.account.id}-{cast.number()}")
    name = storage["name"]
    yield Scene("StorageCreated", Via.WEB, f"Created storage {name}", [storage])
    yield Scene(
        "StorageUpdated",
        Via.WEB,
        f"Moved storage {name} and changed its key",
        [storage],
        [
            edit("region", "us-east-1", cast.random.choice(["eu-central-1", "ap-southeast-2"])),
            {"field": "secret_access_key", "redacted": True},
        ],
    )
    yield Scene("StorageDeleted", Via.WEB, f"Deleted storage {name}", [storage])
    yield Scene("Logout")


def schedules(cast: Cast) -> Story:
    """Keep schedules by infrastructure as code."""
    schedule = target("schedule", f"{cast.random.choice(['nightly', 'hourly'])}-{cast.number()}")
    name = schedule["name"]
    yield Scene("ScheduleCreated", Via.API, f"Created schedule {name}", [schedule])
    change = edit("cron", "0 2 * * *", f"{cast.random.randrange(60)} 3 * * *")
    yield Scene("ScheduleUpdated", Via.API, f"Changed schedule {name}", [schedule], [change])
    yield Scene("ScheduleDeleted", Via.API, f"Deleted schedule {name}", [schedule])


def retention(cast: Cast) -> Story:
    """Decide how long backups are kept."""
    yield from _login()
    policy = target("retention_policy", f"policy-{cast.number()}")
    name = policy["name"]
    yield Scene("RetentionPolicyCreated", Via.WEB, f"Created {name}: 90 days", [policy])
    change = edit("days", 90, cast.random.choice([30, 180, 365]))
    description = f"Changed {name} to {change['after']} days"
    yield Scene("RetentionPolicyUpdated", Via.WEB, description, [policy], [change])
    yield Scene("RetentionPolicyDeleted", Via.WEB, f"Deleted {name}", [policy])
    yield Scene("Logout")


def onboarding(cast: Cast) -> Story:
    """Connect a GitHub organization and buy a subscription."""
    organization = target("github_account", f"{cast.account.id}-{cast.number()}")
    name = organization["name"]
    installed = f"Installed on GitHub account {name}"
    yield Scene("InstallationCreated", Via.CODE_HOST, installed, [organization])
    yield Scene("AccountCreated", Via.WEB, f"Connected GitHub account {name}", [organization])
    repository = target("repository", f"{name}/app")
    yield Scene("RepositoryAdded", Via.CODE_HOST, f"Added {repository['name']}", [repository])
    plan = target("plan", cast.random.choice(["Team", "Business"]))
    yield Scene("PurchaseCreated", Via.WEB, f"Bought plan {plan['name']}", [plan])


def farewell(cast: Cast) -> Story:
    """Cancel the subscription and disconnect a GitHub organization."""
    organization = target("github_account", f"{cast.account.id}-{cast.number()}")
    name = organization["name"]
    plan = target("plan", "Team")
    yield Scene("PurchaseCancelled", Via.WEB, "Cancelled plan Team", [plan])
    removed = f"Removed from GitHub account {name}"
    yield Scene("InstallationDeleted", Via.CODE_HOST, removed, [organization])
    yield Scene("AccountDeleted", Via.WEB, f"Disconnected GitHub account {name}", [organization])


def installation(cast: Cast) -> Story:
    """Change the app's permissions at the code host."""
    organization = target("github_account", cast.account.id)
    for action, what in (
        ("InstallationNewPermissionsAccepted", "Accepted new permissions"),
        ("InstallationSuspended", "Suspended the installation"),
        ("InstallationUnsuspended", "Reactivated the installation"),
    ):
        description = f"{what} on {cast.account.id}"
        yield Scene(action, Via.CODE_HOST, description, [organization])


def account_care(cast: Cast) -> Story:
    """Let support help, on someone's behalf; rename the account at the code host."""
    organization = target("github_account", cast.account.id)
    change = edit("backup_concurrency", 2, cast.random.choice([4, 8]))
    description = f"Raised backup_concurrency to {change['after']}"
    yield Scene("AccountSettingsUpdated", Via.SUPPORT, description, [organization], [change])
    renamed = edit("login", f"{cast.account.id}-old", cast.account.id)
    description = f"Renamed {renamed['before']} to {renamed['after']}"
    yield Scene("AccountRenamed", Via.CODE_HOST, description, [organization], [renamed])


def billing(cast: Cast) -> Story:
    """Buy a larger plan."""
    yield from _login()
    change = edit("seats", 10, cast.random.choice([20, 50]))
    description = f"Changed plan Team to {change['after']} seats"
    plan = target("plan", "Team")
    yield Scene("PurchaseChanged", Via.WEB, description, [plan], [change])
    yield Scene("Logout")


def repository_life(cast: Cast) -> Story:
    """Publish a repository by mistake, take it back, archive it for a while."""
    repository = cast.repository()
    name = repository["name"]
    public, private = (
        edit("visibility", "private", "public"),
        edit("visibility", "public", "private"),
    )
    for action, what, changes in (
        ("RepositoryPublicized", "Made {} public", [public]),
        ("RepositoryPrivatized", "Made {} private again", [private]),
        (
            "RepositoryUpdated",
            "Changed the default branch of {}",
            [edit("default_branch", "master", "main")],
        ),
        ("RepositoryArchived", "Archived {}", []),
        ("RepositoryUnarchived", "Took {} out of the archive", []),
    ):
        yield Scene(action, Via.CODE_HOST, what.format(name), [repository], changes)


def repository_end(cast: Cast) -> Story:
    """Rename a repository, then remove it."""
    old = f"{cast.account.id}/prototype-{cast.number()}"
    repository = target("repository", f"{old}-legacy")
    renamed = edit("name", old, repository["name"])
    description = f"Renamed {old} to {repository['name']}"
    yield Scene("RepositoryRenamed", Via.CODE_HOST, description, [repository], [renamed])
    yield Scene("RepositoryRemoved", Via.CODE_HOST, f"Removed {repository['name']}", [repository])


def intrusion_attempt(_cast: Cast) -> Story:
    """Try passwords, as strangers do."""
    for _ in range(2):
        yield Scene("Login", Via.SCANNER, must_fail=True, metadata={"method": "password"})


# How often each is told in one round; a round tells every story, so it has every action.
ROUND: Mapping[Callable[[Cast], Story], int] = {
    nightly_backup: 18,
    backup_from_a_pipeline: 14,
    personal_settings: 14,
    expiry: 6,
    schedules: 8,
    restore: 4,
    download: 4,
    repository_life: 3,
    review: 3,
    storages: 3,
    billing: 2,
    installation: 2,
    onboarding: 2,
    repository_end: 2,
    retention: 2,
    account_care: 1,
    farewell: 1,
    intrusion_attempt: 1,
}

# What can go wrong with each action: code and message.
FAILURES: Mapping[str, Sequence[tuple[str, str]]] = {
    "Login": [
        ("invalid_credentials", "The user name or password is wrong"),
        ("mfa_failed", "The one-time code is wrong or has expired"),
    ],
    "AuditLogExported": [("export_too_large", "The export exceeds 1,048,576 rows")],
    "BackupTriggered": [("quota_exceeded", "The plan's backups for today are used up")],
    "BackupCompleted": [
        ("storage_unreachable", "The storage did not answer within 30 s"),
        ("access_denied", "403 from the storage: s3:PutObject is not allowed"),
        ("clone_failed", "git exited with 128: repository not found"),
    ],
    "BackupDownloaded": [("not_found", "The backup has been removed by its retention policy")],
    "EmailNotificationSent": [("mailbox_full", "552 5.2.2 The mailbox is full")],
    "InstantNotificationSent": [("channel_not_found", "Slack answered channel_not_found")],
    "PurchaseChanged": [("payment_declined", "The card was declined")],
    "RestoreCompleted": [("checksum_mismatch", "Chunk 17 does not match its checksum")],
    "ScheduleUpdated": [("invalid_cron", "A schedule may not run more than once an hour")],
    "StorageUpdated": [("permission_denied", "Only owners may change storages")],
}
