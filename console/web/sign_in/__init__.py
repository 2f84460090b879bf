"""Signing in and out: by a token, and by OpenID Connect; the cookies and what guards them."""
