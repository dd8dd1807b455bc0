# SPDX-License-Identifier: Apache-2.0
"""Debian's nginx as a backend, with a prefix folder and a port of its own."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from . import ports

CONFIG = """
daemon off;
master_process off;
pid nginx.pid;
error_log error.log;
events {{ worker_connections 512; }}
http {{
  access_log access.log;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  client_max_body_size 200m;
  client_body_buffer_size 1m;
  keepalive_requests {keepalive_requests};
  server {{
    listen 127.0.0.1:{port};
    root {folder}/www;
    location /echo {{ return 200 "$request_method $request_uri $http_host $http_x_forwarded_for $request_body"; }}
    location /put {{ dav_methods PUT; create_full_put_path on; }}
    location /gzip {{ gzip on; gzip_min_length 1; gzip_types text/plain application/octet-stream; }}
    location /moved {{ return 301 /index.html; }}
    location /none {{ return 204; }}
    location /limited {{ limit_rate 200k; }}
  }}
}}
"""


class Nginx:
    """One process; `folder`/www is served. host and port are like a Backend's."""

    def __init__(self, keepalive_requests=1000):
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        if not os.path.exists(program):
            raise AssertionError("no nginx: install Debian's nginx-light")
        self.host, self.port = "127.0.0.1", ports.free_port()
        self.folder = tempfile.mkdtemp(prefix="hw-nginx-")
        os.chmod(self.folder, 0o755)
        self.www = os.path.join(self.folder, "www")
        os.mkdir(self.www)
        config = os.path.join(self.folder, "nginx.conf")
        with open(config, "w", encoding="ascii") as file:
            file.write(CONFIG.format(port=self.port, folder=self.folder, keepalive_requests=keepalive_requests))
        with open(os.path.join(self.folder, "stderr"), "wb") as err:
            self.process = subprocess.Popen([program, "-p", self.folder, "-c", config, "-e", "error.log"],
                                            stdin=subprocess.DEVNULL, stdout=err, stderr=err)
        end = time.monotonic() + 10
        while True:
            try:
                socket.create_connection((self.host, self.port), 1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    with open(os.path.join(self.folder, "stderr"), encoding="utf-8") as file:
                        raise AssertionError(f"nginx does not start: {file.read()}") from None
                time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGQUIT)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def put(self, name, data):
        """Puts a file under the root."""
        path = os.path.join(self.www, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        return path
