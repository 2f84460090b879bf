"""The audit log screen: server-rendered pages, little JavaScript."""

from auditbus.console.web.screen.routes import router

__all__ = ["router"]
