"""nginx in two roles: the fixed upstream behind everything, and the bare proxy as the floor."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from bench.certificate import Certificate
from bench.loads import CHAT, EMBEDDINGS, Route, chat_answer, embeddings_answer
from bench.process import HOST, Process

BINARY = shutil.which("nginx") or "/usr/sbin/nginx"
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
KEPT_CONNECTIONS = 512
# nginx closes a connection after 1,000 requests by default, which would measure reconnecting.
UNLIMITED = 1_000_000_000


def start_upstream(folder: Path, plain: int, tls: int, certificate: Certificate) -> Process:
    """Answer every chat with 500 bytes and every embedding with a megabyte, on two ports."""
    folder.mkdir()
    (folder / "embeddings.json").write_bytes(embeddings_answer())
    server = f"""
  server {{
    listen {HOST}:{plain} backlog=4096;
    listen {HOST}:{tls} ssl backlog=4096;
    ssl_certificate {certificate.chain};
    ssl_certificate_key {certificate.key};
    root {folder};
    default_type application/json;
    types {{}}
    location = {CHAT} {{ return 200 '{chat_answer().decode()}'; }}
    # A file is not for POST, so nginx is told to answer its refusal with the file.
    location = {EMBEDDINGS} {{ error_page 405 =200 /embeddings.json; return 405; }}
    location = /embeddings.json {{ internal; }}
  }}"""
    return _start("nginx-upstream", folder, server, plain)


def start_proxy(folder: Path, routes: Mapping[Route, tuple[int, int]], trust: Path) -> Process:
    """Proxy each route from its first port to the upstream on its second, and no more."""
    folder.mkdir()
    servers = "".join(_proxy(route, *ports, trust) for route, ports in routes.items())
    return _start("nginx-proxy", folder, servers, next(iter(routes.values()))[0])


def _proxy(route: Route, port: int, upstream: int, trust: Path) -> str:
    verified = (
        f"proxy_ssl_trusted_certificate {trust}; proxy_ssl_verify on; proxy_ssl_name localhost;"
        if route.tls
        else ""
    )
    return f"""
  upstream {route} {{
    server {HOST}:{upstream};
    keepalive {KEPT_CONNECTIONS};
    keepalive_requests {UNLIMITED};
  }}
  server {{
    listen {HOST}:{port} backlog=4096;
    location / {{
      proxy_pass {"https" if route.tls else "http"}://{route};
      proxy_http_version 1.1;
      proxy_set_header connection "";
      proxy_buffering {"off" if route.streams else "on"};
      proxy_max_temp_file_size 0;
      {verified}
    }}
  }}"""


def _start(name: str, folder: Path, servers: str, port: int) -> Process:
    temporary = "\n".join(f"  {kind}_temp_path {folder}/{kind};" for kind in TEMPORARY)
    # As root nginx would switch to a user who may not read the benchmark's folder.
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(f"""
{user}
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  tcp_nodelay on;
  keepalive_timeout 600s;
  keepalive_requests {UNLIMITED};
  client_max_body_size 64m;
  client_body_buffer_size 512k;
{temporary}
{servers}
}}
""")
    command = [BINARY, "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    process = Process(name, command, folder)
    try:
        process.port(port)
    except BaseException:
        process.stop()
        raise
    return process
