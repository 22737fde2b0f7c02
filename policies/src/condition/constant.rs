//! Is a condition true, or false, whatever the facts are?
//!
//! Each fact that a condition asks is a variable of a few positions: a flag has two; a number, a
//! time or an age one at each bound that the condition names and one between each two of them; a
//! text one for each literal and one for everything else. What is not understood further
//! (quantifiers, licences, parts of texts) is a flag of its own, so more is tried than there can be:
//! what is the same at all positions is certain, and what is not found may be constant all the same.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::node::{Node, Order, Since};
use crate::facts::Fact;
use crate::package::Ecosystem;
use crate::tri::Tri;

/// With more combinations than these nothing is said.
const MAX_TRIED: usize = 4096;

const NAME: &str = "name";
const VERSION: &str = "version";
const ECOSYSTEM: &str = "ecosystem";
const OWN: &str = "own";

/// What a condition says whatever the facts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Constant {
    pub value: bool,
    /// Also where no fact is known.
    pub unknown_too: bool,
}

/// `None` where it depends on the facts, as far as can be told. `ecosystems` are those of the
/// packages that it is asked of.
pub(super) fn constant(root: &Node, ecosystems: &[Ecosystem]) -> Option<Constant> {
    let mut variables = Variables::default();
    variables.collect(root, ecosystems);
    let value = match variables.constant(root, |_| true)? {
        Tri::True => true,
        Tri::False => false,
        Tri::Unknown => return None,
    };
    // What is said where little is known is said wherever more is.
    let unknown_too = variables.constant(root, |always_known| always_known) == Some(Tri::of(value));
    Some(Constant { value, unknown_too })
}

/// What one leaf asks.
enum Test<'n> {
    Flag,
    Ordered(Order, i128),
    /// One of these points of a line.
    Points(Vec<i128>),
    /// One of these texts.
    Texts(Vec<&'n str>),
}

struct Domain {
    kind: Kind,
    /// Of every version.
    always_known: bool,
}

enum Kind {
    Flag,
    /// Bounds in their order; `floor`: nothing lies below the first.
    Line {
        bounds: Vec<i128>,
        floor: bool,
    },
    /// Texts, and where it is not closed everything else.
    Texts {
        texts: Vec<String>,
        closed: bool,
    },
}

impl Kind {
    fn len(&self) -> usize {
        match self {
            Self::Flag => 2,
            Self::Line { bounds, floor } => 2 * bounds.len() + usize::from(!floor),
            Self::Texts { texts, closed } => texts.len() + usize::from(!closed),
        }
    }
}

#[derive(Default)]
struct Variables {
    places: HashMap<String, usize>,
    domains: Vec<Domain>,
}

impl Variables {
    fn collect(&mut self, node: &Node, ecosystems: &[Ecosystem]) {
        match node {
            Node::Bool(_) => {}
            Node::Not(of) => self.collect(of, ecosystems),
            Node::And(of) | Node::Or(of) | Node::Same(of) => {
                self.collect(&of.0, ecosystems);
                self.collect(&of.1, ecosystems);
            }
            Node::If(of) => {
                for part in [&of.0, &of.1, &of.2] {
                    self.collect(part, ecosystems);
                }
            }
            leaf => {
                let (name, test) = leaf_of(leaf);
                let place = *self.places.entry(name).or_insert_with_key(|name| {
                    self.domains.push(domain(name, &test, ecosystems));
                    self.domains.len() - 1
                });
                self.domains[place].kind.widen(test);
            }
        }
    }

    /// What it says at all positions of the variables that `known` picks; the others are unknown.
    /// `None` where it says more than one thing, or there are too many.
    fn constant(&self, root: &Node, known: impl Fn(bool) -> bool) -> Option<Tri> {
        let sizes: Vec<Option<usize>> = self
            .domains
            .iter()
            .map(|domain| known(domain.always_known).then(|| domain.kind.len()))
            .collect();
        let tried = sizes.iter().flatten().try_fold(1_usize, |all, size| {
            all.checked_mul(*size).filter(|all| (1..=MAX_TRIED).contains(all))
        })?;
        let mut positions: Vec<Option<usize>> = sizes.iter().map(|size| size.map(|_| 0)).collect();
        let mut found = None;
        for _ in 0..tried {
            let said = self.ask(root, &positions);
            if found.is_some_and(|found| found != said) {
                return None;
            }
            found = Some(said);
            for (position, size) in positions.iter_mut().zip(&sizes) {
                let (Some(position), Some(size)) = (position, size) else { continue };
                *position += 1;
                if *position < *size {
                    break;
                }
                *position = 0;
            }
        }
        found
    }

    fn ask(&self, node: &Node, positions: &[Option<usize>]) -> Tri {
        let ask = |node| self.ask(node, positions);
        match node {
            Node::Bool(known) => Tri::of(*known),
            Node::Not(of) => ask(of).not(),
            Node::And(of) => ask(&of.0).and(ask(&of.1)),
            Node::Or(of) => ask(&of.0).or(ask(&of.1)),
            Node::Same(of) => match (ask(&of.0), ask(&of.1)) {
                (Tri::Unknown, _) | (_, Tri::Unknown) => Tri::Unknown,
                (a, b) => Tri::of(a == b),
            },
            Node::If(of) => match ask(&of.0) {
                Tri::True => ask(&of.1),
                Tri::False => ask(&of.2),
                Tri::Unknown => Tri::Unknown,
            },
            leaf => {
                let (name, test) = leaf_of(leaf);
                // Each leaf was collected; one that was not would be unknown.
                let place = self.places.get(&name);
                let asked = place
                    .and_then(|place| self.domains[*place].kind.answer(positions[*place]?, &test));
                asked.map_or(Tri::Unknown, Tri::of)
            }
        }
    }
}

impl Kind {
    /// Makes room for what one more leaf asks.
    fn widen(&mut self, test: Test<'_>) {
        match (self, test) {
            (Self::Line { bounds, .. }, test) => {
                match test {
                    Test::Ordered(_, point) => bounds.push(point),
                    Test::Points(points) => bounds.extend(points),
                    Test::Flag | Test::Texts(_) => {}
                }
                bounds.sort_unstable();
                bounds.dedup();
            }
            (Self::Texts { texts, closed: false }, Test::Texts(more)) => {
                texts.extend(more.into_iter().map(str::to_owned));
                texts.sort_unstable();
                texts.dedup();
            }
            _ => {}
        }
    }

    fn answer(&self, position: usize, test: &Test<'_>) -> Option<bool> {
        match (self, test) {
            (Self::Flag, _) => Some(position == 1),
            (Self::Line { bounds, floor }, test) => {
                // Odd places are on a bound, even ones below and above it.
                let position = position + usize::from(*floor);
                let than = |point: &i128| {
                    bounds.binary_search(point).ok().map(|bound| position.cmp(&(2 * bound + 1)))
                };
                match test {
                    Test::Ordered(order, point) => than(point).map(|than| match order {
                        Order::Less => than.is_lt(),
                        Order::LessOrEqual => than.is_le(),
                        Order::Greater => than.is_gt(),
                        Order::GreaterOrEqual => than.is_ge(),
                    }),
                    Test::Points(points) => {
                        Some(points.iter().any(|point| than(point).is_some_and(Ordering::is_eq)))
                    }
                    Test::Flag | Test::Texts(_) => None,
                }
            }
            (Self::Texts { texts, .. }, Test::Texts(sought)) => {
                Some(texts.get(position).is_some_and(|text| sought.contains(&text.as_str())))
            }
            (Self::Texts { .. }, _) => None,
        }
    }
}

fn domain(name: &str, test: &Test<'_>, ecosystems: &[Ecosystem]) -> Domain {
    let kind = match test {
        Test::Flag => Kind::Flag,
        Test::Ordered(..) | Test::Points(_) => {
            // What is counted is never less than nothing.
            let floor = matches!(name, "dependencies" | "size" | "advisories");
            Kind::Line { bounds: if floor { vec![number(0.0)] } else { Vec::new() }, floor }
        }
        Test::Texts(_) if name == ECOSYSTEM => {
            let texts = ecosystems.iter().map(|of| of.as_str().to_owned()).collect();
            Kind::Texts { texts, closed: true }
        }
        Test::Texts(_) => Kind::Texts { texts: Vec::new(), closed: false },
    };
    let always_known = [NAME, VERSION, ECOSYSTEM, OWN].contains(&name);
    Domain { kind, always_known }
}

/// The variable that a leaf asks, and what it asks of it.
fn leaf_of(leaf: &Node) -> (String, Test<'_>) {
    let opaque = || (format!("{leaf:?}"), Test::Flag);
    match leaf {
        Node::Own => (OWN.to_owned(), Test::Flag),
        Node::Aged { since, order, than } => {
            let since = match since {
                Since::Published => "age",
                Since::FirstSeen => "age here",
            };
            (since.to_owned(), Test::Ordered(*order, than.as_nanos()))
        }
        Node::Ordered(order, of) => match (&of.0, &of.1) {
            (asked, bound) if point(bound).is_some() => variable(asked)
                .zip(point(bound))
                .map_or_else(opaque, |(name, point)| (name, Test::Ordered(*order, point))),
            (bound, asked) => variable(asked)
                .zip(point(bound))
                .map_or_else(opaque, |(name, point)| (name, Test::Ordered(order.turned(), point))),
        },
        Node::Equal(of) => match (&of.0, &of.1) {
            (Node::Text(text), asked) | (asked, Node::Text(text)) => text_variable(asked)
                .map_or_else(opaque, |name| (name.to_owned(), Test::Texts(vec![text]))),
            (bound, asked) if point(bound).is_some() => variable(asked)
                .zip(point(bound))
                .map_or_else(opaque, |(name, point)| (name, Test::Points(vec![point]))),
            (asked, bound) => variable(asked)
                .zip(point(bound))
                .map_or_else(opaque, |(name, point)| (name, Test::Points(vec![point]))),
        },
        Node::In(of) => match (&of.0, &of.1) {
            (asked, Node::List { nodes, constant: true }) => {
                let texts = || {
                    nodes.iter().map(|node| match node {
                        Node::Text(text) => Some(&**text),
                        _ => None,
                    })
                };
                if let Some((name, texts)) = text_variable(asked).zip(texts().collect()) {
                    (name.to_owned(), Test::Texts(texts))
                } else if let Some((name, points)) =
                    variable(asked).zip(nodes.iter().map(point).collect())
                {
                    (name, Test::Points(points))
                } else {
                    opaque()
                }
            }
            _ => opaque(),
        },
        _ => opaque(),
    }
}

/// A number or a time that is a variable.
fn variable(node: &Node) -> Option<String> {
    use Fact::{Dependencies, FirstSeen, Published, Size};
    let name = match node {
        Node::Fact(fact @ (Dependencies | Size | Published | FirstSeen)) => fact.name(),
        Node::Size(of) if matches!(**of, Node::Fact(Fact::Advisories)) => "advisories",
        _ => return None,
    };
    Some(name.to_owned())
}

fn text_variable(node: &Node) -> Option<&'static str> {
    match node {
        Node::Name => Some(NAME),
        Node::Version => Some(VERSION),
        Node::Ecosystem => Some(ECOSYSTEM),
        Node::Fact(
            fact @ (Fact::Registry
            | Fact::Publisher
            | Fact::SimilarTo
            | Fact::Description
            | Fact::Repository
            | Fact::RustVersion),
        ) => Some(fact.name()),
        _ => None,
    }
}

/// Where a constant lies on its line; `None` where it is none, or one that is not exact.
fn point(node: &Node) -> Option<i128> {
    /// Whole numbers up to here are exact as floating-point numbers.
    const EXACT: i64 = 1 << 53;
    match node {
        // In range, by the guard.
        #[allow(clippy::cast_precision_loss)]
        Node::Int(int) if (-EXACT..=EXACT).contains(int) => Some(number(*int as f64)),
        Node::Double(double) if !double.is_nan() => Some(number(*double)),
        Node::Time(time) => Some(time.as_nanosecond()),
        _ => None,
    }
}

/// The order of the numbers is that of these integers.
fn number(number: f64) -> i128 {
    // Adding nothing makes one zero of both.
    let bits = (number + 0.0).to_bits().cast_signed();
    i128::from(if bits < 0 { i64::MIN.wrapping_sub(bits) } else { bits })
}

#[cfg(test)]
mod tests;
