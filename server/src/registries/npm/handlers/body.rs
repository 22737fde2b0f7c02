//! What clients send along, taken in whole and within a bound, also where it comes packed.

use std::time::Duration;

use actix_web::http::header::{CONTENT_ENCODING, HeaderValue};
use actix_web::{HttpRequest, web};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use serde::de::DeserializeOwned;

use super::super::refusal::Refusal;
use crate::edge::{BodyLimit, Problem};
use crate::registries::bodies::{BodyPlace, BodyRoom};
use crate::upstream::gunzip::{Gunzip, GunzipError};

/// A body as it came, and its place.
#[derive(Debug)]
pub struct Received {
    bytes: Bytes,
    packed: bool,
    place: BodyPlace,
}

/// What is sent here is kilobytes, and it is held until it is whole.
const WHOLE_WITHIN: Duration = Duration::from_secs(30);

/// Takes a body of at most `limit` bytes, while there is room for what arrives of it.
pub async fn receive(
    req: &HttpRequest,
    body: web::Payload,
    limit: usize,
    room: &BodyRoom,
) -> Result<Received, Refusal> {
    let packed = match req.headers().get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"" | b"identity") => false,
        Some(b"gzip" | b"x-gzip") => true,
        Some(_) => {
            return Err(Refusal::Malformed(
                "the body is packed in a way that is not taken here; gzip is".to_owned(),
            ));
        }
    };
    let (bytes, place) = read_body(body, limit, room, WHOLE_WITHIN).await?;
    Ok(Received { bytes, packed, place })
}

/// How much JSON is read.
#[derive(Clone, Copy, Debug)]
pub struct JsonBound {
    /// Unpacked.
    pub bytes: usize,
    /// Objects and arrays together, which cost many times their text. Counted without reading, so
    /// those within texts count too.
    pub brackets: usize,
}

impl Received {
    /// For what is made of it.
    pub fn into_place(self) -> BodyPlace {
        self.place
    }

    /// Unpacks it and reads it as JSON, within the bound. Takes its time.
    pub fn read_json<T: DeserializeOwned>(&self, bound: JsonBound) -> Result<T, Refusal> {
        let unpacked = if self.packed { Some(unpack(&self.bytes, bound.bytes)?) } else { None };
        let text = unpacked.as_ref().unwrap_or(&self.bytes);
        let brackets = text.iter().filter(|byte| matches!(byte, b'{' | b'[')).count();
        if brackets > bound.brackets {
            return Err(Refusal::Malformed(format!(
                "the body has more than {} objects and lists",
                bound.brackets
            )));
        }
        serde_json::from_slice(text).map_err(|fault| {
            // Where, and nothing of what stands there: it may be a password.
            let (line, column) = (fault.line(), fault.column());
            Refusal::Malformed(format!(
                "the body is not the JSON that belongs here: line {line}, column {column}"
            ))
        })
    }
}

async fn read_body<E>(
    body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    limit: usize,
    room: &BodyRoom,
    within: Duration,
) -> Result<(Bytes, BodyPlace), Refusal> {
    let arriving = tokio::time::timeout(within, read_all(body, limit, room));
    arriving.await.map_err(|_| Refusal::Edge(Problem::body_too_slow())).flatten()
}

async fn read_all<E>(
    mut body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    limit: usize,
    room: &BodyRoom,
) -> Result<(Bytes, BodyPlace), Refusal> {
    let (mut bytes, mut place) = (BytesMut::new(), BodyPlace::default());
    while let Some(piece) = body.next().await {
        // What is wrong with it is told by the edge, which answers in our place.
        let piece = piece.map_err(|_| Refusal::Edge(Problem::body_broken()))?;
        if bytes.len() + piece.len() > limit {
            return Err(too_large(limit));
        }
        let busy = |fault| Refusal::Pull { what: "what was sent".to_owned(), fault };
        room.widen(&mut place, bytes.len() + piece.len()).map_err(busy)?;
        bytes.extend_from_slice(&piece);
    }
    Ok((bytes.freeze(), place))
}

fn unpack(packed: &[u8], limit: usize) -> Result<Bytes, Refusal> {
    let fault = |fault| match fault {
        GunzipError::TooLarge => too_large(limit),
        GunzipError::Corrupt(_) => Refusal::Malformed("the body is broken gzip".to_owned()),
    };
    let mut gunzip = Gunzip::new();
    let mut unpacked = BytesMut::from(gunzip.unpack(packed, limit as u64).map_err(fault)?);
    let room = limit - unpacked.len().min(limit);
    unpacked.extend_from_slice(&gunzip.finish(room as u64).map_err(fault)?);
    Ok(unpacked.freeze())
}

fn too_large(limit: usize) -> Refusal {
    Refusal::Edge(Problem::body_too_large(BodyLimit::fixed(limit as u64)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::pull::PullError;
    use crate::upstream::gunzip::tests::packed;

    /// A megabyte of it, packed to a few kilobytes, would be read into a hundred.
    #[test]
    fn a_body_that_is_all_brackets_is_not_read() {
        let bound = JsonBound { bytes: 8 << 20, brackets: 100_000 };
        let nodes = |count: usize| {
            let nodes: Vec<String> = (0..count).map(|n| format!("\"{n}\":{{}}")).collect();
            format!("{{{}}}", nodes.join(","))
        };
        let read = |text: &str, packed: bool| {
            let bytes =
                if packed { self::packed(text.as_bytes()) } else { text.as_bytes().to_vec() };
            let received = Received { bytes: bytes.into(), packed, place: BodyPlace::default() };
            received.read_json::<serde_json::Value>(bound)
        };
        for packed in [true, false] {
            assert!(read(&nodes(1000), packed).is_ok());
            assert!(matches!(read(&nodes(100_001), packed), Err(Refusal::Malformed(_))));
            assert!(matches!(read(&"[".repeat(2_000_000), packed), Err(Refusal::Malformed(_))));
        }
    }

    #[tokio::test]
    async fn bodies_that_arrive_at_once_share_one_room() {
        let room = BodyRoom::new(1 << 20);
        let body = |pieces: usize| {
            let pieces = (0..pieces).map(|_| Ok::<_, ()>(Bytes::from(vec![b' '; 1 << 18])));
            futures_util::stream::iter(pieces)
        };
        let held = read_all(body(3), 8 << 20, &room).await.unwrap();
        assert_eq!(held.0.len(), 3 << 18);
        let refused = read_all(body(2), 8 << 20, &room).await;
        assert!(matches!(refused, Err(Refusal::Pull { fault: PullError::Busy, .. })));
        assert!(matches!(read_all(body(9), 1 << 20, &room).await, Err(Refusal::Pull { .. })));
        drop(held);
        assert!(read_all(body(4), 8 << 20, &room).await.is_ok());
        assert!(matches!(read_all(body(5), 1 << 20, &room).await, Err(Refusal::Edge(_))));
    }

    /// It comes often enough for the connection, and never to an end.
    #[tokio::test]
    async fn a_body_that_dribbles_is_given_up_and_leaves_its_place() {
        let room = BodyRoom::new(1 << 20);
        let dribble = futures_util::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Some((Ok::<_, ()>(Bytes::from_static(b" ")), ()))
        });
        let within = Duration::from_millis(100);
        let begun = tokio::time::Instant::now();
        let refused = read_body(Box::pin(dribble), 1 << 20, &room, within).await.unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        let Refusal::Edge(problem) = refused else { panic!("{refused:?}") };
        assert_eq!(problem, Problem::body_too_slow());
        let whole = futures_util::stream::iter([Ok::<_, ()>(Bytes::from(vec![b' '; 1 << 20]))]);
        assert!(read_body(whole, 1 << 20, &room, WHOLE_WITHIN).await.is_ok(), "its place is free");
    }

    #[test]
    fn a_packed_body_is_unpacked_up_to_its_bound() {
        let text = b"{\"left-pad\":[\"1.3.0\"]}".repeat(10);
        assert_eq!(unpack(&packed(&text), text.len()).unwrap(), text);
        for limit in [0, 1, text.len() - 1] {
            let refused = unpack(&packed(&text), limit);
            assert!(matches!(refused, Err(Refusal::Edge(_))), "{limit}: {refused:?}");
        }
        let bomb = packed(&vec![b' '; 64 << 20]);
        assert!(matches!(unpack(&bomb, 1 << 20), Err(Refusal::Edge(_))));
        let torn = &packed(&text)[..20];
        assert!(matches!(unpack(torn, 1 << 20), Err(Refusal::Malformed(_))));
    }
}
