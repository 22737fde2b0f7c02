//! What cargo would lock with a crate: its closure, each version with its decision.
//!
//! [`manifest`] says what a line of an index needs and under which features; [`resolve`] chooses the
//! versions, without asking anybody; [`stock`] fetches, through the one pull-through flow and within its
//! bounds, the index files that it needs; [`report`] tells it.

mod decide;
mod manifest;
mod report;
mod resolve;
mod stock;

use policies::package::Package;
use semver::VersionReq;
use tokio::sync::OwnedSemaphorePermit;

pub use self::decide::decide;

use self::manifest::exactly;
use self::resolve::{Ask, Resolution, Step};
use self::stock::{Gathering, Stock};
use crate::observability::escape::bounded;
use crate::registries::closure::{Chosen, Closure, ClosureError, ClosureLimits, Question, Terms};

/// How often the resolution may find that it needs to know more.
const ROUNDS: usize = 200;
/// Of what is wanted that is shown.
const SHOWN: usize = 200;

/// Works out one closure. The place is taken until it is done, whoever waits for it.
pub async fn closure(
    chosen: Chosen,
    question: Question,
    limits: ClosureLimits,
    place: OwnedSemaphorePermit,
) -> Result<Closure, ClosureError> {
    chosen.clone().work(place, work_out(chosen, question, limits)).await?
}

async fn work_out(
    chosen: Chosen,
    question: Question,
    limits: ClosureLimits,
) -> Result<Closure, ClosureError> {
    let Question { package, wanted, among, asking, .. } = question;
    let root = root(package, wanted.as_deref())?;
    let terms = Terms::of(&chosen, asking, limits)?;
    let revision = terms.rules.revision().clone();
    let gathering = Gathering::new(chosen.clone(), terms);
    let mut stock = Stock::default();
    let mut rounds = 0;
    let resolution = loop {
        let asked = root.clone();
        let resolving = move || {
            let step = resolve::resolve(&stock, &asked, among);
            (stock, step)
        };
        // Away from those who serve: a large one takes a while.
        let (back, step) =
            tokio::task::spawn_blocking(resolving).await.map_err(|_| ClosureError::failed())?;
        stock = back;
        match step {
            Step::Done(resolution) => break resolution,
            Step::Needs(needs, _) if rounds < ROUNDS && stock.incomplete.is_empty() => {
                gathering.gather(&mut stock, needs).await;
                rounds += 1;
            }
            Step::TooMany => {
                stock.incomplete("its dependents want too many different versions".to_owned());
                break Resolution::default();
            }
            Step::Needs(_, so_far) => {
                if stock.incomplete.is_empty() {
                    stock.incomplete("it needs to be asked for in too many rounds".to_owned());
                }
                break so_far;
            }
        }
    };
    let registry = chosen.main.name.to_string();
    report::report(&stock, &resolution, &root, (&chosen, registry), among, revision)
}

/// A whole version is meant exactly, as `cargo install NAME@VERSION` has it, and anything else as a
/// manifest has it. Of its features the default ones are on.
fn root(package: Package, wanted: Option<&str>) -> Result<Ask, ClosureError> {
    let wanted = wanted.unwrap_or("*");
    let requirement = match semver::Version::parse(wanted) {
        Ok(version) => Ok(exactly(&version)),
        Err(_) => VersionReq::parse(wanted),
    };
    let requirement = requirement.map_err(|fault| {
        let shown = bounded(wanted, SHOWN);
        ClosureError::Unreadable(format!("{shown:?} can not be used here: {fault}"))
    })?;
    Ok(Ask { package, requirement })
}
