"""Exit 0 when the service in this container is ready, 1 otherwise: the image has no curl and needs none."""

import http.client
import os  # the port is the only setting read here, and app.settings would import the whole service
import sys

connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("TPV_PORT", "8000")), timeout=2)  # noqa: TID251
try:
    connection.request("GET", "/readyz")
    status = connection.getresponse().status
except OSError as error:
    sys.exit(f"/readyz does not answer: {error}")
if status != http.client.OK:
    sys.exit(f"/readyz answers {status}")
