"""The page `/retention`: periods, what waits, what will go when, holds. Administrators only."""

from auditbus.console.web.retention_page.routes import router

__all__ = ["router"]
