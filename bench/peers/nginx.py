"""nginx for static files, one worker process for each lane.

Fair: the package of the distribution, with what its authors and every tuning guide switch on for files:
sendfile, tcp_nopush, tcp_nodelay, open_file_cache with room for all files, no access log (where the
scenario wants one: its usual format, through a buffer as large as corelane's), keep-alive
without an end (the default closes after 1000 requests, which would be charged to nginx), epoll with
multi_accept, and as many connections as are asked for. reuseport where there is more than one worker,
as corelane has it. In the pipelined scenario tcp_nopush makes its answers wait for the load's delayed
acknowledgements (40 ms); it stays on, since without it each of the 16 answers is a packet and costs more
CPU time, which is what is compared.
"""

import os
import shutil
import subprocess

from measure.server import Missing


def program():
    found = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
    if not found:
        raise Missing("no nginx: apt install nginx-light")
    return found


def version():
    return subprocess.run([program(), "-v"], capture_output=True, text=True).stderr.strip().split("/")[-1]


def commands(job):
    return [start(job, f"root {job.site};")]


def start(job, inside, outside=""):
    """The command line for a configuration with `inside` its server and `outside` beside it."""
    log = f"{job.scratch}/access.log combined buffer=32k flush=1s" if job.access_log else "off"
    reuseport = " reuseport" if job.lanes > 1 else ""
    text = f"""
daemon off;
worker_processes {job.lanes};
pid {job.scratch}/nginx.pid;
error_log stderr error;
events {{ use epoll; multi_accept on; worker_connections 32768; }}
http {{
  sendfile on; tcp_nopush on; tcp_nodelay on;
  access_log {log};
  keepalive_timeout 75s; keepalive_requests 1000000000;
  open_file_cache max=4096 inactive=60s; open_file_cache_valid 30s; open_file_cache_min_uses 1;
  types {{ text/html html; text/css css; text/javascript js; image/svg+xml svg; text/plain txt; }}
  default_type application/octet-stream;
  client_body_temp_path {job.scratch}/body; proxy_temp_path {job.scratch}/proxy;
  fastcgi_temp_path {job.scratch}/fastcgi; uwsgi_temp_path {job.scratch}/uwsgi;
  scgi_temp_path {job.scratch}/scgi;
  {outside}
  server {{
    listen 127.0.0.1:{job.port} backlog=4096{reuseport};
    {inside}
  }}
}}
"""
    file = job.scratch / "nginx.conf"
    file.write_text(text)
    return [program(), "-e", "stderr", "-p", job.scratch, "-c", file]
