//! nginx twice: as the registry behind everything, and as what a cache can be at its best.

use std::fs;
use std::path::Path;

use crate::corpus::Corpus;
use crate::ground::Ground;
use crate::process::{LOAD_CORE, Process, SERVER_CORE, pinned};

/// The registry. It runs beside the load generator, so that it takes nothing from the server.
pub fn start_origin(directory: &Path, corpus: &Corpus, port: u16) -> Process {
    let root = corpus.directory.display();
    let body = format!(
        "server {{
            listen 127.0.0.1:{port} backlog=4096;
            access_log off;
            default_type application/json;
            location = /ready {{ return 200; }}
            location /mirror/ {{ root {root}; gzip_static on; }}
            location ~ ^/filler-[0-9]+/-/ {{
                default_type application/octet-stream;
                rewrite ^ /tarballs/filler/-/filler-1.0.0.tgz break;
                root {root};
            }}
            location ~ /-/ {{ root {root}/tarballs; default_type application/octet-stream; }}
            location ~ ^/(?<package>(?<template>fresh|seed|filler)-[0-9]+)$ {{
                sub_filter_types application/json;
                sub_filter_once off;
                sub_filter @NAME@ $package;
                rewrite ^ /$template break;
                root {root}/templates;
            }}
            location ~ ^/crates/api/v1/crates/(?<crate>[^/]+)/(?<version>[^/]+)/download$ {{
                rewrite ^ /crates/dl/$crate/$version/download break;
                root {root};
            }}
            location ~ ^/crates/static/(?<crate>[^/]+)/[^/]+-(?<version>[0-9.]+)[.]crate$ {{
                rewrite ^ /crates/dl/$crate/$version/download break;
                root {root};
            }}
            location /crates/ {{ root {root}; default_type text/plain; }}
            location / {{ root {root}/packuments; gzip_static on; }}
        }}"
    );
    launch("the origin", directory, "origin", &body, port, LOAD_CORE)
}

/// As Debian sets it up, where nothing is said: sendfile, and an access log. Connections are kept
/// for as long as the load lasts.
pub fn start(ground: &Ground, name: &'static str) -> Process {
    let (port, origin) = (ground.ports.nginx, ground.origin.port);
    let directory = ground.directory.join("nginx");
    let cache = directory.join("cache");
    fs::create_dir_all(&cache).unwrap();
    let mirror = ground.corpus.directory.join("mirror");
    let crates = ground.corpus.directory.join("crates");
    let (cache, mirror, crates) = (cache.display(), mirror.display(), crates.display());
    let body = format!(
        "proxy_cache_path {cache} levels=1:2 keys_zone=registry:10m max_size=20g inactive=1d
            use_temp_path=off;
        upstream origin {{ server 127.0.0.1:{origin}; keepalive 64; }}
        server {{
            listen 127.0.0.1:{port} backlog=4096;
            access_log access.log;
            default_type application/json;
            location = /ready {{ access_log off; return 200; }}
            location /static/ {{ alias {mirror}/; gzip_static on; }}
            location = /registry/index/config.json {{
                return 200 '{{\"dl\":\"http://127.0.0.1:{port}/registry/dl\"}}';
            }}
            location /registry/ {{ alias {crates}/; default_type text/plain; etag on; }}
            location /plain/ {{ alias {mirror}/; gzip_static on; sendfile off; }}
            location /cached/ {{
                proxy_pass http://origin/mirror/;
                proxy_http_version 1.1;
                proxy_set_header Connection \"\";
                proxy_cache registry;
                proxy_cache_valid 200 1d;
            }}
            location /pulled/ {{
                proxy_pass http://origin/;
                proxy_http_version 1.1;
                proxy_set_header Connection \"\";
                proxy_cache registry;
                proxy_cache_valid 200 1d;
            }}
        }}"
    );
    launch(name, &ground.directory, "nginx", &body, port, SERVER_CORE)
}

/// What it kept is gone afterwards.
pub fn empty_cache(ground: &Ground) {
    let _ = fs::remove_dir_all(ground.directory.join("nginx/cache"));
}

fn launch(
    name: &'static str,
    directory: &Path,
    called: &str,
    body: &str,
    port: u16,
    core: &str,
) -> Process {
    let directory = directory.join(called);
    fs::create_dir_all(&directory).unwrap();
    // A worker that gives up root could not read what root wrote.
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let temporary = "client_body_temp_path client_body; proxy_temp_path proxy;
            fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;";
    let text = format!(
        "{user} daemon off; worker_processes 1; pid nginx.pid;
        events {{ worker_connections 4096; }}
        http {{
            {temporary}
            sendfile on; tcp_nopush on; tcp_nodelay on;
            keepalive_timeout 300s; keepalive_requests 1000000000;
            {body}
        }}"
    );
    let file = directory.join("nginx.conf");
    fs::write(&file, text).unwrap();
    let mut command = pinned(core, "nginx");
    command.arg("-p").arg(&directory).arg("-c").arg(&file).args(["-e", "stderr"]);
    Process::start(name, command, &directory.join("log"), port, "/ready")
}
