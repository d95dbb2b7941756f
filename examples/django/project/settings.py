"""The minimal settings for the example."""

import os

SECRET_KEY = "an example's"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "notifications"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ.get("PGHOST", ""), "PORT": os.environ.get("PGPORT", ""),
        "NAME": os.environ.get("PGDATABASE", "mydb"), "USER": os.environ.get("PGUSER", ""),
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
