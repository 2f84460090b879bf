"""Whether something answers: for waiting until a child is ready."""

import urllib3

_TIMEOUT_S = 0.5


def http_answers(url: str) -> bool:
    """Say whether GET `url` gives 200; blocks for half a second at most."""
    try:
        answer = urllib3.request("GET", url, timeout=_TIMEOUT_S, retries=False, redirect=False)
    except urllib3.exceptions.HTTPError:
        return False
    return answer.status == 200  # noqa: PLR2004  HTTP's OK
