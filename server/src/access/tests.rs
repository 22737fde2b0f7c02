#![allow(clippy::unwrap_used)]

use actix_web::http::header::HeaderValue;

use super::*;
use crate::clock::Clock;
use crate::metadata::sled::{Sled, SledOptions};

#[tokio::test]
async fn a_token_is_the_same_however_a_client_sends_it() {
    let home = tempfile::tempdir().unwrap();
    let store = Sled::open(&home.path().join("store"), SledOptions::default()).unwrap();
    let register = Register::open(Arc::new(store), Clock::system()).await.unwrap();
    let access =
        Access::new(AdminToken::of("garth_secret"), register, jiff::SignedDuration::from_hours(12));
    let known = Caller::Known(Arc::new(Person::admin()));
    let basic = |login: &str| format!("Basic {}", STANDARD.encode(login));
    let rows = [
        ("Bearer garth_secret".to_owned(), known.clone()),
        ("bearer  garth_secret ".to_owned(), known.clone()),
        (basic("anybody:garth_secret"), known.clone()),
        (basic(":garth_secret"), known.clone()),
        ("garth_secret".to_owned(), known),
        ("Bearer garth_secre".to_owned(), Caller::Invalid(None)),
        (basic("anybody:garth_secre"), Caller::Invalid(None)),
        ("garth_secre".to_owned(), Caller::Invalid(None)),
        ("Bearer npm_other".to_owned(), Caller::Unknown),
        ("npm_other".to_owned(), Caller::Unknown),
        ("Bearer ".to_owned(), Caller::Unknown),
        (basic("garth_secret:"), Caller::Unknown),
        (basic("garth_secret"), Caller::Unknown),
        (basic(&format!("{}:garth_secret", "x".repeat(2000))), Caller::Unknown),
        ("Basic %%%".to_owned(), Caller::Unknown),
        (String::new(), Caller::Unknown),
    ];
    for (header, expected) in rows {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(&header).unwrap());
        assert_eq!(access.caller(&headers), expected, "{header:?}");
        headers.append(AUTHORIZATION, HeaderValue::from_static("Bearer garth_secret"));
        assert_eq!(access.caller(&headers), Caller::Unknown, "{header:?} and another one");
    }
    assert_eq!(access.caller(&HeaderMap::new()), Caller::Anonymous);
}
