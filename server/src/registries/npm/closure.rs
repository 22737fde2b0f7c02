//! What npm would install with a package: its closure, each version with its decision.
//!
//! [`spec`], [`manifest`] and [`pick`] say, without asking anybody, what a dependency means and
//! which version npm takes for it; [`stock`] fetches, through the one pull-through flow and within
//! its bounds, the documents that they need; [`tree`] lays the versions out as npm does, which is
//! what decides that one version serves two dependents.

mod decide;
mod manifest;
mod pick;
mod report;
mod spec;
mod stock;
mod tree;

use tokio::sync::OwnedSemaphorePermit;

pub use self::decide::decide;
use self::manifest::NeedKind;
use self::stock::{Gathering, Stock};
use self::tree::{Step, Tree};
use crate::registries::closure::{Chosen, Closure, ClosureError, ClosureLimits, Question, Terms};

/// What npm asks for where nothing is said.
const ANY: &str = "*";
/// How often the tree may find that it needs to know more.
const ROUNDS: usize = 100;

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
    let terms = Terms::of(&chosen, question.asking.clone(), limits)?;
    let revision = terms.rules.revision().clone();
    let wanted = question.wanted.as_deref().unwrap_or(ANY).to_owned();
    let name = question.package.name().to_owned();
    let gathering = Gathering::new(chosen.clone(), terms, question.among, true);
    let mut stock = Stock::default();
    gathering.gather(&mut stock, vec![(name.as_str().into(), wanted.as_str().into())]).await;
    let root = report::root_of(&stock, &question.package, &wanted, &chosen)?;
    let mut rounds = 0;
    let tree = loop {
        let laid = lay(stock, name.clone(), wanted.clone()).await?;
        stock = laid.0;
        match laid.1 {
            Step::Done(tree) => break tree,
            Step::Needs(more) if rounds < ROUNDS && stock.incomplete.is_empty() => {
                gathering.gather(&mut stock, more).await;
                rounds += 1;
            }
            Step::Needs(_) => {
                stock.incomplete("it needs to be asked for in too many rounds".to_owned());
                break Tree::of_everything(&stock, &name, &wanted, false);
            }
            Step::TooLarge => {
                // What each dependent would take by itself: some of it npm would not install.
                break Tree::of_everything(&stock, &name, &wanted, true);
            }
        }
    };
    let registry = chosen.main.name.to_string();
    Ok(report::report(&stock, &tree, root, registry, question.among, revision))
}

/// Away from those who serve: a large tree takes a while.
async fn lay(stock: Stock, name: String, wanted: String) -> Result<(Stock, Step), ClosureError> {
    let laying = move || {
        let step = tree::lay(&stock, &name, &wanted, NeedKind::Required);
        (stock, step)
    };
    tokio::task::spawn_blocking(laying).await.map_err(|_| ClosureError::failed())
}
