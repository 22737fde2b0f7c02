//! The same client over HTTP/2, against a server that was not written for lying.

use actix_web::http::Version;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, dev::ServerHandle, web};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use server::upstream::{ProxySetting, Upstream, UpstreamSettings};
use support::upstream::tls::Identity;

use super::{clock, kind, ms, read};

async fn whole(request: HttpRequest) -> HttpResponse {
    assert_eq!(request.version(), Version::HTTP_2);
    HttpResponse::Ok().content_type("application/json").body("{\"over\":\"http/2\"}")
}

async fn broken() -> HttpResponse {
    let first = stream::once(async { Ok(Bytes::from_static(b"{\"first\":")) });
    let body = first.chain(stream::once(async { Err(std::io::Error::other("it broke")) }));
    HttpResponse::Ok().content_type("application/json").streaming(body)
}

async fn silent() -> HttpResponse {
    tokio::time::sleep(ms(60_000)).await;
    HttpResponse::Ok().finish()
}

fn start() -> (Upstream, ServerHandle) {
    let identity = Identity::for_this_machine();
    let config = rustls::ServerConfig::clone(&identity.config);
    let server = HttpServer::new(|| {
        App::new()
            .route("/whole", web::get().to(whole))
            .route("/broken", web::get().to(broken))
            .route("/silent", web::get().to(silent))
    })
    .workers(1)
    .disable_signals()
    .bind_rustls_0_23("127.0.0.1:0", config)
    .unwrap();
    let base = format!("https://{}/", server.addrs()[0]).parse().unwrap();
    let mut settings = UpstreamSettings::new("npm", base);
    settings.extra_roots = vec![identity.certificate.into_bytes()];
    settings.proxy = ProxySetting::Direct;
    settings.deadlines.headers = ms(3000);
    settings.retries.attempts = 1;
    let server = server.run();
    let handle = server.handle();
    tokio::spawn(server);
    (Upstream::new(settings, clock()).unwrap(), handle)
}

#[actix_web::test]
async fn http2_is_spoken_where_the_upstream_offers_it() {
    let (client, server) = start();
    let many: Vec<_> = (0..50).map(|_| read(&client, "whole")).collect();
    for answer in futures_util::future::join_all(many).await {
        assert_eq!(answer.unwrap(), b"{\"over\":\"http/2\"}");
    }
    for (path, expected) in [("broken", "broken"), ("silent", "timed out"), ("none", "absent")] {
        let error = read(&client, path).await.expect_err(path);
        assert_eq!(kind(&error), expected, "{path}: {error}");
    }
    assert!(read(&client, "whole").await.is_ok(), "a reset stream harms no other");
    server.stop(false).await;
}
