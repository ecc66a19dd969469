"""The door: nginx, which lets hospitals reach the routes that a registered SuperNode needs, and nothing else.

The SuperLink's other routes know no login: whoever reaches them may register nodes and start runs. It listens on this
machine alone. All paths are relative to nginx's own folder, so the coordinator's folder may be moved.
"""

from typing import Final

from jinja2 import StrictUndefined, Template

from bloodnet_model.files import make_folder, write_whole
from server.certificates import INNER, SERVER, SERVER_KEY
from server.coordinator.home import LOOPBACK, LOOPBACK_NAME, Home

PROXY: Final = "nginx.conf"
REFUSED: Final = "refused.log"
PID: Final = "nginx.pid"
TEMPORARY: Final = "temporary"

ROUTES: Final = (
    "activate-node",
    "deactivate-node",
    "send-node-heartbeat",
    "pull-messages",
    "push-messages",
    "get-run",
    "get-fab",
    "push-object",
    "pull-object",
    "confirm-message-received",
)
"""Of /v1/fleet/, those that a SuperNode with a registered key asks."""

# Bodies are at most 5.3 MB: Flower sends objects in chunks. A SuperNode tries again after 502, 503 and 504 alone.
_TEMPLATE: Final = Template(
    """\
# Written by `bloodnet-server`; change coordinator.yaml, and it is written anew.
worker_processes auto;
daemon off;
pid {{ pid }};
error_log stderr warn;
events { worker_connections 1024; }
http {
  map $status $refused { ~^[23] 0; default 1; }
  log_format refused '$time_iso8601 $remote_addr $status "$request_method $uri"';
  access_log {{ refused }} refused if=$refused;
  {%- for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi") %}
  {{ kind }}_temp_path {{ temporary }}/{{ kind }};
  {%- endfor %}
  limit_req_zone $binary_remote_addr zone=fleet:1m rate=200r/s;
  upstream superlink { server {{ superlink }}; keepalive 32; }
  server {
    {%- for address in listen %}
    listen {{ address }}:{{ port }} ssl;
    {%- endfor %}
    server_name {{ hosts | join(" ") }};
    ssl_certificate ../keys/{{ certificate }};
    ssl_certificate_key ../keys/{{ key }};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:sites:2m;
    server_tokens off;
    client_max_body_size 16m;
    client_body_timeout 120s;
    send_timeout 120s;
    keepalive_timeout 75s;
    keepalive_requests 100000;
    location ~ ^/v1/fleet/({{ routes | join("|") }})$ {
      limit_except POST { deny all; }
      limit_req zone=fleet burst=400 nodelay;
      proxy_pass https://superlink;
      proxy_ssl_verify on;
      proxy_ssl_trusted_certificate ../keys/{{ inner }};
      proxy_ssl_name {{ loopback }};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_request_buffering off;
      proxy_buffers 16 512k;
      proxy_buffer_size 64k;
      proxy_busy_buffers_size 1m;
      proxy_max_temp_file_size 0;
      proxy_connect_timeout 5s;
      proxy_read_timeout 60s;
      proxy_send_timeout 60s;
      proxy_next_upstream off;
    }
    location / { return 404; }
  }
}
""",
    undefined=StrictUndefined,
)


def write_proxy(home: Home) -> None:
    """Write nginx's configuration from the coordinator's settings."""
    make_folder(home.nginx / TEMPORARY)
    write_whole(home.nginx / PROXY, proxy_configuration(home))


def proxy_configuration(home: Home) -> str:
    """What nginx is told."""
    settings = home.settings
    configuration: str = _TEMPLATE.render(
        hosts=settings.hosts,
        port=settings.port,
        listen=settings.listen,
        superlink=f"{LOOPBACK}:{settings.superlink_port}",
        loopback=LOOPBACK_NAME,
        routes=ROUTES,
        inner=INNER,
        certificate=SERVER,
        key=SERVER_KEY,
        refused=REFUSED,
        pid=PID,
        temporary=TEMPORARY,
    )
    return configuration
