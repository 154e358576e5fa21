"""Settings, all from the environment, with safe defaults.

Every variable is described in docs/settings.md. Nothing secret has a default: without `SECRET_KEY` only the
commands that need no key (`help`, `makemigrations --check`) run, because a random one is made for the process.
"""

import os
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any

import environ
import structlog
from csp.constants import NONE, SELF

from governance.database import connection_options, queue_conninfo
from governance.kernel.redaction import redact_event

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

DATA_DIR = Path(env.str("DATA_DIR", default=str(BASE_DIR / ".run")))
# `make run` leaves its settings here, so that `manage.py` means the same database. What is set already stays as it is.
if not env.str("DATABASE_URL", default="") and os.access(DATA_DIR / "settings.env", os.R_OK):
    env.read_env(str(DATA_DIR / "settings.env"))

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="") or secrets.token_urlsafe(64)
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])
PUBLIC_URL = env.str("PUBLIC_URL", default="http://127.0.0.1:8000").rstrip("/")

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.contrib.postgres",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "pgtrigger",
    "tablericons",
    "csp",
    "governance",
    "governance.audit",
    "governance.people",
    "governance.web",
    "governance.console",
    "identities",
    "reviews",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "governance.web.middleware.RequestContextMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "governance.console.people.middleware.SessionLimitsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "governance.web.middleware.NoPageHereMiddleware",
]

ROOT_URLCONF = "governance.urls"
WSGI_APPLICATION = "governance.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "governance.web.navigation.shell",
            ],
        },
    }
]
FORM_RENDERER = "django.forms.renderers.Jinja2"  # widgets alone; a long form has a thousand of their small templates

# --- database ---------------------------------------------------------------------------------------------------
# PostgreSQL 15 or newer. `make run` and `make test` set DATABASE_URL for the embedded server.
DATABASES: dict[str, Any] = {
    "default": env.db_url("DATABASE_URL", default="postgresql:///remit")
    | {
        "CONN_MAX_AGE": env.int("DATABASE_CONN_MAX_AGE", default=60),
        # Without the check the first request after a database restart is an error page.
        "CONN_HEALTH_CHECKS": True,
    }
}
DATABASES["default"]["OPTIONS"] = connection_options(
    DATABASES["default"].get("OPTIONS", {}), connect_seconds=env.int("DATABASE_CONNECT_SECONDS", default=3)
)
# How long pages and the API wait for one answer of it, and where a single statement may take long (docs/operations.md).
DATABASE_ANSWER_SECONDS = env.float("DATABASE_ANSWER_SECONDS", default=30.0)
DATABASE_LONG_ANSWER_SECONDS = env.float("DATABASE_LONG_ANSWER_SECONDS", default=3600.0)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# Counters of throttled callers and signs of life are shared by all processes; the default of 300 rows would evict them.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "shared_cache",
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}


# --- background work --------------------------------------------------------------------------------------------
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default="pgmq://localhost")
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {"visibility_timeout": 3600}
if CELERY_BROKER_URL.startswith("pgmq"):
    CELERY_BROKER_TRANSPORT_OPTIONS |= {
        "conn_string": queue_conninfo(DATABASES["default"]),
        "init_extension": False,
        "use_notify": True,
        "wait_time_seconds": 0,
        "polling_interval": 2,
        "notify_throttle_interval_ms": 0,
        "pool_timeout": 3,
        "pool_size": 4,
    }
elif CELERY_BROKER_URL.startswith("redis"):
    CELERY_BROKER_TRANSPORT_OPTIONS |= {"unacked_restore_interval": 5, "unacked_restore_throttle": 1}
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_DEFAULT_QUEUE = "remit"
CELERY_TASK_ALWAYS_EAGER = env.bool("CELERY_TASK_ALWAYS_EAGER", default=False)
CELERY_TIMEZONE = "UTC"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

# Beat only ticks; what is due stands in tables, so two beats or a missed tick do no harm.
CELERY_BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    name: {"task": name, "schedule": timedelta(seconds=seconds), "options": {"expires": seconds * 3}}
    for name, seconds in {
        "console.tick": 5,
        "identities.read_due_sources": 10,
        "identities.evaluate_posture": 10,
        "identities.settle_findings": 60,
        "identities.close_gone_findings": 3600,
        "identities.fold_decisions": 30,
        "reviews.open_due_campaigns": 10,
        "reviews.watch_changes": 10,
        "reviews.close_due_campaigns": 10,
        "reviews.drain_orders": 5,
        "reviews.expire_due_approvals": 10,
        "reviews.end_due_access": 10,
        "reviews.send_due_mail": 10,
        "reviews.send_due_notices": 5,
        "reviews.reroute_items": 30,
        "reviews.apply_delegations": 30,
        "reviews.escalate_items": 60,
        "reviews.keep_figures": 60,
        "reviews.measure_estate": 60,
        "reviews.build_due_packs": 30,
        "audit.write_due_checkpoint": 30,
        "audit.send_checkpoints": 30,
        "audit.seal_stream": 5,
    }.items()
}

# --- people and sign-in -----------------------------------------------------------------------------------------
AUTH_USER_MODEL = "people.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_ADAPTER = "governance.console.people.adapters.AccountAdapter"
ACCOUNT_FORMS = {
    "login": "governance.console.people.password_forms.SignIn",
    "reset_password": "governance.console.people.password_forms.ForgottenPassword",
    "change_password": "governance.console.people.password_forms.ChangePassword",
    "reset_password_from_key": "governance.console.people.password_forms.ChooseNewPassword",
}
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_LOGIN_ON_PASSWORD_RESET = False  # a reset must not lead around the second factor
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = False  # other sessions end all the same: they are bound to the password
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if PUBLIC_URL.startswith("https://") else "http"
# Counted in the database, so that every web process sees the same number. See docs/people.md.
ACCOUNT_RATE_LIMITS = {"login": "30/m/ip", "login_failed": "20/m/ip,5/5m/key", "reset_password": "20/m/ip,5/m/key"}
ALLAUTH_TRUSTED_PROXY_COUNT = env.int(
    "TRUSTED_PROXY_COUNT", default=1 if env.bool("BEHIND_PROXY", default=False) else 0
)
MFA_ADAPTER = "governance.console.people.adapters.MFAAdapter"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = "Remit"
MFA_RECOVERY_CODES_SHOW_ONCE = True
# When on, the role administrator sleeps in a session that was not proved by a second factor.
REQUIRE_MFA_FOR_ADMINISTRATORS = env.bool("REQUIRE_MFA_FOR_ADMINISTRATORS", default=False)
# A session ends after this much time in any case, and sooner when it is left alone.
SESSION_COOKIE_AGE = int(timedelta(hours=12).total_seconds())
SESSION_IDLE_TIMEOUT = timedelta(minutes=env.int("SESSION_IDLE_MINUTES", default=120))
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"

# --- transport and content security -----------------------------------------------------------------------------
# Plain HTTP is for the one-command start on this machine; anything public is HTTPS.
HTTPS = env.bool("HTTPS", default=PUBLIC_URL.startswith("https://"))
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]  # probes come over plain HTTP, from inside
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_NAME = "__Host-session" if HTTPS else "session"
CSRF_COOKIE_NAME = "__Host-csrf" if HTTPS else "csrf"
CSRF_COOKIE_HTTPONLY = True
SECURE_HSTS_SECONDS = int(timedelta(days=365).total_seconds()) if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if env.bool("BEHIND_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
        "object-src": [NONE],
        "manifest-src": [SELF],
    }
}

# --- API --------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["governance.web.authentication.ApiTokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["governance.web.authentication.HasScope"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["governance.web.parsers.CarefulJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "governance.web.openapi.ApiSchema",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.ScopedRateThrottle"],
    "DEFAULT_THROTTLE_RATES": {"sync": "120/min"},
    "EXCEPTION_HANDLER": "governance.web.problems.exception_handler",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Remit API",
    "DESCRIPTION": "Inventory, reviews, orders and evidence for non-human identities.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1/",
    "POSTPROCESSING_HOOKS": ["governance.web.openapi.complete"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

# --- mail -------------------------------------------------------------------------------------------------------
EMAIL_CONFIG = env.email_url("EMAIL_URL", default="filemail://")
EMAIL_BACKEND = EMAIL_CONFIG["EMAIL_BACKEND"]
EMAIL_HOST = EMAIL_CONFIG.get("EMAIL_HOST") or ""
EMAIL_PORT = EMAIL_CONFIG.get("EMAIL_PORT") or 25
EMAIL_HOST_USER = EMAIL_CONFIG.get("EMAIL_HOST_USER") or ""
EMAIL_HOST_PASSWORD = EMAIL_CONFIG.get("EMAIL_HOST_PASSWORD") or ""
EMAIL_USE_TLS = EMAIL_CONFIG.get("EMAIL_USE_TLS", False)
EMAIL_USE_SSL = EMAIL_CONFIG.get("EMAIL_USE_SSL", False)
EMAIL_FILE_PATH = str(DATA_DIR / "mail")
# Without a limit one mail server that says nothing would hold a worker for good.
EMAIL_TIMEOUT = env.int("EMAIL_TIMEOUT_SECONDS", default=20)
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="remit@localhost")

# --- evidence ---------------------------------------------------------------------------------------------------
AUDIT_CHECKPOINT_DIR = Path(env.str("AUDIT_CHECKPOINT_DIR", default=str(DATA_DIR / "checkpoints")))
AUDIT_KEY_FILE = Path(env.str("AUDIT_KEY_FILE", default=str(DATA_DIR / "keys" / "audit-ed25519.pem")))
AUDIT_ORIGIN = env.str("AUDIT_ORIGIN", default="remit.local/audit/1")
AUDIT_CHECKPOINT_INTERVAL = timedelta(seconds=env.int("AUDIT_CHECKPOINT_SECONDS", default=300))
# Where packs of evidence are written; and within how many days after a decision its change should be proved at the
# source (what a pack calls the limit).
EVIDENCE_DIR = Path(env.str("EVIDENCE_DIR", default=str(DATA_DIR / "evidence")))
EVIDENCE_REMEDIATION_DAYS = env.int("EVIDENCE_REMEDIATION_DAYS", default=30)
# Further places that each checkpoint is sent to (docs/audit.md), and who must own the trail's tables.
AUDIT_CHECKPOINT_PLACES: list[str] = env.str("AUDIT_CHECKPOINT_PLACES", default="").split()
AUDIT_TABLE_OWNER = env.str("AUDIT_TABLE_OWNER", default="")
AUDIT_CHECKPOINT_EVENTS = env.int("AUDIT_CHECKPOINT_EVENTS", default=1000)
# Months after which events may be archived and their contents removed; 0 keeps them for ever, 12 is the least.
AUDIT_RETENTION_MONTHS = env.int("AUDIT_RETENTION_MONTHS", default=0)
AUDIT_ARCHIVE_DIR = Path(env.str("AUDIT_ARCHIVE_DIR", default=str(DATA_DIR / "archives")))

# --- webhooks ---------------------------------------------------------------------------------------------------
# What all signing secrets are derived from, the hosts inside that may be told, and an authority to trust there.
WEBHOOK_KEY_FILE = Path(env.str("WEBHOOK_KEY_FILE", default=str(DATA_DIR / "keys" / "webhook.key")))
WEBHOOK_INTERNAL_HOSTS: list[str] = env.list("WEBHOOK_INTERNAL_HOSTS", default=[])
WEBHOOK_CA_FILE = env.str("WEBHOOK_CA_FILE", default="")
WEBHOOK_OFF_AFTER_DAYS = env.int("WEBHOOK_OFF_AFTER_DAYS", default=5)

# --- static files and time --------------------------------------------------------------------------------------
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = DATA_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": env.str("STATICFILES_BACKEND", default="whitenoise.storage.CompressedManifestStaticFilesStorage")
    },
}
LANGUAGE_CODE = "en-gb"
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

# --- limits -----------------------------------------------------------------------------------------------------
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5000
# Readings of sources (docs/sync.md): one line, the unpacked body, the body on the wire, and records per reading.
SYNC_MAX_LINE_BYTES = env.int("SYNC_MAX_LINE_BYTES", default=1024 * 1024)
SYNC_MAX_BODY_BYTES = env.int("SYNC_MAX_BODY_BYTES", default=2 * 1024**3)
SYNC_MAX_UPLOAD_BYTES = env.int("SYNC_MAX_UPLOAD_BYTES", default=1024**3)
SYNC_MAX_RECORDS = env.int("SYNC_MAX_RECORDS", default=5_000_000)
# How long a second run of one source waits for the first before it is sent away.
SYNC_WAIT_SECONDS = env.int("SYNC_WAIT_SECONDS", default=5)

# --- decisions ----------------------------------------------------------------------------------------------------
# How much each process remembers of what it decides by, and how it keeps what it decided (docs/decisions.md).
DECISION_MEMORY_MB = env.int("DECISION_MEMORY_MB", default=256)
DECISION_LOG_SECONDS = env.int("DECISION_LOG_SECONDS", default=5)
DECISION_LOG_MOST = env.int("DECISION_LOG_MOST", default=20_000)

# --- logs -------------------------------------------------------------------------------------------------------
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": structlog.stdlib.ProcessorFormatter,
            # Last of all, so that what a library says is looked through too. JSON escapes control characters.
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                redact_event,
                structlog.processors.JSONRenderer(),
            ],
            "foreign_pre_chain": [
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
            ],
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    # A line per message received would bury everything else under the ticks.
    "loggers": {"celery.worker.strategy": {"level": "WARNING"}, "celery.app.trace": {"level": "WARNING"}},
}

# --- the gateway of agents --------------------------------------------------------------------------------------
# Where agents reach it, the hosts and the browsers' origins that it answers, and the commands that it may start.
MCP_GATEWAY_PORT = env.int("MCP_GATEWAY_PORT", default=8001)
MCP_GATEWAY_URL = env.str("MCP_GATEWAY_URL", default=f"http://127.0.0.1:{MCP_GATEWAY_PORT}").rstrip("/")
MCP_GATEWAY_HOSTS: list[str] = env.list("MCP_GATEWAY_HOSTS", default=ALLOWED_HOSTS)
MCP_GATEWAY_ORIGINS: list[str] = env.list("MCP_GATEWAY_ORIGINS", default=[])
MCP_GATEWAY_COMMANDS_FILE = env.str("MCP_GATEWAY_COMMANDS_FILE", default="")
# How long a call may take, and how often listening agents are told what changed for them.
MCP_GATEWAY_CALL_SECONDS = env.float("MCP_GATEWAY_CALL_SECONDS", default=60.0)
MCP_GATEWAY_WATCH_SECONDS = env.float("MCP_GATEWAY_WATCH_SECONDS", default=2.0)

# --- metrics ----------------------------------------------------------------------------------------------------
# Who may read /metrics without a token: addresses or networks of scrapers that come directly, not through a proxy.
METRICS_DIR = env.str("METRICS_DIR", default=str(DATA_DIR / "metrics"))  # where latencies are counted; empty: nowhere
METRICS_ALLOWED_ADDRESSES: list[str] = env.list("METRICS_ALLOWED_ADDRESSES", default=[])

# --- remediation ------------------------------------------------------------------------------------------------
# How long a decision can be taken back before its order is sent, and how long a silent worker keeps an order.
ORDER_RECALL_SECONDS = env.int("ORDER_RECALL_SECONDS", default=20)
ORDER_LEASE_SECONDS = env.int("ORDER_LEASE_SECONDS", default=60)
# How many changes that take something away may be sent per hour when no person looked at them one by one: in all, at
# one source, and in production. 0 means no limit.
ORDER_BUDGET_PER_HOUR = env.int("ORDER_BUDGET_PER_HOUR", default=200)
ORDER_BUDGET_PER_SOURCE = env.int("ORDER_BUDGET_PER_SOURCE", default=100)
ORDER_BUDGET_PRODUCTION = env.int("ORDER_BUDGET_PRODUCTION", default=50)
# How often an order is tried before it is given up, and the longest wait between two attempts.
ORDER_MAX_ATTEMPTS = env.int("ORDER_MAX_ATTEMPTS", default=8)
ORDER_RETRY_MAX_SECONDS = env.int("ORDER_RETRY_MAX_SECONDS", default=900)

# --- reviews ----------------------------------------------------------------------------------------------------
# The shortest time between two campaigns of one schedule, and how long use must have been watched before its absence
# is called unused.
REVIEW_MIN_INTERVAL_SECONDS = env.int("REVIEW_MIN_INTERVAL_SECONDS", default=3600)
REVIEW_MIN_OBSERVED_DAYS = env.int("REVIEW_MIN_OBSERVED_DAYS", default=30)
# Whether it is noted when a person opens or drafts a question that is theirs, for the numbers on how reviews are done.
REVIEW_NOTE_VIEWINGS = env.bool("REVIEW_NOTE_VIEWINGS", default=True)
# Access on request: how long it may hold, how long in an emergency, and how long people have to answer.
ACCESS_REQUEST_MINUTES = env.int("ACCESS_REQUEST_MINUTES", default=30 * 24 * 60)
ACCESS_EMERGENCY_MINUTES = env.int("ACCESS_EMERGENCY_MINUTES", default=60)
ACCESS_REQUEST_ANSWER_HOURS = env.int("ACCESS_REQUEST_ANSWER_HOURS", default=24)
# The clock on which reports say days and hours, unless the reader asks for another or the schedule has its own.
REPORT_TIME_ZONE = env.str("REPORT_TIME_ZONE", default="UTC")
