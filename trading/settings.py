"""Django settings of Bourse, every choice taken from the environment (see `.env.example`).

Without any variable this is the demo: embedded PostgreSQL, one process, no services. `BOURSE_ENV=production`
switches the protective settings on and refuses to start with demo values.
"""

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from trading import embedded, environment, logs
from trading.desk import look

DEMO_SECRET_KEY = "bourse-demo-secret-key-known-to-everyone-never-use-it-in-production-0123456789"


def database_from_url(*, url: str, name_of_url: str = "DATABASE_URL") -> dict[str, Any]:
    """Django's description of the PostgreSQL at `url`, which `name_of_url` is complained about by.

    Both forms work: `postgresql://user:password@host:5432/name?sslmode=require` and, for a unix socket,
    `postgresql://user@/name?host=/run/postgresql`. Query parameters other than host and port are libpq options.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("postgres", "postgresql"):
        raise ImproperlyConfigured(f"{name_of_url} must begin with postgresql:// (Bourse runs on PostgreSQL only).")
    name = unquote(parts.path.removeprefix("/"))
    if not name:
        raise ImproperlyConfigured(f"{name_of_url} must end with the name of a database: postgresql://host/name.")
    options: dict[str, Any] = {"connect_timeout": 5, **dict(parse_qsl(parts.query))}
    try:
        port = str(parts.port or "")
    except ValueError as error:
        raise ImproperlyConfigured(f"{name_of_url} has a port that is no number from 0 to 65535.") from error
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", "") or unquote(parts.hostname or ""),
        "PORT": options.pop("port", "") or port,
        "OPTIONS": options,
        # Each request under ASGI has a thread of its own: a kept connection would never be used again.
        "CONN_MAX_AGE": 0,
    }


environment.load_env_file(path=environment.PROJECT_ROOT / ".env")

BASE_DIR = environment.PROJECT_ROOT
BOURSE_ENV = environment.choice(name="BOURSE_ENV", choices=("demo", "production"))
DEMO = BOURSE_ENV == "demo"
PRODUCTION = not DEMO

SECRET_KEY = environment.text(name="SECRET_KEY", default=DEMO_SECRET_KEY)
DEBUG = environment.flag(name="DEBUG", default=False)
ALLOWED_HOSTS = environment.names(name="ALLOWED_HOSTS", default="localhost,127.0.0.1,[::1]" if DEMO else "")
if PRODUCTION:
    if SECRET_KEY == DEMO_SECRET_KEY:
        raise ImproperlyConfigured("Production needs a SECRET_KEY of its own: the demo key is known to everyone.")
    if len(SECRET_KEY) < 50:
        raise ImproperlyConfigured("Production needs a SECRET_KEY of at least 50 characters.")
    if DEBUG:
        raise ImproperlyConfigured("Production refuses DEBUG=on: error pages would show secrets.")
    if not ALLOWED_HOSTS:
        raise ImproperlyConfigured("Production needs ALLOWED_HOSTS, the names this server answers to.")

# Where it listens and where it keeps its data.
HOST = environment.text(name="HOST", default="127.0.0.1")
PORT = environment.integer(name="PORT", default=8000, minimum=1, maximum=65_535)
DRAIN_SECONDS = environment.integer(name="DRAIN_SECONDS", default=3, minimum=0, maximum=300)
TRUSTED_PROXIES = environment.names(name="TRUSTED_PROXIES")
DATA_DIR = environment.data_dir()
DATABASE_URL = environment.database_url()
REDIS_URL = environment.text(name="REDIS_URL")
DATABASES = {"default": database_from_url(url=DATABASE_URL or embedded.database_url(data_dir=DATA_DIR))}
# Past a pooler that gives its connections away after each transaction, for what keeps something in its connection.
DATABASE_SESSION_URL = environment.text(name="DATABASE_SESSION_URL")
if DATABASE_SESSION_URL:
    DATABASES["session"] = database_from_url(url=DATABASE_SESSION_URL, name_of_url="DATABASE_SESSION_URL")
    DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = True
# The past may be read from a replica (marketdata/replica.py); a slow one must not hold up who asks.
DATABASE_REPLICA_URL = environment.text(name="DATABASE_REPLICA_URL")
if DATABASE_REPLICA_URL:
    DATABASES["replica"] = database_from_url(url=DATABASE_REPLICA_URL, name_of_url="DATABASE_REPLICA_URL")

# How it behaves.
RATE_LIMITS = environment.flag(name="RATE_LIMITS", default=True)
RATE_LIMIT_KEY = environment.integer(name="RATE_LIMIT_KEY", default=500, minimum=1, maximum=1_000_000)
RATE_LIMIT_ACCOUNT = environment.integer(name="RATE_LIMIT_ACCOUNT", default=1_000, minimum=1, maximum=1_000_000)
RATE_LIMIT_ADDRESS = environment.integer(name="RATE_LIMIT_ADDRESS", default=2_000, minimum=1, maximum=1_000_000)
RATE_LIMIT_FAILURES = environment.integer(name="RATE_LIMIT_FAILURES", default=60, minimum=1, maximum=1_000_000)
RATELIMIT_ENABLE = RATE_LIMITS  # django-ratelimit's own name
API_RATE_ADDRESS = "200/s"  # requests to Django's views
API_RATE_CALLER = "100/s"  # reads and changes of one API key or user
API_RATE_CHANGES = "300/m"  # of these: deposits, withdrawals, accounts, keys
LOGIN_RATE_ADDRESS = "60/10m"  # attempts to sign in
LOGIN_RATE_USERNAME = "20/10m"
CODE_RATE = "20/10m"  # codes of the second factor, per user
CONFIRM_RATE = "20/10m"  # passwords typed again by a signed-in user
RESET_RATE_ADDRESS = "20/h"  # password reset e-mails
RESET_RATE_EMAIL = "5/h"
SIGN_UP_RATE = "30/h"  # new users of one address
TRIAL_RATE = "30/h"
WITHDRAWAL_APPROVAL = environment.flag(name="WITHDRAWAL_APPROVAL", default=True)
TWO_PERSON_RULES = ("corrections", "withdrawals", "fees", "limits")
TWO_PERSON_RULE = environment.names(name="TWO_PERSON_RULE", default=",".join(TWO_PERSON_RULES))
if not set(TWO_PERSON_RULE) <= {*TWO_PERSON_RULES, "none"}:
    raise ImproperlyConfigured(f"TWO_PERSON_RULE must be none or a list of {', '.join(TWO_PERSON_RULES)}.")
WITHDRAWAL_ONE_PERSON_MAX = environment.amounts(name="WITHDRAWAL_ONE_PERSON_MAX", default="BTC:1,ETH:20,USDT:50000")
DEMO_FLOW = environment.flag(name="DEMO_FLOW", default=True) and DEMO
BACKGROUND = environment.flag(name="BACKGROUND", default=True)
BATCH_COMMANDS_MAX = environment.integer(name="BATCH_COMMANDS_MAX", default=256, minimum=1, maximum=10_000)
LANE_COMMANDS_MAX = environment.integer(name="LANE_COMMANDS_MAX", default=10_000, minimum=1, maximum=1_000_000)

# What it tells those who watch it (docs/metrics.md).
METRICS_ALLOW = environment.networks(name="METRICS_ALLOW", default="127.0.0.0/8,::1")
METRICS_HOST = environment.text(name="METRICS_HOST", default="127.0.0.1")
METRICS_PORT = environment.integer(name="METRICS_PORT", default=0, minimum=0, maximum=65_535)
PROMETHEUS_MULTIPROC_DIR = environment.shared_folder(name="PROMETHEUS_MULTIPROC_DIR")
SLOW_QUERY_MS = environment.integer(name="SLOW_QUERY_MS", default=500, minimum=0, maximum=3_600_000)
SLOW_BATCH_MS = environment.integer(name="SLOW_BATCH_MS", default=250, minimum=0, maximum=3_600_000)

INSTALLED_APPS = [
    "trading",
    "orders",
    "matching",
    "risk",
    "fees",
    "marketdata",
    "notifications",
    "unfold.apps.BasicAppConfig",
    "trading.desk.apps.DeskConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.forms",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]
MIDDLEWARE = [
    "trading.metrics.middleware.CountedRequests",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "trading.security.PermissionsPolicy",
    "trading.api.limits.ApiRequests",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "trading.sessions.SessionUse",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "trading.services_away.ServicesAway",
]
ROOT_URLCONF = "trading.urls"
ASGI_APPLICATION = "trading.asgi.application"
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
                "trading.pages.context.page",
            ],
            "builtins": ["trading.pages.filters"],
        },
    },
]
UNFOLD = look.unfold_settings()
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "trading.User"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    "django.contrib.auth.hashers.ScryptPasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{validator}"}
    for validator in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/trade/BTC-USDT"
LOGOUT_REDIRECT_URL = "/"
SESSION_ENGINE = "trading.sessions"
OTP_TOTP_ISSUER = "Bourse"

# E-mail goes to a server, or is printed to the console when there is none.
EMAIL_HOST = environment.text(name="EMAIL_HOST")
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if EMAIL_HOST else 'console'}.EmailBackend"
EMAIL_PORT = environment.integer(name="EMAIL_PORT", default=587, minimum=1, maximum=65_535)
EMAIL_HOST_USER = environment.text(name="EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = environment.text(name="EMAIL_HOST_PASSWORD")
EMAIL_USE_TLS = environment.flag(name="EMAIL_USE_TLS", default=True)
EMAIL_TIMEOUT = 10
# Notifications come often: without a server they are kept as files, where password resets are printed.
NOTIFICATION_EMAIL_BACKEND = "" if EMAIL_HOST else "django.core.mail.backends.filebased.EmailBackend"
EMAIL_FILE_PATH = DATA_DIR / "emails"
PUBLIC_URL = environment.text(name="PUBLIC_URL", default=f"http://{HOST}:{PORT}").rstrip("/")
WEBHOOK_PRIVATE_ADDRESSES = environment.flag(name="WEBHOOK_PRIVATE_ADDRESSES", default=False)
DEFAULT_FROM_EMAIL = environment.text(name="DEFAULT_FROM_EMAIL", default="Bourse <bourse@localhost>")

LANGUAGE_CODE = "en"
USE_I18N = False
USE_TZ = True
FORMAT_MODULE_PATH = "trading.formats"
TIME_ZONE = "UTC"

# The demo serves static files from where they lie, and browsers ask each time whether they have changed. Production
# serves what `collectstatic` has put into STATIC_ROOT, under names that may be kept for ever.
STATIC_URL = "/static/"
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "trading.static_files.NodeFiles",
]
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = DEMO
WHITENOISE_MAX_AGE = 0
WHITENOISE_ALLOW_ALL_ORIGINS = False
if PRODUCTION:
    STATIC_ROOT = DATA_DIR / "static"
    STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "trading.static_files.HashedStaticFiles"},
    }

CACHES: dict[str, Any] = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "OPTIONS": {"MAX_ENTRIES": 100_000}},
}
CHANNEL_LAYERS: dict[str, Any] = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
# Celery: messages are wake-ups only, so they may get lost, and answers are kept by nobody.
CELERY_BROKER_URL = environment.text(name="CELERY_BROKER_URL")
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {}
if REDIS_URL:
    from matching import redis_url

    CACHES["shared"] = {"BACKEND": "trading.shared_cache.SharedCache", "LOCATION": REDIS_URL}
    RATELIMIT_USE_CACHE = "shared"  # what people may try is counted for all processes together
    CHANNEL_LAYERS["default"] = {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": redis_url.channel_hosts(REDIS_URL), "prefix": redis_url.TAG},
    }
    if not CELERY_BROKER_URL and redis_url.parse(REDIS_URL).kind != "cluster":
        CELERY_BROKER_URL, CELERY_BROKER_TRANSPORT_OPTIONS = redis_url.celery_broker(REDIS_URL)
if not CELERY_BROKER_URL:
    CELERY_BROKER_URL = "bourse-files://"
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(DATA_DIR / "celery" / "queue"),
        "data_folder_out": str(DATA_DIR / "celery" / "queue"),
        "control_folder": str(DATA_DIR / "celery" / "control"),
        "polling_interval": 0.2,
    }
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "bourse"
CELERY_WORKER_POOL = "threads"  # they share what a follower keeps in memory
CELERY_WORKER_CONCURRENCY = 4
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BEAT_SCHEDULER = "celery.beat:Scheduler"  # remembers nothing: what is due is in the database
CELERY_TIMEZONE = "UTC"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "trading.api.authentication.SignedRequest",
        "trading.api.authentication.BrowserSession",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_THROTTLE_CLASSES": ["trading.api.limits.CallerThrottle"],
    "DEFAULT_RENDERER_CLASSES": ["trading.api.rendering.StructRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "trading.api.rendering.AlwaysJson",
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_METADATA_CLASS": "trading.api.rendering.AllowOnly",
    "EXCEPTION_HANDLER": "trading.api.errors.answer_to",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Bourse",
    "DESCRIPTION": "A self-hosted crypto spot exchange. Decimals are strings, times are ISO 8601 in UTC.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "POSTPROCESSING_HOOKS": ["trading.api.schema.whole_document"],
}

# Order entry refuses bodies over 64 KiB before reading them; what goes through Django has the same bound.
DATA_UPLOAD_MAX_MEMORY_SIZE = 65_536
CSRF_FAILURE_VIEW = "trading.pages.errors.csrf_failure"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
# Everything comes from here: no inline scripts or styles, no other host. 'self' covers our WebSockets too.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "manifest-src": ["'self'"],
        "worker-src": ["'self'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}
PERMISSIONS_REFUSED = (
    *("accelerometer", "camera", "display-capture", "geolocation", "gyroscope"),
    *("magnetometer", "microphone", "midi", "payment", "usb"),
)
if PRODUCTION:
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
    SECURE_HSTS_SECONDS = 365 * 24 * 3600
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

LOG_FORMAT = environment.choice(name="LOG_FORMAT", choices=("line", "json") if DEMO else ("json", "line"))
LOG_ORDERS = environment.flag(name="LOG_ORDERS", default=False)
OTEL_EXPORTER_OTLP_ENDPOINT = environment.text(name="OTEL_EXPORTER_OTLP_ENDPOINT")
TRACES = environment.choice(
    name="TRACES", choices=("otlp", "off", "console") if OTEL_EXPORTER_OTLP_ENDPOINT else ("off", "otlp", "console")
)
LOGGING_CONFIG = "trading.logs.configure"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {LOG_FORMAT: logs.FORMATTERS[LOG_FORMAT]},
    "filters": {"news": {"()": "django.utils.log.CallbackFilter", "callback": logs.is_news}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.request": {"level": "ERROR", "filters": ["news"]},
        "uvicorn": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
        "kombu": {"level": "ERROR"},  # it warns that files have no host name
        "channels_redis": {"level": "CRITICAL"},  # it tells every second that Redis is away; so do we, once
        "httpx": {"level": "WARNING"},  # it tells every request
        "opentelemetry": {"level": "ERROR"},  # a collector that is away is no news each time
    },
}
