# SPDX-License-Identifier: Apache-2.0
"""A client of the console's JSON."""

import http.client
import json
import urllib.parse


class Browser:
    """One session on the console: keeps the cookie, sends what it is told."""

    def __init__(self, server, source="127.0.0.1"):
        self.address = urllib.parse.urlsplit(server.console)
        self.source = source
        self.cookie = None

    def request(self, method, path, body=None, headers=None, raw=False):
        connection = http.client.HTTPConnection(self.address.hostname, self.address.port, timeout=60,
                                                source_address=(self.source, 0))
        headers = dict(headers or {})
        if self.cookie:
            headers.setdefault("Cookie", self.cookie)
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        if answer.getheader("Set-Cookie"):
            self.set_cookie = answer.getheader("Set-Cookie")
            self.cookie = self.set_cookie.split(";")[0]
        if raw:
            return answer, data
        return answer.status, json.loads(data)

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, body, **options):
        return self.request("POST", path, body, **options)

    def login(self, key):
        return self.post("/kinema/v1/login",
                         {"accessKeyId": key.id, "secretAccessKey": key.secret})
