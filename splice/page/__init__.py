"""The door's own page and its files: what a browser gets at `/` and under `/-/`.

Pure functions; no request is made and no file of anyone else's is named. The page speaks English and Chinese, runs
under a strict Content-Security-Policy, and plays by mpegts.js where `make run` has put it into the package.
"""

from splice.page._page import CONTENT_SECURITY_POLICY, PageLanguage, asset, index_page, language_of

__all__ = ["CONTENT_SECURITY_POLICY", "PageLanguage", "asset", "index_page", "language_of"]
