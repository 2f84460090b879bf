"""The page `/exports`: a new export of a view, and one's own, how far they are and their files."""

from auditbus.console.web.exports_page.routes import router

__all__ = ["router"]
