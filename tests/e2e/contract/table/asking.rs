//! What is asked of one row in one round.

use support::http::Asked;

use super::super::Spelled;
use super::super::gate::variations;
use super::super::kinds::{Case, Shape, Who};
use super::Garden;
use super::judging::{Check, Must, State};

/// Of the many ways to ask at one path, so many in a round; which ones turns with row and round.
const ODD_ONES: usize = 3;

impl Garden {
    /// Everything that is asked of one row in one round, in order.
    pub fn checks<'c>(&self, place: usize, case: &'c Case, state: State) -> Vec<Check<'c>> {
        let format = self.format;
        let mut turn = place * 7 + self.round * 31;
        let mut all = Vec::new();
        // First the artifact, of which nobody may have read the document yet.
        let mut gates: Vec<_> = format.gates().collect();
        if case.shape == Shape::Newest {
            gates.extend(format.indexes());
        }
        gates.sort_by_key(|endpoint| !endpoint.paths[0].contains("{file}"));
        for endpoint in gates {
            turn += 1;
            let spelled = endpoint.spelled(format, &case.newer());
            all.extend(self.checks_at(&spelled[turn % spelled.len()], turn, case, state));
            // The one that may be had stays so.
            if case.shape == Shape::Newest && state == State::Well {
                let path = endpoint.spelled(format, &case.older())[0].path.clone();
                all.push(Check { asked: Asked::get(&path), case, must: Must::ServeTheOld });
            }
        }
        if format.lists_refused && case.shape == Shape::Whole {
            return all;
        }
        let who = case.row.refused_to[turn % case.row.refused_to.len()];
        let beside = (format.beside)(&case.newer());
        let asked = self.asked_by(beside[turn % beside.len()].clone(), who);
        all.push(Check { asked, case, must: Must::HideTheNew });
        all
    }

    /// At one path: first whoever may have it, then whoever may not, in some of the many ways.
    fn checks_at<'c>(
        &self,
        Spelled { path, exact }: &Spelled,
        turn: usize,
        case: &'c Case,
        state: State,
    ) -> Vec<Check<'c>> {
        let mut all = Vec::new();
        let who = case.row.refused_to[turn % case.row.refused_to.len()];
        let others: Vec<Who> =
            Who::ALL.into_iter().filter(|who| !case.is_refused_to(*who)).collect();
        if let (Some(other), State::Well) = (others.get(turn % others.len().max(1)), state) {
            let asked = self.asked_by(Asked::get(path), *other);
            all.push(Check { asked, case, must: Must::Serve });
        }
        let (plain, odd) = match (case.shape, exact, state) {
            (_, true, State::Well) | (Shape::Whole, _, State::Well) => {
                (Must::Refuse, Must::SendNothing)
            }
            (Shape::Newest, false, _) => (Must::HideTheNew, Must::HideTheNew),
            (_, _, State::Ailing) => (Must::SendNothing, Must::SendNothing),
        };
        for method in ["GET", "HEAD"] {
            let asked = self.asked_by(Asked::new(method, path), who);
            all.push(Check { asked, case, must: plain });
        }
        let none = Vec::new();
        let etags = self.etags.get(&case.key).unwrap_or(&none);
        let odd_ones = variations(self.format, path, etags);
        for step in 0..ODD_ONES {
            let asked = odd_ones[(turn * 13 + step * 17) % odd_ones.len()].clone();
            let named = asked.header_value("authorization").is_some();
            let asked = if named { asked } else { self.asked_by(asked, who) };
            let changes = !matches!(asked.method(), "GET" | "HEAD");
            // A token that is not valid is told so, whatever is asked for.
            let must = if named || changes { Must::SendNothing } else { odd };
            all.push(Check { asked, case, must });
        }
        all
    }
}
