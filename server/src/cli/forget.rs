//! `garth forget`: makes an own name free that is known from the upstream.

use clap::Args;

use super::Exit;
use super::client::{Client, ServerArgs};
use super::talk::{print, print_json, with_server};
use crate::api::forget::{ForgetRequest, ForgetView};
use crate::config::EnvSnapshot;

/// Forget what the upstream said of a name that is published here
///
/// A name that garth once fetched from the upstream can not be published, though it is under `own`
/// by now. This drops that state: document, files, and what was remembered of its versions.
/// What was published here is never dropped, and other names are not either.
#[derive(Args, Debug)]
pub struct Forget {
    /// A package like npm:@acme/ui
    #[arg(value_name = "PACKAGE")]
    package: String,
    /// The registry, where several have this name as their own
    #[arg(long, value_name = "NAME")]
    registry: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl Forget {
    pub fn run(self, env: &EnvSnapshot) -> Exit {
        let Self { package, registry, json, server } = self;
        with_server(&server, env, async |client: Client| {
            let asked = ForgetRequest { package, registry };
            let (done, _): (ForgetView, bool) = client.post(&["forget"], &asked).await?;
            if json {
                print_json(&done);
            } else {
                print(&told(&done));
            }
            Ok(Exit::Done)
        })
    }
}

fn told(done: &ForgetView) -> String {
    let ForgetView { package, registry, forgotten } = done;
    if forgotten.documents + forgotten.versions + forgotten.files == 0 {
        return format!("nothing to forget: {package} is not known in {registry}\n");
    }
    let (versions, files) = (forgotten.versions, forgotten.files);
    format!(
        "forgotten: {package} in {registry} (versions: {versions}, files: {files})\n  \
         Lockfiles may hold the digests of those versions: publish under a higher number\n"
    )
}
