"""nginx in front of gunicorn: the whole job that corelane does alone.

Fair: files from nginx as in nginx.py; everything else through a Unix socket with connections that are
kept (without `keepalive` and HTTP/1.1 nginx would open one for each request), to gunicorn's threaded
worker, one process for each lane. Proxy headers as gunicorn's deployment page has them.
"""

from peers import gunicorn_gthread, nginx


def version():
    return f"{nginx.version()} + {gunicorn_gthread.version()}"


def commands(job):
    socket = job.scratch / "gunicorn.sock"
    outside = f"upstream app {{ server unix:{socket}; keepalive 64; }}"
    proxy = """
      proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;"""
    inside = f"location / {{ {proxy} }}"
    if job.site:
        inside = f"root {job.site}; location / {{ try_files $uri @app; }} location @app {{ {proxy} }}"
    front = nginx.start(job, inside, outside)
    return [front, gunicorn_gthread.start(job, f"unix:{socket}")]
