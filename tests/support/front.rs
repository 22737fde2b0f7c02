//! What stands in front of a garth at the address by which the world knows it.

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::server::TestServer;

/// Its address is known before the garth behind it starts.
pub struct Front {
    listener: TcpListener,
    /// `http://127.0.0.1:1234`, without a slash at the end.
    pub url: String,
}

impl Front {
    pub async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self { listener, url }
    }

    /// Passes everything on as it is, for as long as the test runs.
    pub fn lead_to(self, garth: &TestServer) {
        let behind = garth.authority().to_owned();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = self.listener.accept().await {
                let behind = behind.clone();
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(&behind).await else { return };
                    // Whoever ends it is seen by the other one.
                    let _ = copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
    }
}
