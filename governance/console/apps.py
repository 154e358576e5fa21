from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    name = "governance.console"
    label = "console"

    def ready(self) -> None:
        # Connects the receivers that record sign-in events.
        from governance.console.people import trail  # noqa: F401
