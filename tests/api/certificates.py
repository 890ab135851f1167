# SPDX-License-Identifier: Apache-2.0
"""Authorities, devices' certificates and a server that issues keys to them, by openssl as in
docs/devices.md."""

import http.client
import json
import os
import ssl
import subprocess

import kinema


def openssl(*args, cwd):
    done = subprocess.run(["openssl", *map(str, args)], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def issue(folder, name, days=90):
    """A certificate for this machine, over the pair that lay there before."""
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", days,
            "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "new.key",
            "-out", "new.pem", cwd=folder)
    os.replace(folder / "new.key", folder / "key.pem")
    os.replace(folder / "new.pem", folder / "cert.pem")


def shown(server, listener="api-tls"):
    """The PEM of the certificate that a new connection is shown."""
    host, port = server.endpoints[listener].split("//")[1].split(":")
    return ssl.get_server_certificate((host, int(port)), timeout=30)


class Authority:
    """Files ca.pem and, for each device, NAME.pem and NAME.key in one folder."""

    def __init__(self, folder, name="Devices"):
        self.folder = folder
        self.path = folder / "ca.pem"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                3650, "-subj", f"/CN={name}", "-keyout", "ca.key", "-out", "ca.pem", cwd=folder)

    def device(self, thing, days=365):
        """The paths of its certificate and key."""
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                f"/CN={thing}", "-keyout", f"{thing}.key", "-out", f"{thing}.csr", cwd=self.folder)
        openssl("x509", "-req", "-in", f"{thing}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days",
                days, "-out", f"{thing}.pem", cwd=self.folder)
        return self.folder / f"{thing}.pem", self.folder / f"{thing}.key"

    def revoke(self, *things):
        """Appends a list of the revoked to ca.pem."""
        (self.folder / "index.txt").write_text("")
        (self.folder / "ca.cnf").write_text("[ca]\ndefault_ca=a\n[a]\ndatabase=index.txt\n"
                                            "default_md=sha256\ndefault_crl_days=30\n")
        command = ["ca", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key"]
        for thing in things:
            openssl(*command, "-revoke", f"{thing}.pem", cwd=self.folder)
        openssl(*command, "-gencrl", "-out", "crl.pem", cwd=self.folder)
        self.path.write_text(self.path.read_text() + (self.folder / "crl.pem").read_text())


def ask(server, device, role, thing=None, path=None):
    """(status, JSON) of the credential provider to a device's certificate; device None: without."""
    context = ssl.create_default_context(cafile=server.certificate)
    if device:
        context.load_cert_chain(*device)
    host = server.endpoints["iot"].split("//")[1]
    connection = http.client.HTTPSConnection(host, context=context, timeout=30)
    try:
        connection.request("GET", path or f"/role-aliases/{role}/credentials",
                           headers={"x-amzn-iot-thingname": thing} if thing else {})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def key_of(server, device, role, **options):
    status, answer = ask(server, device, role, **options)
    assert status == 200, answer
    fields = answer["credentials"]
    return kinema.Key({"AccessKeyId": fields["accessKeyId"], "SecretAccessKey": fields["secretAccessKey"],
                       "SessionToken": fields["sessionToken"]})
