# SPDX-License-Identifier: Apache-2.0
"""Proxies: each driver writes a configuration for a Spec and gives the command to run.

To add a proxy: subclass Driver, set `name`, write `command(spec, folder)` returning (argv,
environment), and put it in DRIVERS. Binaries are found as paths.find says.
"""
import json
import os
import shlex
import subprocess

from manifests import write_manifests
from paths import ROOT, find, put


def first_line(*argv):
    """The first line that a command prints, for version()."""
    try:
        run = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
        return ((run.stdout or "") + (run.stderr or "")).strip().split("\n")[0]
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)


class Driver:
    """A proxy that can be measured."""

    name = ""
    variable = ""  # environment variable that names the binary
    peer = True  # counts for "best peer"
    filters = True  # can do S8
    h2 = True
    flows = False  # can relay TCP and pass TLS through
    relay = False  # no HTTP: only where a client connection maps to one upstream connection

    def binary(self):
        return find(self.variable, self.name)

    def available(self):
        return bool(self.binary())

    def version(self):
        return first_line(self.binary(), "-v")

    def command(self, spec, folder):
        raise NotImplementedError

    def can(self, scenario):
        """True if this proxy can play in a scenario."""
        if scenario.flow and not self.flows or self.relay and (scenario.routes or "-x" in scenario.args):
            return False
        return (self.filters or not scenario.filters) and (self.h2 or scenario.kind != "h2")


class Floor(Driver):
    """floor.c: what moving the bytes costs."""

    name, variable, peer, filters, h2, relay = "floor", "FLOOR", False, False, False, True

    def version(self):
        return "floor.c"

    def command(self, spec, folder):
        # Two relays, one plain and one TLS; the shell stays as the parent and only waits.
        plain = [self.binary(), str(spec.port), str(spec.backend)]
        tls = [plain[0], str(spec.tls_port), plain[2], spec.cert, spec.key]
        return ["/bin/sh", "-c", f"{shlex.join(plain)} & {shlex.join(tls)} & wait"], {}


class Nginx(Driver):
    """Debian's nginx."""

    name, variable = "nginx", "NGINX"

    def location(self, index, route):
        """(map directives, location block) of a route."""
        maps, body = [], ""
        if route.header:
            field = route.header[0].replace("-", "_")
            maps.append(f'map $http_{field} $ok{index} {{ default 0; "{route.header[1]}" 1; }}')
            body += f"if ($ok{index} = 0) {{ return 404; }} "
        if route.add or route.remove:
            body += 'proxy_set_header Connection ""; proxy_set_header Host $http_host; '
        for name, value in route.add.items():
            body += f'proxy_set_header {name} "{value}"; '
        for name in route.remove:
            body += f'proxy_set_header {name} ""; '
        for name, value in route.radd.items():
            body += f'add_header {name} "{value}" always; '
        body += f"proxy_pass http://be{route.rewrite or ''};"
        return maps, f"location {route.prefix} {{ {body} }}"

    def command(self, spec, folder):
        new = "/1.22" not in self.version()
        h2 = "" if new else " http2"
        default = " default_server" + (" reuseport" if spec.workers > 1 else "") + " backlog=4096"

        def listen(options):
            return (f"listen 127.0.0.1:{spec.port}{options}; "
                    f"listen 127.0.0.1:{spec.tls_port} ssl{h2}{options};")
        servers, maps = [], []
        for i, route in enumerate(spec.routes):
            more, location = self.location(i, route)
            maps += more
            servers.append(f"server {{ {listen('' if route.host else default)} "
                           f"server_name {route.host or '_'}; {location} }}")
        if all(route.host for route in spec.routes):
            servers.append(f"server {{ {listen(default)} return 404; }}")
        lines = "\n ".join(maps + servers)
        conf = f"""
daemon off; worker_processes {spec.workers}; pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
events {{ worker_connections 16000; use epoll; }}
http {{
 access_log off; server_tokens off; tcp_nodelay on;
 keepalive_requests 100000000; keepalive_timeout 300s; client_max_body_size 0;
 client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
 uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
 server_names_hash_max_size 400000; server_names_hash_bucket_size 128; {'http2 on;' if new else ''}
 ssl_certificate {spec.cert}; ssl_certificate_key {spec.key}; ssl_protocols TLSv1.3;
 ssl_session_tickets off; ssl_session_cache off;
 upstream be {{
  server 127.0.0.1:{spec.backend};
  keepalive 512; keepalive_requests 100000000; keepalive_timeout 300s;
 }}
 proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
 proxy_request_buffering off; proxy_max_temp_file_size 0; proxy_buffer_size 8k;
 proxy_buffers 16 64k; proxy_busy_buffers_size 128k; client_body_buffer_size 128k;
 {lines}
}}
"""
        return [self.binary(), "-c", put(folder, "nginx.conf", conf), "-p", folder], {}


class NginxNew(Nginx):
    """nginx 1.28, from peers.sh."""

    name, variable = "nginx-new", "NGINX_NEW"


class Haproxy(Driver):
    """Debian's HAProxy."""

    name, variable, flows = "haproxy", "HAPROXY", True

    FLOWS = """
global
  maxconn 15000
  no strict-limits
  nbthread {spec.workers}
defaults
  mode tcp
  timeout client 300s
  timeout server 300s
  timeout connect 5s
  option splice-auto
"""
    TCP = """
frontend f
  bind 127.0.0.1:{spec.port} backlog 4096
  default_backend be
backend be
  server s 127.0.0.1:{spec.backend}
"""
    PASS = """
frontend f
  bind 127.0.0.1:{spec.tls_port} backlog 4096
  tcp-request inspect-delay 5s
  tcp-request content accept if {{ req.ssl_hello_type 1 }}
  use_backend be if {{ req.ssl_sni -m end .bench.test }}
backend be
  server s 127.0.0.1:{spec.tls_backend}
"""

    def special(self, index, route, backend):
        """(frontend line, backend lines) of a route that does more than choose."""
        host = f"{{ req.hdr(host) -i {route.host} }} " if route.host else ""
        condition = host + f"{{ path_beg {route.prefix} }}"
        if route.header:
            condition += f" {{ req.hdr({route.header[0]}) -m str {route.header[1]} }}"
        lines = [f"backend f{index}", f"  server s 127.0.0.1:{backend}"]
        lines += [f"  http-request del-header {name}" for name in route.remove]
        lines += [f"  http-request set-header {n} {v}" for n, v in route.add.items()]
        if route.rewrite:
            size = len(route.prefix)
            lines.append(f"  http-request set-path {route.rewrite}%[path,bytes({size})]")
        lines += [f"  http-response set-header {n} {v}" for n, v in route.radd.items()]
        return f"  use_backend f{index} if {condition}", lines

    def rules(self, spec, folder):
        """(frontend lines, backend lines) of the route table."""
        front, backs, plain = [], [], []
        for i, route in enumerate(spec.routes):
            if route.header or route.rewrite or route.add or route.remove or route.radd:
                line, lines = self.special(i, route, spec.backend)
                front.append(line)
                backs += lines
            elif route.host:
                plain.append(f"{route.host}{route.prefix} be")
            else:
                front.append("  default_backend be")
        if plain:
            table = put(folder, "routes.map", "\n".join(plain) + "\n")
            front.append(f"  use_backend %[base,map_beg({table})]")
        if not any("default_backend" in line for line in front):
            front.append("  default_backend none")
        return front, backs

    def command(self, spec, folder):
        if spec.flow:
            conf = (self.FLOWS + (self.TCP if spec.flow == "tcp" else self.PASS)).format(spec=spec)
            return [self.binary(), "-db", "-q", "-f", put(folder, "haproxy.cfg", conf)], {}
        with open(spec.cert, encoding="ascii") as cert, open(spec.key, encoding="ascii") as key:
            pem = put(folder, "all.pem", cert.read() + key.read())
        front, backs = (("\n".join(lines)) for lines in self.rules(spec, folder))
        conf = f"""
global
  maxconn 15000
  no strict-limits
  nbthread {spec.workers}
  ssl-default-bind-options ssl-min-ver TLSv1.3 no-tls-tickets
  tune.ssl.cachesize 0
defaults
  mode http
  timeout client 300s
  timeout server 300s
  timeout connect 5s
  timeout http-keep-alive 300s
  option http-keep-alive
  option splice-auto
  http-reuse always
frontend f
  bind 127.0.0.1:{spec.port} backlog 4096
  bind 127.0.0.1:{spec.tls_port} backlog 4096 ssl crt {pem} alpn h2,http/1.1
{front}
backend be
  server s 127.0.0.1:{spec.backend}
backend none
  http-request return status 404
{backs}
"""
        return [self.binary(), "-db", "-q", "-f", put(folder, "haproxy.cfg", conf)], {}


class HaproxyNew(Haproxy):
    """HAProxy 3.0, from peers.sh."""

    name, variable = "haproxy-new", "HAPROXY_NEW"


class Envoy(Driver):
    """Envoy."""

    name, variable, flows = "envoy", "ENVOY", True

    def version(self):
        return first_line(self.binary(), "--version")

    def route(self, route):
        """One Route as Envoy's JSON."""
        def set_headers(fields):
            return [{"header": {"key": name, "value": value},
                     "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
                    for name, value in fields.items()]
        match = {"prefix": route.prefix}
        if route.header:
            match["headers"] = [
                {"name": route.header[0], "string_match": {"exact": route.header[1]}}]
        action = {"cluster": "be", "timeout": "0s"}
        if route.rewrite:
            action["prefix_rewrite"] = route.rewrite
        entry = {"match": match, "route": action}
        if route.add:
            entry["request_headers_to_add"] = set_headers(route.add)
        if route.remove:
            entry["request_headers_to_remove"] = route.remove
        if route.radd:
            entry["response_headers_to_add"] = set_headers(route.radd)
        return entry

    def listener(self, spec, name, table):
        """The listener "h" (plain) or "t" (TLS)."""
        types = "type.googleapis.com/envoy.extensions."
        router = types + "filters.http.router.v3.Router"
        manager = {
            "@type": types + "filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": name, "codec_type": "AUTO", "generate_request_id": False,
            "server_header_transformation": "PASS_THROUGH", "stream_idle_timeout": "0s",
            "route_config": table,
            "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {
                "@type": router, "suppress_envoy_headers": True, "dynamic_stats": False}}],
        }
        chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager",
                              "typed_config": manager}]}
        if name == "t":
            version = {"tls_minimum_protocol_version": "TLSv1_3",
                       "tls_maximum_protocol_version": "TLSv1_3"}
            certificate = {"certificate_chain": {"filename": spec.cert},
                           "private_key": {"filename": spec.key}}
            chain["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": {
                "@type": types + "transport_sockets.tls.v3.DownstreamTlsContext",
                "disable_stateless_session_resumption": True,
                "common_tls_context": {"alpn_protocols": ["h2", "http/1.1"], "tls_params": version,
                                       "tls_certificates": [certificate]}}}
        port = spec.tls_port if name == "t" else spec.port
        return {"name": name, "tcp_backlog_size": 4096, "enable_reuse_port": spec.workers > 1,
                "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
                "filter_chains": [chain]}

    def flow_listener(self, spec):
        """The listener of a Spec that is about a flow."""
        types = "type.googleapis.com/envoy.extensions."
        chain = {"filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": {
            "@type": types + "filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "f", "cluster": "be"}}]}
        listener = {"name": "f", "filter_chains": [chain], "address": {"socket_address": {
            "address": "127.0.0.1", "port_value": spec.port if spec.flow == "tcp" else spec.tls_port}}}
        if spec.flow == "pass":
            chain["filter_chain_match"] = {"server_names": ["*.bench.test"]}
            listener["listener_filters"] = [{"name": "envoy.filters.listener.tls_inspector", "typed_config": {
                "@type": types + "filters.listener.tls_inspector.v3.TlsInspector"}}]
        return listener

    def command(self, spec, folder):
        hosts = {}
        for route in spec.routes:
            hosts.setdefault(route.host or "*", []).append(self.route(route))
        table = {"name": "r", "virtual_hosts": [
            {"name": host, "domains": [host], "routes": routes} for host, routes in hosts.items()]}
        limits = {"max_connections": 100000, "max_pending_requests": 100000,
                  "max_requests": 100000, "max_retries": 10}
        address = {"socket_address": {"address": "127.0.0.1", "port_value": spec.tls_backend if spec.flow == "pass" else spec.backend}}
        cluster = {
            "name": "be", "type": "STATIC", "connect_timeout": "5s",
            "circuit_breakers": {"thresholds": [limits]},
            "load_assignment": {"cluster_name": "be", "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": address}}]}]}}
        conf = {"static_resources": {
            "listeners": [self.flow_listener(spec)] if spec.flow else
                         [self.listener(spec, name, table) for name in ("h", "t")],
            "clusters": [cluster]}}
        return [self.binary(), "-c", put(folder, "envoy.json", json.dumps(conf)), "--concurrency",
                str(spec.workers), "--disable-hot-restart", "-l", "error"], {}


class Nghttpx(Driver):
    """nghttpx, which has HTTP/2 from the library that ours has it from."""

    name, variable, filters = "nghttpx", "NGHTTPX", False

    def version(self):
        return first_line(self.binary(), "--version")

    def command(self, spec, folder):
        lines = [
            f"frontend=127.0.0.1,{spec.port};no-tls", f"frontend=127.0.0.1,{spec.tls_port}",
            f"private-key-file={spec.key}", f"certificate-file={spec.cert}",
            f"workers={spec.workers}", "no-ocsp=yes", "tls-min-proto-version=TLSv1.3",
            "accesslog-file=/dev/null", "accesslog-format=", "log-level=ERROR",
            "single-process=yes", "worker-frontend-connections=0",
            "frontend-keep-alive-timeout=300s", "frontend-http2-max-concurrent-streams=256",
            "backlog=4096", "no-via=yes", "no-server-rewrite=yes"]
        patterns = [(route.host or "") + route.prefix for route in spec.routes]
        if "/" not in patterns:
            patterns.append("/")  # nghttpx demands a catch-all
        lines += [f"backend=127.0.0.1,{spec.backend};{pattern}" for pattern in patterns]
        return [self.binary(), "--conf", put(folder, "nghttpx.conf", "\n".join(lines) + "\n")], {}


class Hyperway(Driver):
    """Ours. HYPERWAY_CMD is a template: {manifests} {config} {dir} {workers} {port} {tls_port} {backend}."""

    name, peer, flows = "hyperway", False, True
    DEFAULT = "{root}/build/release/bin/hyperway --config {config} " \
              "--gateway-api-config-file {manifests} --workers {workers}"
    # As the peers' worker_connections and maxconn: SM holds 10,000 where 20,000 descriptors are all.
    CONFIG = "limits: {connections: 15000}\n"

    def template(self):
        return os.environ.get("HYPERWAY_CMD") or self.DEFAULT

    def binary(self):
        program = shlex.split(self.template().format_map(Blank(root=ROOT)))[0]
        return program if os.access(program, os.X_OK) else None

    def version(self):
        return first_line(self.binary(), "version")

    def command(self, spec, folder):
        command = self.template().format(
            root=ROOT, manifests=write_manifests(spec, folder), dir=folder, workers=spec.workers,
            config=put(folder, "hyperway.yaml", self.CONFIG), port=spec.port, tls_port=spec.tls_port,
            backend=spec.backend)
        return shlex.split(command), {}


class Blank(dict):
    """Format values of which most are not known yet."""

    def __missing__(self, key):
        return key


DRIVERS = {driver.name: driver() for driver in (
    Nginx, NginxNew, Haproxy, HaproxyNew, Envoy, Nghttpx, Hyperway, Floor)}
DEFAULT = ["nginx", "nginx-new", "haproxy", "haproxy-new", "nghttpx", "envoy", "hyperway"]
